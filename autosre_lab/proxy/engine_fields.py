"""vLLM's own request fields in a dialect's request: handed on as they are, or refused by name.

Only what leaves the form of the answer as it is can be handed on. Nothing is dropped in silence
but `priority`: what comes first is decided here, by kind of request.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from operator import attrgetter
from typing import Any

import msgspec

from autosre_lab.proxy.refusals import BadRequestError

__all__ = ["EngineFields", "engine_fields", "switched"]

_UNSET = msgspec.Raw(b"")


class EngineFields(msgspec.Struct, kw_only=True):
    """Fields of vLLM's chat requests beside a dialect's, each as the bytes it came in."""

    allowed_token_ids: msgspec.Raw = _UNSET
    bad_words: msgspec.Raw = _UNSET
    cache_salt: msgspec.Raw = _UNSET
    chat_template_kwargs: msgspec.Raw = _UNSET
    documents: msgspec.Raw = _UNSET
    ec_transfer_params: msgspec.Raw = _UNSET
    frequency_penalty: msgspec.Raw = _UNSET
    ignore_eos: msgspec.Raw = _UNSET
    include_stop_str_in_output: msgspec.Raw = _UNSET
    kv_transfer_params: msgspec.Raw = _UNSET
    length_penalty: msgspec.Raw = _UNSET
    logit_bias: msgspec.Raw = _UNSET
    media_io_kwargs: msgspec.Raw = _UNSET
    min_p: msgspec.Raw = _UNSET
    min_tokens: msgspec.Raw = _UNSET
    mm_processor_kwargs: msgspec.Raw = _UNSET
    presence_penalty: msgspec.Raw = _UNSET
    reasoning_effort: msgspec.Raw = _UNSET
    repetition_detection: msgspec.Raw = _UNSET
    repetition_penalty: msgspec.Raw = _UNSET
    seed: msgspec.Raw = _UNSET
    session_id: msgspec.Raw = _UNSET
    skip_special_tokens: msgspec.Raw = _UNSET
    spaces_between_special_tokens: msgspec.Raw = _UNSET
    stop_token_ids: msgspec.Raw = _UNSET
    stream_interval: msgspec.Raw = _UNSET
    structured_outputs: msgspec.Raw = _UNSET
    thinking_token_budget: msgspec.Raw = _UNSET
    truncate_prompt_tokens: msgspec.Raw = _UNSET
    truncation_side: msgspec.Raw = _UNSET
    vllm_xargs: msgspec.Raw = _UNSET
    watermarking: msgspec.Raw = _UNSET

    # Refused: the answer would have another form, or the prompt would not be the conversation.
    add_generation_prompt: msgspec.Raw = _UNSET
    add_special_tokens: msgspec.Raw = _UNSET
    chat_template: msgspec.Raw = _UNSET
    continue_final_message: msgspec.Raw = _UNSET
    echo: msgspec.Raw = _UNSET
    include_reasoning: msgspec.Raw = _UNSET
    logprobs: msgspec.Raw = _UNSET
    logprob_token_ids: msgspec.Raw = _UNSET
    n: msgspec.Raw = _UNSET
    prompt_logprobs: msgspec.Raw = _UNSET
    request_id: msgspec.Raw = _UNSET
    response_format: msgspec.Raw = _UNSET
    return_prompt_text: msgspec.Raw = _UNSET
    return_token_ids: msgspec.Raw = _UNSET
    return_token_offsets: msgspec.Raw = _UNSET
    return_tokens_as_token_ids: msgspec.Raw = _UNSET
    stop: msgspec.Raw = _UNSET
    top_logprobs: msgspec.Raw = _UNSET
    use_beam_search: msgspec.Raw = _UNSET


_REFUSED = frozenset(
    {
        "add_generation_prompt",
        "add_special_tokens",
        "chat_template",
        "continue_final_message",
        "echo",
        "include_reasoning",
        "logprobs",
        "logprob_token_ids",
        "n",
        "prompt_logprobs",
        "request_id",
        "response_format",
        "return_prompt_text",
        "return_token_ids",
        "return_token_offsets",
        "return_tokens_as_token_ids",
        "stop",
        "top_logprobs",
        "use_beam_search",
    }
)
_NAMES = EngineFields.__struct_fields__
_values = attrgetter(*_NAMES)
_ALL_ABSENT = (_UNSET,) * len(_NAMES)
_NOTHING = (b"", b"null")
_AS_IF_ABSENT = (b"", b"null", b"false", b"[]")


def engine_fields(
    request: EngineFields,
    *,
    answers: str,
    instead: Mapping[str, str],
    handed_on: Container[str] = (),
    judged: Container[str] = (),
) -> dict[str, Any]:
    """Return the fields to hand on.

    Args:
        request: What was asked.
        answers: What the dialect's answers are called.
        instead: By a field that is refused, what the dialect has in its place.
        handed_on: Fields that are refused elsewhere and have no other name in this dialect.
        judged: Fields that are the dialect's own, and were looked at already.

    Raises:
        BadRequestError: One of them cannot be, or `chat_template_kwargs` is no object.
    """
    fields: dict[str, Any] = {}
    values: tuple[msgspec.Raw, ...] = _values(request)
    if values == _ALL_ABSENT:
        return fields
    for name, raw in zip(_NAMES, values, strict=True):
        data = bytes(raw)
        if name in judged:
            continue
        if name in _REFUSED and name not in handed_on:
            if data not in _AS_IF_ABSENT and not (name == "n" and data == b"1"):
                other = f"; use {instead[name]}" if name in instead else ""
                raise BadRequestError(
                    f"{name}: this proxy cannot hand it on to the engine, since its answers are "
                    f"{answers}{other}"
                )
        elif data not in _NOTHING:
            fields[name] = raw
    if "chat_template_kwargs" in fields:
        # Ours are merged with it, and the count of a prompt needs it too.
        try:
            kwargs = msgspec.json.decode(fields["chat_template_kwargs"], type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise BadRequestError(f"chat_template_kwargs: {error}") from error
        fields["chat_template_kwargs"] = kwargs
    return fields


def switched(request: EngineFields, switch: str | None) -> bool | None:
    """Return what `chat_template_kwargs` says of the template's switch for thinking.

    Args:
        request: What was asked.
        switch: The switch's name; None where the template has none.

    Returns:
        On or off; None where it says nothing.
    """
    if switch is None or not request.chat_template_kwargs:
        return None
    kwargs = msgspec.json.decode(request.chat_template_kwargs)
    said = kwargs.get(switch) if isinstance(kwargs, dict) else None
    return said if isinstance(said, bool) else None
