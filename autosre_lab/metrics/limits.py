"""What bounds an engine: the limits its recipe names, and what of its model each step reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from autosre_lab.metrics.roofline import ModelShape, model_shape

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["Limits", "recipe_limits", "shape_of"]

# Bytes a parameter by `model.quant`; of NVIDIA's NVFP4 checkpoints with FP8 attention.
_LAYOUTS: dict[str, dict[str, float]] = {
    "nvfp4": {
        "weight_bytes": 1.0,
        "expert_weight_bytes": 0.5625,
        "shared_expert_weight_bytes": 0.5625,
        "head_weight_bytes": 0.5625,
    },
    "fp8": {"weight_bytes": 1.0, "head_weight_bytes": 2.0},
}


class Limits(NamedTuple):
    """What the engine was started with; None where it is not known.

    Attributes:
        max_num_seqs: Requests in a batch.
        max_num_batched_tokens: Tokens in a step.
        shape: What of the model is read at each step.
        gpus: GPUs that share that reading (tensor parallelism).
    """

    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    shape: ModelShape | None = None
    gpus: int = 1


def recipe_limits(recipe: Recipe) -> Limits:
    """Return the limits that a recipe names; vLLM's own defaults are not guessed."""
    seqs = recipe.engine.args.get("max-num-seqs")
    gpus = recipe.engine.args.get("tensor-parallel-size")
    return Limits(
        max_num_seqs=seqs if isinstance(seqs, int) else None,
        max_num_batched_tokens=recipe.latency.max_step_tokens,
        shape=shape_of(recipe),
        gpus=gpus if isinstance(gpus, int) and gpus > 0 else 1,
    )


def shape_of(recipe: Recipe, config: dict[str, Any] | None = None) -> ModelShape | None:
    """Return the shape of a recipe's model; None where its ``config.json`` is not here.

    Args:
        recipe: What is served.
        config: The file's content, if the caller has it.
    """
    if config is None:
        config = _config_on_disk(recipe)
    if config is None:
        return None
    kv = str(recipe.engine.args.get("kv-cache-dtype", "auto"))
    layout = _LAYOUTS.get(recipe.model.quant or "", {})
    try:
        return model_shape(config, kv_bytes=1.0 if kv.startswith("fp8") else 2.0, **layout)
    except (KeyError, TypeError, ValueError):
        return None


def _config_on_disk(recipe: Recipe) -> dict[str, Any] | None:
    from autosre_lab.provision.model_folder import model_folder

    try:
        found = json.loads(Path(model_folder(recipe) / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
