"""The conversation: Anthropic's messages as chat messages.

One rule keeps the engine's prefix cache alive: each Anthropic message is written by itself, never
merged with its neighbour and never moved, so a longer conversation begins with the very messages
of the shorter one. (Two things move, and only behind calls of tools: the results, which go into
the order of their calls, because many chat templates write results without ids; and what stands
between a call and its result, where no template has a place for it. Templates that insist on more
are served by `turns`.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from autosre_lab.proxy.arguments import meant_object
from autosre_lab.proxy.blocks import MALFORMED_ARGUMENTS
from autosre_lab.proxy.messages.content import (
    TEXT_SEPARATOR,
    ImagePart,
    Part,
    chat_content,
    joined_text,
    parts_of,
    result_parts,
    without_billing_header,
)
from autosre_lab.proxy.messages.deferred import NO_TOOLS, OfferedTools, fetched_by_result
from autosre_lab.proxy.messages.request import (
    ContentBlock,
    InputMessage,
    without_lone_surrogates,
)
from autosre_lab.proxy.messages.search import found_before, same_question
from autosre_lab.proxy.messages.turns import fit_template
from autosre_lab.proxy.profile import EngineProfile

__all__ = ["chat_messages", "system_text"]

ChatMessage = dict[str, Any]

_REMINDER = "<system-reminder>\n"
_NO_RESULT = "[no result came back]"
_SAYS_ERROR = ("error", "<tool_use_error", "<error")


def chat_messages(
    system: str | list[ContentBlock] | None,
    messages: Sequence[InputMessage],
    engine: EngineProfile,
    tools: OfferedTools = NO_TOOLS,
) -> list[ChatMessage]:
    """Write a whole conversation for the chat template.

    Args:
        system: The request's top-level system prompt.
        messages: The conversation.
        engine: What the served model can be shown.
        tools: What it is offered; a deferred tool is told where the conversation fetches it.

    Returns:
        Chat messages that any version of vLLM takes and an OpenAI client library would type.
    """
    written: list[ChatMessage] = []
    leading = system_text(system)
    if leading:
        written.append({"role": "system", "content": leading})
    turn = _Turn(tools)
    for message in messages:
        if message.role == "assistant":
            for part, found in _parts_of_answer(message.content):
                written += turn.chat_messages(engine)
                answer = _assistant(part)
                written.append(answer)
                calls = [call["id"] for call in answer.get("tool_calls", ())]
                # Calls of two messages in a row are answered together.
                open_calls = [] if turn.said or turn.results else turn.calls
                turn = _Turn(tools, calls=open_calls + calls, results=found)
        elif message.role == "user":
            turn.add_user(message.content)
        elif text := system_text(tools.told(message.content)):
            in_place = engine.mid_system == "system" or not (written or turn.said or turn.results)
            turn.said.append(_system(text, in_place=in_place))
    return fit_template(written + turn.chat_messages(engine), engine)


@dataclass(slots=True)
class _Turn:
    """What stands between two answers of the model.

    Attributes:
        tools: What the model is offered.
        calls: Ids of the calls that wait for results, in the order of the calls.
        results: The results, in the order they came.
        said: What users said and showed, and system messages, in order.
    """

    tools: OfferedTools
    calls: list[str] = field(default_factory=list)
    results: list[ContentBlock] = field(default_factory=list)
    said: list[ChatMessage | _Said] = field(default_factory=list)

    def add_user(self, content: str | list[ContentBlock] | None) -> None:
        if content is None or isinstance(content, str):
            self.said.append({"role": "user", "content": content or ""})
            return
        results = [block for block in content if block.type == "tool_result"]
        rest = self.tools.told([block for block in content if block.type != "tool_result"])
        self.results += results
        if rest or not results:
            self.said.append(_Said(blocks=rest, behind_results=bool(results)))

    def chat_messages(self, engine: EngineProfile) -> list[ChatMessage]:
        """Write the results in the order of their calls, then what was said."""
        shown: list[Part] = []
        written = [
            _result(id_, blocks, shown, engine, self.tools)
            for id_, blocks in _in_order_of_calls(self.calls, self.results)
        ]
        for said in self.said:
            if isinstance(said, _Said):
                written += said.chat_messages(engine, shown)
                shown = []
            elif (
                engine.mid_system == "reminder"
                and not shown
                and _is_told(said)
                and written
                and _is_result(written[-1])
            ):
                # As words of the user's it would end the question, and templates that print
                # thoughts only behind the last question would drop all that came since.
                last = written[-1]
                both = TEXT_SEPARATOR.join(filter(None, (last["content"], said["content"])))
                written[-1] = {**last, "content": both}
            elif shown and said["role"] == "user":
                written.append({"role": "user", "content": chat_content([*shown, said["content"]])})
                shown = []
            else:
                written.append(said)
        if shown:
            written.append({"role": "user", "content": chat_content(shown)})
        return written


@dataclass(slots=True)
class _Said:
    """What one user message holds beside results."""

    blocks: list[ContentBlock]
    behind_results: bool

    def chat_messages(self, engine: EngineProfile, shown: list[Part]) -> list[ChatMessage]:
        """Write it behind the images of the results.

        A reminder in front of what the user said becomes a message of its own, where the template
        takes it: read in one piece with a question, small models answer the reminder.
        """
        blocks = list(self.blocks)
        apart: list[ChatMessage] = []
        if engine.mid_system == "system" and not self.behind_results and not shown:
            while len(blocks) > 1 and _is_reminder(blocks[0]):
                reminder = joined_text(parts_of([blocks.pop(0)], images=False))
                apart.append({"role": "user", "content": reminder})
        parts = shown + parts_of(blocks, images=engine.images)
        if not parts and self.behind_results:
            return []
        return [*apart, {"role": "user", "content": chat_content(parts)}]


def _is_result(message: ChatMessage) -> bool:
    return message["role"] == "tool" and isinstance(message["content"], str)


def _is_told(message: ChatMessage) -> bool:
    """Whether it is what `_system` wrote as a reminder."""
    return message["role"] == "user" and str(message["content"]).startswith(_REMINDER)


def _system(text: str, *, in_place: bool) -> ChatMessage:
    if in_place:
        return {"role": "system", "content": text}
    return {"role": "user", "content": f"{_REMINDER}{text}\n</system-reminder>"}


def _in_order_of_calls(
    calls: Sequence[str], results: Sequence[ContentBlock]
) -> list[tuple[str, list[ContentBlock]]]:
    """Pair results with their calls: one place for each call, in the order of the calls.

    A call without a result keeps its place (an empty list) where results of later calls follow,
    since a template may pair by position. A second result of a call joins the first. Results of
    no known call come last, in the order they came.
    """
    pairs: list[tuple[str, list[ContentBlock]]] = [(id_, []) for id_ in calls]
    # The places that wait for a result; the last one of an id takes whatever follows.
    places: dict[str, deque[list[ContentBlock]]] = {}
    for id_, found in pairs:
        places.setdefault(id_, deque()).append(found)
    unknown: list[tuple[str, list[ContentBlock]]] = []
    for block in results:
        id_ = block.tool_use_id if isinstance(block.tool_use_id, str) else ""
        own = places.get(id_)
        if own is None:
            unknown.append((id_, [block]))
            continue
        own[0].append(block)
        if len(own) > 1:
            own.popleft()
    while pairs and not pairs[-1][1]:
        pairs.pop()
    return pairs + unknown


def system_text(content: str | list[ContentBlock] | None) -> str:
    """Join a system prompt's blocks, without Claude Code's billing line."""
    if isinstance(content, str):
        return without_billing_header(content)
    texts = (joined_text(parts_of([block], images=False)) for block in content or ())
    return TEXT_SEPARATOR.join(filter(None, map(without_billing_header, texts)))


def _parts_of_answer(
    content: str | list[ContentBlock] | None,
) -> Iterator[tuple[str | list[ContentBlock] | None, list[ContentBlock]]]:
    """Cut an answer where the server searched in it, as the model saw it: calls, then results.

    Calls of the client's tools that stand before a search wait for results of their own, so from
    there on the answer stays in one piece.
    """
    searches = _searches_of(content)
    if not searches or isinstance(content, str) or content is None:
        yield content, []
        return
    part: list[ContentBlock] = []
    found: list[ContentBlock] = []
    waits = False
    for block in content:
        if block.type == "web_search_tool_result" and _text(block.tool_use_id) in searches:
            text = msgspec.Raw(msgspec.json.encode(found_before(block)))
            found.append(
                ContentBlock(type="tool_result", tool_use_id=block.tool_use_id, content=text)
            )
            continue
        searches_here = block.type == "server_tool_use" and _text(block.id) in searches
        if part and found and not waits:
            before = part[-1].id if part[-1].type == "tool_use" else None
            if not (searches_here and same_question(_text(before), _text(block.id))):
                yield part, found
                part, found = [], []
        waits = waits or block.type == "tool_use"
        part.append(msgspec.structs.replace(block, type="tool_use") if searches_here else block)
    yield part, found


def _searches_of(content: str | list[ContentBlock] | None) -> set[str]:
    """Return the ids of the searches of an answer that have a result in it."""
    if content is None or isinstance(content, str):
        return set()
    asked = {_text(block.id) for block in content if block.type == "server_tool_use"}
    return {
        _text(block.tool_use_id)
        for block in content
        if block.type == "web_search_tool_result" and _text(block.tool_use_id) in asked
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _assistant(content: str | list[ContentBlock] | None) -> ChatMessage:
    if content is None or isinstance(content, str):
        return {"role": "assistant", "content": content or ""}
    thoughts: list[str] = []
    visible: list[ContentBlock] = []
    calls: list[dict[str, Any]] = []
    for block in content:
        if block.type == "thinking":
            # Ours come back empty where they only kept the client waiting.
            if isinstance(block.thinking, str) and block.thinking.strip():
                thoughts.append(block.thinking)
        elif block.type == "redacted_thinking":
            continue
        elif block.type == "tool_use":
            calls.append(_call(block))
        else:
            visible.append(block)
    message: ChatMessage = {
        "role": "assistant",
        "content": joined_text(parts_of(visible, images=False)),
    }
    if thoughts:
        message["reasoning"] = TEXT_SEPARATOR.join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message


def _call(block: ContentBlock) -> dict[str, Any]:
    return {
        "id": block.id if isinstance(block.id, str) else "",
        "type": "function",
        "function": {
            "name": block.name if isinstance(block.name, str) else "",
            "arguments": _arguments(block.input),
        },
    }


def _arguments(raw: msgspec.Raw) -> str:
    """Write a call's input as the string that stands in `arguments`: always a JSON object.

    vLLM up to 0.24 answers 400 to a history that holds anything else, on every later turn.
    """
    data = bytes(raw)
    if b"\\ud" in data:
        data = without_lone_surrogates(data)
    text = data.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        return text
    meant = meant_object(text)
    return meant if meant.startswith("{") else f'{{"{MALFORMED_ARGUMENTS}":{text}}}'


def _is_reminder(block: ContentBlock) -> bool:
    text = block.text.strip() if block.type == "text" and isinstance(block.text, str) else ""
    return text.startswith("<system-reminder>") and text.endswith("</system-reminder>")


def _result(
    id_: str,
    blocks: Sequence[ContentBlock],
    shown: list[Part],
    engine: EngineProfile,
    tools: OfferedTools,
) -> ChatMessage:
    """Write one call's result; its images, which a tool message cannot hold, go to `shown`."""
    texts: list[str] = []
    references: list[ChatMessage] = []
    for block in blocks:
        if engine.deferred_tools == "template":
            block, names = fetched_by_result(block, tools)
            references += [{"type": "tool_reference", "name": name} for name in names]
        else:
            block = tools.told_result(block)
        text = _result_text(block, shown, images=engine.images)
        if text not in texts:
            texts.append(text)
    content: str | list[ChatMessage] = TEXT_SEPARATOR.join(texts) if blocks else _NO_RESULT
    if references:
        content = [{"type": "text", "text": content}, *references] if content else references
    return {"role": "tool", "tool_call_id": id_, "content": content}


def _result_text(block: ContentBlock, shown: list[Part], *, images: bool) -> str:
    texts: list[Part] = []
    for part in result_parts(block.content, images=images):
        if isinstance(part, ImagePart):
            label = f"[image {sum(isinstance(one, ImagePart) for one in shown) + 1}]"
            texts.append(f"{label[:-1]}: shown in the next message]")
            shown += [label, part]
        else:
            texts.append(part)
    text = joined_text(texts)
    if block.is_error is True and not text.lstrip().lower().startswith(_SAYS_ERROR):
        text = f"Error: {text}"
    return text
