"""The engine's side of a stream: Chat Completions chunks as typed structs.

Only the fields that the translation reads are declared; msgspec skips the others without building
objects for them, which is most of what makes a chunk cheap. A line that does not fit is read a
second time by `chunk_mending`, leniently: a counter must never cost an answer.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from autosre_lab.errors import RemoteError
from autosre_lab.proxy import chunk_mending
from autosre_lab.proxy.chunk_mending import MOST_TOKENS
from autosre_lab.proxy.refusals import said_in

__all__ = [
    "FINISH_REASONS",
    "ChatChoice",
    "ChatChunk",
    "ChatDelta",
    "ChatFunctionDelta",
    "ChatToolCallDelta",
    "ChatUsage",
    "ChunkDecoder",
    "PromptTokensDetails",
    "TokenCounts",
    "UnreadableChunkError",
    "UpstreamStreamError",
    "decode_chunk",
    "reported_error",
]

FINISH_REASONS = frozenset(
    {"stop", "length", "tool_calls", "function_call", "content_filter", "repetition"}
)
"""The words that end an answer: OpenAI's, and vLLM's own "repetition".

vLLM's "abort" and "error" are none of them, and neither are "", "null" and words that nobody
knows: some engines send them in every chunk.
"""

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

    `stop_reason` is vLLM's own: the stop string that matched, or a token id. `message` is a whole
    answer, which some engines send in one event, or as JSON, where a stream was asked for.
    """

    delta: ChatDelta | None = None
    message: ChatDelta | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None


class PromptTokensDetails(msgspec.Struct, gc=False):
    """What of the prompt the prefix cache held and what it keeps from now on.

    Told with `--enable-prompt-tokens-details` only.
    """

    cached_tokens: int | None = None
    created_cache_tokens: int | None = None


class ChatUsage(msgspec.Struct, gc=False):
    """Token counts. `prompt_tokens` includes the cached ones."""

    prompt_tokens: int = 0
    completion_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None


class TokenCounts:
    """The newest counts of an answer, whatever the engine says: never negative, and they add up.

    Attributes:
        prompt: Prompt tokens, the cached ones included; of the newest question to the engine.
        output: Generated tokens.
        earlier: Those of earlier questions, of an answer that takes several; `output` has them.
    """

    __slots__ = ("_base", "_cached", "_created", "_prompt_told", "earlier", "output", "prompt")

    def __init__(self) -> None:
        self.prompt = 0
        self.output = 0
        self.earlier = 0
        self._base = 0
        self._prompt_told = False
        self._cached = 0
        self._created = 0

    @property
    def cached(self) -> int:
        """Prompt tokens that the prefix cache held."""
        return min(self._cached, self.prompt)

    @property
    def computed(self) -> int:
        """Prompt tokens that were not in the cache."""
        return self.prompt - self.cached

    @property
    def created(self) -> int:
        """Of the computed ones, what the cache keeps from now on, where the engine says so."""
        return min(self._created, self.computed)

    def next_question(self) -> None:
        """The engine is asked again; what it says of its prompt now is of another one."""
        self.earlier = self._base = self.output
        self._cached = self._created = 0
        self._prompt_told = False

    def begin_again(self, *, keep: bool) -> None:
        """The same question is asked again; `keep`: what came of it stays part of the answer."""
        self._base = self.output = self.output if keep else self.earlier
        # A prompt that carries half of the answer is not the client's.
        self._prompt_told = keep and self.prompt > 0

    def note(self, usage: ChatUsage) -> None:
        """Take what the engine says now; what it leaves out, or cannot be, changes nothing."""
        prompt = usage.prompt_tokens
        if 0 < prompt <= MOST_TOKENS and not self._prompt_told:
            self.prompt = prompt
        output = usage.completion_tokens
        if output and 0 < output <= MOST_TOKENS:
            self.output = self._base + output
        details = usage.prompt_tokens_details
        if details is not None and not self._prompt_told:
            if details.cached_tokens and details.cached_tokens > 0:
                self._cached = details.cached_tokens
            if details.created_cache_tokens and details.created_cache_tokens > 0:
                self._created = details.created_cache_tokens


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


class UnreadableChunkError(UpstreamStreamError):
    """What came is no chunk of an answer."""


_BODY_CHARS = 2000
_decoder = msgspec.json.Decoder(ChatChunk)
_ABSENT = frozenset({b"", b"null"})
_NO_ERROR = _ABSENT | {b"{}", b"[]", b'""', b"false", b"0"}
"""What some engines write into `error` beside a piece of an answer, where there is none."""

_CODES = ("code", "status", "status_code", "statusCode")


class ChunkDecoder:
    """Decodes the lines of one stream.

    It remembers half an emoji: engines cut their text anywhere, also between the two halves of a
    surrogate pair or the bytes of a character, and the next chunk has the rest.
    """

    def __init__(self) -> None:
        self._halves: dict[str, str] = {}

    def decode(self, data: bytes) -> ChatChunk | None:
        """Decode what follows `data: ` on one line of the engine's stream.

        Args:
            data: The line's payload; surrounding white space does not matter.

        Returns:
            The chunk, or None for the closing `[DONE]`.

        Raises:
            UpstreamStreamError: The engine reports an error, or the bytes are not a chunk.
        """
        try:
            chunk = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if data.strip() == b"[DONE]":
                return None
            chunk = _mended(data)
            chunk_mending.join_halves(chunk, self._halves)
        else:
            if self._halves:
                chunk_mending.join_halves(chunk, self._halves)
        # `Raw | None` would take nothing but null: the union swallows the raw part.
        if chunk.error is not _NOTHING:
            told = bytes(chunk.error)
            if told not in (_NO_ERROR if chunk.choices else _ABSENT):
                raise reported_error(told, data)
        if not chunk.choices and _is_flat_error(data):
            raise reported_error(data, data)
        return chunk


def _is_flat_error(data: bytes) -> bool:
    """Whether a chunk is an error by itself: without `error`, and no sign of life either."""
    body = _decoded(data)
    if not isinstance(body, dict) or body.get("object") == "error":
        return isinstance(body, dict)
    if body.get("choices") or "usage" in body or not said_in(body):
        return False
    kind = body.get("type")
    return (
        any(body.get(name) for name in ("detail", "errors", "error_message"))
        or _code_of(body) is not None
        or (isinstance(kind, str) and "error" in kind.lower())
    )


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _code_of(detail: object) -> int | None:
    """The HTTP status that an error names, wherever it stands in it."""
    if isinstance(detail, list):
        return next((code for code in map(_code_of, detail) if code), None)
    if not isinstance(detail, dict):
        return None
    for name in _CODES:
        code = detail.get(name)
        if isinstance(code, (str, int, float)) and re.fullmatch(r"[45]\d\d(\.0)?", str(code)):
            return int(str(code)[:3])
    return _code_of(detail.get("error"))


def decode_chunk(data: bytes) -> ChatChunk | None:
    """Decode one line by itself, as `ChunkDecoder.decode` does."""
    return ChunkDecoder().decode(data)


def _mended(data: bytes) -> ChatChunk:
    try:
        body: Any = chunk_mending.read(data)
        return msgspec.convert(body, ChatChunk)
    except (ValueError, RecursionError) as error:
        raise UnreadableChunkError(
            "its stream carries something that is no chunk of an answer",
            status=502,
            body=_text(data),
        ) from error


def reported_error(
    detail_json: bytes,
    data: bytes,
    *,
    otherwise: str = "the engine reported an error without a message",
) -> UpstreamStreamError:
    """Return the error that an engine reports.

    Args:
        detail_json: The object (or text) with `message`, `type` and `code`.
        data: All that came, for the log.
        otherwise: What is said where it says nothing.
    """
    detail = _decoded(detail_json)
    said = said_in(detail)
    kind = detail.get("type") if isinstance(detail, dict) else ""
    return UpstreamStreamError(
        said or otherwise,
        status=_code_of(detail) or 502,
        body=_text(data),
        kind=kind if isinstance(kind, str) else "",
    )


def _text(data: bytes) -> str:
    return data[:_BODY_CHARS].decode("utf-8", "replace")
