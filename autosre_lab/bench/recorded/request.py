"""One recorded request and one recorded session, wherever they were read from."""

from __future__ import annotations

import msgspec

__all__ = ["RecordedRequest", "RecordedSession"]


class RecordedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a request that was made.

    Attributes:
        start_s: When it was sent, seconds since the epoch.
        end_s: When its answer was complete.
        model: The model's name.
        input_tokens: Prompt tokens, cached ones included.
        cached_tokens: Those from the prefix cache.
        output_tokens: Generated.
        stop: ``tool_use``, ``end_turn`` or another of Anthropic's reasons.
        ttft_s: Time to first token, where it was recorded.
        agent: The subagent's id; "" for the main conversation.
        text: The new input, where contents were recorded.
        answer: The answer's text, likewise.
        tool: The tool that it called first, or "".
    """

    start_s: float
    end_s: float
    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    stop: str = ""
    ttft_s: float | None = None
    agent: str = ""
    text: str = ""
    answer: str = ""
    tool: str = ""


class RecordedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session's requests in order of their start.

    Attributes:
        id: As the client named it.
        requests: Main conversation and subagents together.
    """

    id: str
    requests: tuple[RecordedRequest, ...]

    def of_agent(self, agent: str) -> list[RecordedRequest]:
        """Return the requests of one agent; "" is the main conversation."""
        return [one for one in self.requests if one.agent == agent]

    @property
    def agents(self) -> list[str]:
        """Subagents in order of their first request."""
        return list(dict.fromkeys(one.agent for one in self.requests if one.agent))
