"""The engine's side of a stream: Chat Completions chunks as typed structs.

Only the fields that the translation reads are declared; msgspec skips the others without building
objects for them, which is most of what makes a chunk cheap. What does not fit is read a second
time, leniently (`lenient_chunks`): a counter or half an emoji must never cost an answer.
"""

from __future__ import annotations

import msgspec

from autosre_lab.errors import RemoteError

__all__ = [
    "ENDING_REASONS",
    "ChatChoice",
    "ChatChunk",
    "ChatDelta",
    "ChatFunctionDelta",
    "ChatToolCallDelta",
    "ChatUsage",
    "PromptTokensDetails",
    "TokenCounts",
    "UpstreamStreamError",
    "decode_chunk",
    "reported_error",
]

ENDING_REASONS = frozenset(
    {"stop", "length", "tool_calls", "function_call", "content_filter", "repetition"}
)
"""The reasons by which an answer has ended. "abort" and "error" are the engine's own end of the
request, and whatever else stands there ("", "null") is no reason."""


_NOTHING = msgspec.Raw(b"")


class ChatFunctionDelta(msgspec.Struct, gc=False):
    """A piece of a function call: the name once, the arguments in fragments."""

    name: str | None = None
    arguments: str | None = None


class ChatToolCallDelta(msgspec.Struct, gc=False):
    """A piece of one tool call. Pieces of one call share the index."""

    index: int | None = None
    id: str | None = None
    function: ChatFunctionDelta | None = None


class ChatDelta(msgspec.Struct, gc=False):
    """What one chunk adds to the message.

    `reasoning_content` is the older name of `reasoning`; an engine sends one of them.
    """

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[ChatToolCallDelta] | None = None


class ChatChoice(msgspec.Struct, gc=False):
    """One choice of a chunk. We ask for one, so the list holds one or none.

    `stop_reason` is vLLM's own: the stop string that matched, or a token id.
    """

    delta: ChatDelta | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None


class PromptTokensDetails(msgspec.Struct, gc=False):
    """How much of the prompt came from the prefix cache (`--enable-prompt-tokens-details`)."""

    cached_tokens: int | None = None
    created_cache_tokens: int | None = None


class ChatUsage(msgspec.Struct, gc=False):
    """Token counts. `prompt_tokens` includes the cached ones."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None


class TokenCounts:
    """The newest counts of an answer: never negative, and none of them more than it can be.

    Attributes:
        prompt: Prompt tokens, the cached ones included.
        cached: Of these, what the prefix cache held.
        created: Of these, what was newly written into the cache; 0 where the engine does not say.
        output: Generated tokens.
    """

    __slots__ = ("cached", "created", "output", "prompt")

    def __init__(self) -> None:
        self.prompt = 0
        self.cached = 0
        self.created = 0
        self.output = 0

    @property
    def computed(self) -> int:
        """Prompt tokens that were not in the cache."""
        return self.prompt - self.cached

    def note(self, usage: ChatUsage) -> None:
        """Take what the engine says now; what it leaves out stays."""
        if (prompt := usage.prompt_tokens) is not None and prompt > 0:
            self.prompt = prompt
        if (output := usage.completion_tokens) is not None and output > 0:
            self.output = output
        if (details := usage.prompt_tokens_details) is not None:
            if (cached := details.cached_tokens) is not None and cached > 0:
                self.cached = cached
            if (created := details.created_cache_tokens) is not None and created > 0:
                self.created = created
        if self.cached > self.prompt:
            self.cached = self.prompt
        if self.created > self.prompt - self.cached:
            self.created = self.prompt - self.cached


class ChatChunk(msgspec.Struct, gc=False):
    """One `data:` line of a Chat Completions stream.

    `error` is set only on the chunk by which vLLM reports that the request failed mid-stream.
    """

    choices: list[ChatChoice] | None = None
    usage: ChatUsage | None = None
    error: msgspec.Raw = _NOTHING


class UpstreamStreamError(RemoteError):
    """The engine broke off a stream: an `error` chunk, or bytes that are no chunk at all.

    Attributes:
        status: The code inside the error chunk, 502 where there is none.
        body: The chunk's text, possibly cut.
        kind: The engine's own name of the error ("BadRequestError"), or "" if it gave none.
    """

    def __init__(self, message: str, *, status: int, body: str, kind: str = "") -> None:
        super().__init__(
            message,
            remedy="look at the engine's log for the same moment; the client may send it again",
            status=status,
            body=body,
        )
        self.kind = kind


class _ErrorDetail(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: int | str | None = None


_BODY_CHARS = 2000
_decoder = msgspec.json.Decoder(ChatChunk)
_detail_decoder = msgspec.json.Decoder(_ErrorDetail)


def decode_chunk(data: bytes) -> ChatChunk | None:
    """Decode the data of one event of the engine's stream.

    Args:
        data: The event's data; surrounding white space does not matter.

    Returns:
        The chunk, or None for the closing `[DONE]`.

    Raises:
        UpstreamStreamError: The engine reports an error, or the bytes are not a chunk.
    """
    try:
        chunk = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if data.strip() == b"[DONE]":
            return None
        raise UpstreamStreamError(
            "the engine's stream carries something that is no chunk", status=502, body=_text(data)
        ) from error
    # `Raw | None` would take nothing but null: the union swallows the raw part.
    if chunk.error and bytes(chunk.error) != b"null":
        raise reported_error(bytes(chunk.error), data)
    if chunk.choices is None and b'"error"' in data:
        raise reported_error(data, data)  # the older form: {"object":"error","message":…}
    return chunk


def reported_error(detail_json: bytes, data: bytes) -> UpstreamStreamError:
    """Return the error that an engine reports.

    Args:
        detail_json: The object (or text) with `message`, `type` and `code`.
        data: All that came, for the log.
    """
    try:
        detail = _detail_decoder.decode(detail_json)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = _ErrorDetail(message=_text(detail_json))
    code = str(detail.code or "")
    return UpstreamStreamError(
        detail.message or "the engine reported an error without a message",
        status=int(code) if code.isdecimal() and len(code) == 3 else 502,
        body=_text(data),
        kind=detail.type or "",
    )


def _text(data: bytes) -> str:
    return data[:_BODY_CHARS].decode("utf-8", "replace")
