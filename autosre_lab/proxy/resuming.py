"""How an answer goes on where the engine broke off: what the client has, and what to ask for.

Thinking is thought again, and what the client has of it is not written twice. Text is continued by
the engine. A tool call that is not whole is made again: where it comes out with the same bytes it
goes on, else the client gets the new one, and the broken one as something it refuses to run. Once
a call is whole, nothing is asked again: the client runs it, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from autosre_lab.proxy.blocks import Block, BlockKind

__all__ = ["Delivered", "Overlap", "ResumeOutcome", "continued_chat", "delivered", "may_continue"]

ResumeOutcome = Literal["", "again", "continued", "call_again", "ended", "gave_up", "client_gone"]
"""What came of an answer that broke off.

`again`: asked from its start; `continued`: its text was; `call_again`: a tool call was made again;
`ended`: a whole tool call had gone out, so the answer ends with it; `gave_up`: an error went out.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What the client has of a broken answer.

    Attributes:
        thinking: All of it.
        text: All of it.
        call: The tool call that is open and not whole.
        whole_call: A tool call is whole: the client may run it already.
    """

    thinking: str = ""
    text: str = ""
    call: Block | None = None
    whole_call: bool = False

    @property
    def has_text(self) -> bool:
        """There is something to be continued."""
        return bool(self.text.strip())


def delivered(blocks: Sequence[Block]) -> Delivered:
    """Return what the client has, by the blocks that were opened."""
    calls = [block for block in blocks if block.kind == "call" and not block.abandoned]
    return Delivered(
        thinking="".join(block.content for block in blocks if block.kind == "thinking"),
        text="".join(block.content for block in blocks if block.kind == "text"),
        call=next((block for block in calls if not block.closed and not block.complete), None),
        whole_call=any(block.closed or block.complete for block in calls),
    )


def may_continue(chat: Mapping[str, Any]) -> bool:
    """Whether a request's answer can be continued at all.

    An answer that the engine holds to a form begins with that form's first letter, each time.
    """
    forced = chat.get("tool_choice") not in (None, "auto", "none")
    return not (forced or "response_format" in chat or "structured_outputs" in chat)


def continued_chat(chat: Mapping[str, Any], given: Delivered) -> dict[str, Any]:
    """Return the chat request by which the engine goes on with the text that was delivered.

    Args:
        chat: The request, its messages encoded (`msgspec.Raw`).
        given: What the client has; some of it is text.
    """
    # White space at the end is left to the engine: words begin with theirs.
    answer: dict[str, Any] = {"role": "assistant", "content": given.text.rstrip()}
    if given.thinking:
        answer["reasoning"] = given.thinking
    messages = bytes(chat["messages"])[:-1] + b"," + msgspec.json.encode(answer) + b"]"
    return {
        **chat,
        "messages": msgspec.Raw(messages),
        "continue_final_message": True,
        "add_generation_prompt": False,
    }


class Overlap:
    """Takes out of a second answer what the client has of the first.

    Args:
        given: What the client has.
        continuing: The second answer is asked to go on with the text; else it is a whole one.
    """

    def __init__(self, given: Delivered, *, continuing: bool) -> None:
        self._thinking = "" if continuing else given.thinking
        self._continuing = continuing
        self._spaces = given.text[len(given.text.rstrip()) :] if continuing else ""
        self._held = ""

    def kind(self, kind: BlockKind) -> BlockKind:
        """What a piece is: a parser that waits for thoughts to end calls text thinking."""
        return "text" if self._continuing else kind

    def new(self, kind: BlockKind, text: str) -> str:
        """Return what of a piece the client does not have; "" where that is not known yet."""
        if kind == "thinking":
            return self._new_thinking(text)
        self._thinking = ""
        if not self._spaces:
            return text
        self._held += text
        if self._held.isspace() or not self._held:
            return ""
        held, spaces = self._held, self._spaces
        self._held = self._spaces = ""
        return held[len(spaces) :] if held.startswith(spaces) else held.lstrip()

    def _new_thinking(self, text: str) -> str:
        known = self._thinking
        if not known:
            return text
        if known.startswith(text):
            self._thinking = known[len(text) :]
            return ""
        same = 0
        while same < min(len(known), len(text)) and known[same] == text[same]:
            same += 1
        self._thinking = ""
        # It ends as the first did and goes on, or it is another thought.
        return text[same:] if same == len(known) else "\n\n" + text[same:].lstrip()
