"""`max_tokens: 0`: Anthropic's documented way to have a prompt computed before it is needed.

The engine computes the prompt, whose blocks its prefix cache then keeps, and one token, which
nobody gets: it takes no request for none.
"""

from __future__ import annotations

from autosre_lab.proxy.chat_stream import ChatChunk
from autosre_lab.proxy.messages import events as sse
from autosre_lab.proxy.messages.stream import MessageStream

__all__ = ["WarmingStream"]


class WarmingStream(MessageStream):
    """The answer without content: `stop_reason` "max_tokens", no blocks, the prompt's counts."""

    def feed(self, chunk: ChatChunk) -> bytes:
        """Take the counts and the reason to stop, and nothing else."""
        if chunk.usage is not None:
            self.counts.note(chunk.usage)
        for choice in chunk.choices or ():
            self._note_finish(choice)
            self._first_token_seen = True
        return self.start(0)

    def keepalive(self) -> bytes:
        """There is no block to write an empty delta of."""
        return self.start(0) + sse.PING

    def finish(self) -> bytes:
        """End the message without a block."""
        if self._ended:
            return b""
        self._ended = True
        self.counts.output = 0
        return self.start(0) + self.ending()

    def _resolve_stop(self) -> tuple[str, str | None]:
        return "max_tokens", None
