"""What is served, as Codex's model catalogue: without one it falls back to a shape of its own."""

from __future__ import annotations

from collections.abc import Sequence

from autosre_lab.engine.protocol import ServedModel

__all__ = ["catalogue"]

_INSTRUCTIONS = (
    "You are a coding agent in the user's terminal, running on a local model. Work on the task "
    "until it is done: look before you change, make small changes with apply_patch, run what "
    "proves them, and say briefly what you did. Prefer `rg` to search. Never undo changes that "
    "are not yours."
)
"""Short on purpose: Codex's own take 17 KB, which a small window does not have."""

_AUTO_COMPACT_PERCENT = 70


def catalogue(models: Sequence[ServedModel], *, images: bool) -> dict[str, object]:
    """Return the catalogue of the served models.

    The fields are those that Codex 0.171 requires; an unknown word in one of them keeps it from
    starting.

    Args:
        models: What is served.
        images: They see images; otherwise Codex says so in an image's place.
    """
    return {"models": [_entry(model, images=images) for model in models]}


def _entry(model: ServedModel, *, images: bool) -> dict[str, object]:
    return {
        "slug": model.id,
        "display_name": model.id,
        "description": "served by vLLM on this machine",
        "default_reasoning_level": "medium",
        "supported_reasoning_levels": [
            {"effort": effort, "description": effort} for effort in ("low", "medium", "high")
        ],
        "shell_type": "shell_command",
        "visibility": "list",
        "supported_in_api": True,
        "priority": 0,
        "support_verbosity": False,
        "input_modalities": ["text", "image"] if images else ["text"],
        "supports_reasoning_summaries": True,
        "apply_patch_tool_type": "freeform",
        "truncation_policy": {"mode": "tokens", "limit": min(10_000, model.max_model_len // 8)},
        "experimental_supported_tools": [],
        "context_window": model.max_model_len,
        "auto_compact_token_limit": model.max_model_len * _AUTO_COMPACT_PERCENT // 100,
        "base_instructions": _INSTRUCTIONS,
    }
