"""Compaction: a conversation that grew too long becomes a summary of itself.

Codex does it in two ways. With a provider of any name it asks for a summary like for any answer,
but leaves the tools out; the prompt would begin differently then, and the whole context would be
prefilled again just when it is largest. So the thread's tools are remembered and rendered, and the
model may not call them. With a provider named OpenAI it sends the conversation as it is with a
`compaction_trigger` at its end, and wants one `compaction` item back.
"""

from __future__ import annotations

from collections import OrderedDict

from autosre_lab.proxy.responses.request import ResponsesRequest, Tool

__all__ = ["COMPACTION_MARK", "ThreadTools", "compaction_prompt", "is_triggered"]

COMPACTION_MARK = "autosre:"
"""Begins the content of a compaction item that this proxy has written, in plain text."""

_MAX_THREADS = 256


class ThreadTools:
    """The tools of each thread's last turn; the oldest thread is forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, list[Tool]] = OrderedDict()

    def learn(self, thread: str, tools: list[Tool]) -> None:
        """Remember the tools of a turn."""
        self._known[thread] = tools
        self._known.move_to_end(thread)
        if len(self._known) > _MAX_THREADS:
            self._known.popitem(last=False)

    def of(self, thread: str) -> list[Tool] | None:
        """Return a thread's tools; None where it has had no turn here."""
        return self._known.get(thread)


def is_triggered(request: ResponsesRequest) -> bool:
    """Whether the request wants a `compaction` item."""
    items = request.items
    return bool(items) and items[-1].type == "compaction_trigger"


def compaction_prompt() -> str:
    """Return what the model is asked where the client leaves the asking to the server."""
    return (
        "The conversation above will be removed and only your next message kept. Write a summary "
        "that another engineer could continue from: the user's goals and wishes in their own "
        "words, decisions made, files read and changed with their paths, commands run and what "
        "they showed, errors and how they were solved, what is done, and what comes next. Write "
        "plain text, call no tools, and leave nothing important out."
    )
