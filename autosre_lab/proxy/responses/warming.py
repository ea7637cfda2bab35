"""`generate: false`: Codex's way to have the beginning of a session computed before it is needed.

The engine computes the prompt, whose blocks its prefix cache then keeps, and one token, which
nobody gets: it takes no request for none.
"""

from __future__ import annotations

from typing import Any

from autosre_lab.proxy.chat_stream import ChatChunk
from autosre_lab.proxy.responses.stream import ResponseStream

__all__ = ["WarmingResponse", "question"]


def question() -> dict[str, Any]:
    """Return a message to put behind a prompt that has none: templates insist on a user's."""
    return {"role": "user", "content": "."}


class WarmingResponse(ResponseStream):
    """A response without output, which a next one can continue."""

    def feed(self, chunk: ChatChunk) -> bytes:
        """Take the counts and the reason to stop, and nothing else."""
        if chunk.usage is not None:
            self.counts.note(chunk.usage)
        for choice in chunk.choices or ():
            self._note_finish(choice)
            self._first_token_seen = True
        return self.start(0)

    def finish(self) -> bytes:
        """End the response without an item."""
        if self._ended:
            return b""
        self._ended = True
        self.counts.output = 0
        self.finish_reason = "stop"
        return self.start(0) + self.ending()
