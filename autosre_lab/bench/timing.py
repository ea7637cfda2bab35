"""One request's times, on one clock, and what is derived from them.

Definitions; all in seconds:

=================  ============================================================================
dispatch delay     sent - scheduled
TTFE               first event - sent
TTFT               first thinking, text or tool-argument token - sent
TTFO               first text or tool-argument token - sent
TTFA               first complete tool call - sent: an agent can act
E2EL               end - sent
E2EL scheduled     end - scheduled: with what a busy sender adds, so free of coordinated omission
TPOT               (last token - first token) / (output tokens - tokens in the first chunk)
NTPOT              E2EL / output tokens
ICL                between two chunks; with speculative decoding a chunk has several tokens, so
                   this is not a time per token
=================  ============================================================================

Token counts are the server's, never counted from chunks.
"""

from __future__ import annotations

import itertools

import msgspec

__all__ = ["RequestTiming"]

_NS = 1e9


class RequestTiming(msgspec.Struct, kw_only=True):
    """Raw times of one request, nanoseconds of `time.perf_counter_ns`; None did not happen.

    Attributes:
        session: The session's id.
        turn: Its turn, counted from 0.
        scheduled_ns: When it was due.
        sent_ns: When its bytes were handed to the socket.
        first_event_ns: First event of the stream, of whatever kind.
        first_token_ns: First token: thinking, text or tool arguments.
        first_output_ns: First token that is not thinking.
        first_action_ns: First complete tool call.
        last_token_ns: Last chunk with tokens.
        ended_ns: End of the stream, or of the failure.
        chunk_ns: Each chunk with tokens.
        first_chunk_tokens: Tokens in the first of them, 1 where the server does not say; None
            where it begins a tool call, whose opening the engine keeps back.
        input_tokens: Prompt tokens, cached ones included.
        cached_tokens: Those from the prefix cache; None where the server does not say.
        output_tokens: Generated tokens.
        stop_reason: As the server gave it.
        status: HTTP status; 0 where there was no answer.
        error: What went wrong, or "".
        warmup: Not part of the measurement.
    """

    session: str
    turn: int
    scheduled_ns: int
    sent_ns: int
    first_event_ns: int | None = None
    first_token_ns: int | None = None
    first_output_ns: int | None = None
    first_action_ns: int | None = None
    last_token_ns: int | None = None
    ended_ns: int | None = None
    chunk_ns: list[int] = msgspec.field(default_factory=list)
    first_chunk_tokens: int | None = 1
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    stop_reason: str = ""
    status: int = 0
    error: str = ""
    warmup: bool = False

    @property
    def failed(self) -> bool:
        """It has no answer, or only part of one."""
        return bool(self.error)

    @property
    def dispatch_delay_s(self) -> float:
        """From when it was due until it was sent."""
        return (self.sent_ns - self.scheduled_ns) / _NS

    @property
    def ttfe_s(self) -> float | None:
        """Time to first event."""
        return self._since_sent(self.first_event_ns)

    @property
    def ttft_s(self) -> float | None:
        """Time to first token."""
        return self._since_sent(self.first_token_ns)

    @property
    def ttfo_s(self) -> float | None:
        """Time to first output: text or tool arguments, not thinking."""
        return self._since_sent(self.first_output_ns)

    @property
    def ttfa_s(self) -> float | None:
        """Time to first action: a complete tool call."""
        return self._since_sent(self.first_action_ns)

    @property
    def e2el_s(self) -> float | None:
        """End-to-end latency; None where it failed."""
        return None if self.failed else self._since_sent(self.ended_ns)

    @property
    def e2el_scheduled_s(self) -> float | None:
        """End-to-end latency from when it was due; None where it failed."""
        if self.failed or self.ended_ns is None:
            return None
        return (self.ended_ns - self.scheduled_ns) / _NS

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first chunk.

        None below two tokens, and where it is not known how many the first chunk stands for.
        """
        if self.first_token_ns is None or self.last_token_ns is None:
            return None
        if self.first_chunk_tokens is None:
            return None
        later = (self.output_tokens or 0) - self.first_chunk_tokens
        if later < 1 or self.last_token_ns == self.first_token_ns:
            return None
        return (self.last_token_ns - self.first_token_ns) / _NS / later

    @property
    def decoding_s(self) -> float:
        """From the first token to the last: the time in which it was part of decode steps."""
        if self.first_token_ns is None or self.last_token_ns is None:
            return 0.0
        return (self.last_token_ns - self.first_token_ns) / _NS

    @property
    def ntpot_s(self) -> float | None:
        """End-to-end latency over output tokens."""
        whole = self.e2el_s
        return whole / self.output_tokens if whole is not None and self.output_tokens else None

    @property
    def icl_s(self) -> list[float]:
        """Latencies between chunks; one fewer than chunks."""
        return [(later - one) / _NS for one, later in itertools.pairwise(self.chunk_ns)]

    @property
    def tokens_per_chunk(self) -> float | None:
        """Output tokens a chunk: about the accepted length under speculative decoding."""
        if not self.chunk_ns or not self.output_tokens:
            return None
        return self.output_tokens / len(self.chunk_ns)

    @property
    def fresh_tokens(self) -> int | None:
        """Prompt tokens that had to be computed; None where the server does not say."""
        if self.input_tokens is None or self.cached_tokens is None:
            return None
        return self.input_tokens - self.cached_tokens

    def _since_sent(self, moment: int | None) -> float | None:
        return None if moment is None else (moment - self.sent_ns) / _NS
