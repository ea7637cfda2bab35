"""The Responses API request as typed structs.

Decoding is lenient where the translation has an answer to everything (unknown item types, unknown
fields) and strict where it has none. Schemas stay the client's own bytes (`msgspec.Raw`): no key
order is lost and no number is respelled.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from autosre_lab.proxy.engine_fields import EngineFields
from autosre_lab.proxy.messages.request import without_lone_surrogates
from autosre_lab.proxy.refusals import BadRequestError

__all__ = [
    "InputItem",
    "Reasoning",
    "ResponsesRequest",
    "TextConfig",
    "TextFormat",
    "Tool",
    "decode_request",
]

_T = TypeVar("_T")
_NOTHING = msgspec.Raw(b"")
_NO_LOGPROBS = (b"", b"null", b"0")
_LOGPROBS = "message.output_text.logprobs"


class InputItem(msgspec.Struct):
    """One item of the input, of any type; who uses a field checks it.

    A type that did not exist when this was written may give these names other meanings, so only
    `type` and `role` are checked while decoding.
    """

    type: str = ""
    role: str = ""
    id: Any = None
    content: msgspec.Raw = _NOTHING
    summary: msgspec.Raw = _NOTHING
    call_id: Any = None
    name: Any = None
    namespace: Any = None
    arguments: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    output: msgspec.Raw = _NOTHING
    action: msgspec.Raw = _NOTHING
    encrypted_content: Any = None
    status: Any = None


class Tool(msgspec.Struct, omit_defaults=True):
    """A tool that the client declares: a function, a free-form tool or a namespace of tools.

    The last four fields are a web search's.
    """

    type: str = ""
    name: str = ""
    description: str | None = None
    parameters: msgspec.Raw = _NOTHING
    strict: bool | None = None
    format: msgspec.Raw = _NOTHING
    tools: list[Tool] | None = None
    filters: msgspec.Raw = _NOTHING
    user_location: msgspec.Raw = _NOTHING
    search_context_size: str | None = None
    external_web_access: bool | None = None


class Reasoning(msgspec.Struct):
    """Whether and how deep the model shall reason."""

    effort: str | None = None
    summary: str | None = None


class TextFormat(msgspec.Struct, omit_defaults=True):
    """The form the answer has to have."""

    type: str = "text"
    name: str | None = None
    schema: msgspec.Raw = _NOTHING
    strict: bool | None = None


class TextConfig(msgspec.Struct):
    """What the answer's text shall look like."""

    format: TextFormat | None = None
    verbosity: str | None = None


class StreamOptions(msgspec.Struct):
    """How the stream is written; obfuscation is never added here."""

    include_obfuscation: bool | None = None


class ResponsesRequest(EngineFields, kw_only=True):
    """A request of `/v1/responses`."""

    model: str = ""
    input: str | list[InputItem] | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: msgspec.Raw = _NOTHING
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = None
    reasoning: Reasoning | None = None
    text: TextConfig | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: msgspec.Raw = _NOTHING
    truncation: str | None = None
    include: list[str] | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    client_metadata: msgspec.Raw = _NOTHING
    conversation: msgspec.Raw = _NOTHING
    prompt: msgspec.Raw = _NOTHING
    generate: bool | None = None
    # What this proxy itself has put in; see `continuation` and `routes`.
    continued_from: str | None = msgspec.field(default=None, name="_continued_from")
    in_background: bool | None = msgspec.field(default=None, name="_in_background")

    @property
    def warms(self) -> bool:
        """The prompt is to be computed, and nothing said: a warm-up."""
        return self.generate is False

    @property
    def items(self) -> list[InputItem]:
        """The input as items, where it is a text too."""
        if isinstance(self.input, str):
            content = msgspec.Raw(msgspec.json.encode(self.input))
            return [InputItem(type="message", role="user", content=content)]
        return self.input or []


_request_decoder = msgspec.json.Decoder(ResponsesRequest)


def decode_request(body: bytes) -> ResponsesRequest:
    """Decode and check a request body.

    Args:
        body: The JSON as it came.

    Raises:
        BadRequestError: It is not a request of the Responses API, or asks for what is
            not served here.
    """
    try:
        body.decode("utf-8")
        request = _decode_mended(_request_decoder, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"The request body is not valid: {error}") from error
    if not request.model:
        raise BadRequestError("A model name is required.")
    if request.max_output_tokens is not None and request.max_output_tokens < 1:
        raise BadRequestError("max_output_tokens has to be at least 1.")
    if request.truncation not in (None, "auto", "disabled"):
        raise BadRequestError(f"truncation {request.truncation[:80]!r} is not known.")
    if bytes(request.top_logprobs) not in _NO_LOGPROBS or _LOGPROBS in (request.include or ()):
        raise BadRequestError(
            f"Log probabilities are not served by this API here; leave out top_logprobs and "
            f"{_LOGPROBS}, or ask the engine's Chat Completions."
        )
    _refuse_what_is_not_kept(request)
    wanted = request.text.format if request.text is not None else None
    if wanted is not None and wanted.type not in ("text", "json_object", "json_schema"):
        raise BadRequestError(
            f"text.format of type {wanted.type!r} is not known; text, json_object and "
            "json_schema are.",
        )
    if wanted is not None and wanted.type == "json_schema" and not wanted.schema:
        raise BadRequestError("text.format of type json_schema needs a schema.")
    return request


def _refuse_what_is_not_kept(request: ResponsesRequest) -> None:
    """Refuse what would have to be looked up, instead of forgetting it."""
    stored = {
        "background": bool(request.background),
        "previous_response_id": bool(request.previous_response_id),
        "conversation": bytes(request.conversation) not in (b"", b"null"),
        "prompt": bytes(request.prompt) not in (b"", b"null"),
        "an item_reference": any(item.type == "item_reference" for item in request.items),
    }
    asked = [name for name, given in stored.items() if given]
    if asked:
        raise BadRequestError(
            f"No response is stored here, so {' and '.join(asked)} cannot be served; send the "
            "whole input with each request."
        )


def _decode_mended(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fixed = without_lone_surrogates(data)
        if fixed == data:
            raise
        return decoder.decode(fixed)
