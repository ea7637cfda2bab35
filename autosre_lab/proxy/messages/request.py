"""The Messages API request as typed structs.

Decoding is lenient where the translation has an answer to everything (unknown block types, unknown
fields) and strict where it has none. Values that are only carried through, a tool's schema or a
tool call's input, stay the client's own bytes (`msgspec.Raw`): no key order is lost and no number
is respelled.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar

import msgspec

from autosre_lab.proxy.engine_fields import EngineFields
from autosre_lab.proxy.refusals import BadRequestError

__all__ = [
    "BadRequestError",
    "BlockSource",
    "ContentBlock",
    "InputMessage",
    "MessagesRequest",
    "Metadata",
    "OutputConfig",
    "OutputFormat",
    "ThinkingConfig",
    "ToolChoice",
    "ToolDefinition",
    "decode_blocks",
    "decode_request",
    "without_lone_surrogates",
]

_T = TypeVar("_T")
_NOTHING = msgspec.Raw(b"")


class BlockSource(msgspec.Struct):
    """Where the bytes of an image or a document are."""

    type: str = ""
    media_type: str = ""
    data: str = ""
    url: str = ""
    content: msgspec.Raw = _NOTHING


class ContentBlock(msgspec.Struct):
    """One content block of any type.

    A type that did not exist when this was written may give these names other meanings. So only
    `type` is checked while decoding; who uses a field checks it.
    """

    type: str = ""
    text: Any = None
    thinking: Any = None
    id: Any = None
    name: Any = None
    tool_use_id: Any = None
    tool_name: Any = None
    is_error: Any = None
    title: Any = None
    context: Any = None
    input: msgspec.Raw = _NOTHING
    content: msgspec.Raw = _NOTHING
    source: msgspec.Raw = _NOTHING
    tool: msgspec.Raw = _NOTHING


class InputMessage(msgspec.Struct):
    """One message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[ContentBlock] | None = None


class ToolDefinition(msgspec.Struct):
    """A tool that the client declares. `type` is absent or "custom" for its own tools.

    The fields without a type of their own belong to tools that Anthropic defined.
    """

    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = _NOTHING
    strict: bool | None = None
    defer_loading: Any = None
    display_width_px: Any = None
    display_height_px: Any = None
    enable_zoom: Any = None
    max_characters: Any = None
    allowed_domains: Any = None
    blocked_domains: Any = None
    max_uses: Any = None
    user_location: Any = None


class ToolChoice(msgspec.Struct):
    """Whether and which tool the model has to call."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(msgspec.Struct):
    """Whether the model shall think, and for how many tokens at most."""

    type: str
    budget_tokens: int | None = None


class OutputFormat(msgspec.Struct):
    """The form the answer has to have."""

    type: str = ""
    schema: msgspec.Raw = _NOTHING


class OutputConfig(msgspec.Struct):
    """How much effort the answer is worth and the form it has to have.

    An effort that nobody knows counts as none given; it is never worth a refusal.
    """

    effort: Any = None
    format: OutputFormat | None = None


class Metadata(msgspec.Struct):
    """What the client says about itself. Claude Code puts its session id here."""

    user_id: str | None = None


class MessagesRequest(EngineFields, kw_only=True):
    """A request of `/v1/messages`, or of `/v1/messages/count_tokens` without `max_tokens`."""

    model: str
    messages: list[InputMessage]
    max_tokens: int | None = None
    system: str | list[ContentBlock] | None = None
    tools: list[ToolDefinition] | None = None
    tool_choice: ToolChoice | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    metadata: Metadata | None = None


_request_decoder = msgspec.json.Decoder(MessagesRequest)
_blocks_decoder: msgspec.json.Decoder[str | list[ContentBlock] | None] = msgspec.json.Decoder(
    str | list[ContentBlock] | None
)

# Every escape is matched, so that an escaped backslash before "ud800" is not taken for one; the
# group is set for half of a surrogate pair that stands alone.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def decode_request(body: bytes, *, counting: bool = False) -> MessagesRequest:
    """Decode and check a request body.

    Args:
        body: The JSON as it came.
        counting: It is a count_tokens request, which has no `max_tokens`.

    Returns:
        The request.

    Raises:
        BadRequestError: It is not a request of the Messages API.
    """
    try:
        body.decode("utf-8")
        request = _decode_mended(_request_decoder, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(f"the request body is not valid: {error}") from error
    if not request.messages:
        raise BadRequestError("messages: at least one message is required")
    if not request.model:
        raise BadRequestError("model: a name is required")
    if not counting and (request.max_tokens is None or request.max_tokens < 0):
        raise BadRequestError("max_tokens: a number is required; 0 only computes the prompt")
    if "" in (request.stop_sequences or ()):
        raise BadRequestError("stop_sequences: an empty text stops nothing; leave it out")
    for position, tool in enumerate(request.tools or ()):
        if not tool.name and tool.type in (None, "custom", "function"):
            raise BadRequestError(f"tools[{position}].name: a name is required")
    return request


def decode_blocks(raw: msgspec.Raw) -> str | list[ContentBlock] | None:
    """Decode the content nested in a block; None if it is no content at all."""
    if not raw:
        return None
    try:
        return _decode_mended(_blocks_decoder, bytes(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def without_lone_surrogates(data: bytes) -> bytes:
    """Replace escapes of half a surrogate pair by the replacement character's.

    JavaScript cuts strings between the halves and writes what is left as an escape. No tokenizer
    takes it, and refusing it would end the session for good.
    """
    return _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], data)


def _decode_mended(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Looking for them in every body would cost more than decoding it does.
        fixed = without_lone_surrogates(data)
        if fixed == data:
            raise
        return decoder.decode(fixed)
