"""The pages of `/v1/models`, which both Anthropic's and OpenAI's clients can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autosre_lab.engine.protocol import ServedModel

__all__ = ["model_list", "one_model"]


def model_list(models: Sequence[ServedModel], _: Mapping[str, str]) -> dict[str, object]:
    """Return the list of what is served."""
    cards = [_card(model.id, model.max_model_len) for model in models]
    return {
        "object": "list",
        "data": cards,
        "has_more": False,
        "first_id": cards[0]["id"],
        "last_id": cards[-1]["id"],
    }


def one_model(models: Sequence[ServedModel], parts: Mapping[str, str]) -> dict[str, object]:
    """Return the card of a model; any name is answered by the served one."""
    return _card(parts["model"], models[0].max_model_len)


def _card(model: str, max_model_len: int) -> dict[str, object]:
    return {
        "type": "model",
        "id": model,
        "display_name": model,
        "created_at": "1970-01-01T00:00:00Z",
        "object": "model",
        "created": 0,
        "owned_by": "autosre",
        "max_model_len": max_model_len,
        # What the newest SDK's strict mode wants beside Anthropic's older fields.
        "max_input_tokens": max_model_len,
        "max_tokens": max_model_len,
        "capabilities": None,
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
    }
