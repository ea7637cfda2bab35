"""A recipe's model and this machine's memory, for the roofline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from autosre_lab.bench.machine import measure_bandwidth
from autosre_lab.bench.roofline import BANDWIDTHS, ModelShape, Roofline, model_shape, roofline
from autosre_lab.bench.summary import Summary
from autosre_lab.metrics.rates import WindowRates
from autosre_lab.recipe import Recipe

__all__ = ["ceiling_of", "shape_of"]

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


def ceiling_of(
    recipe: Recipe, summary: Summary, server: WindowRates | None, *, gpu: str | None = None
) -> Roofline | None:
    """Return a run's decode rate beside its ceiling; None where that cannot be known.

    Args:
        recipe: What was served.
        summary: The run's figures.
        server: The engine's own, for the accepted length of drafts.
        gpu: The GPU's name as NVML gives it; None on a CPU, whose memory is measured.
    """
    shape, tpot = shape_of(recipe), summary.latency.get("tpot")
    if shape is None or tpot is None or not summary.requests:
        return None
    if gpu is not None:
        bandwidth, source = BANDWIDTHS.get(gpu), f"data sheet of {gpu}"
    elif recipe.runtime is not None and recipe.runtime.device == "cpu":
        bandwidth, source = measure_bandwidth(), "measured here: a copy of 256 MB a core"
    else:
        bandwidth, source = None, ""
    if bandwidth is None:
        return None
    batch = max(1.0, summary.concurrency or 1.0)
    context = (summary.input_tokens + summary.output_tokens / 2) / summary.requests
    accepted = server.accept_len if server is not None and server.accept_len else 1.0
    positions = server.accept_by_position if server is not None else None
    return roofline(
        shape,
        bandwidth,
        source=source,
        batch=batch,
        context=context,
        accepted=accepted,
        verified=1.0 + len(positions or ()),
        measured_tps=batch / tpot.p50,
    )


def _config_on_disk(recipe: Recipe) -> dict[str, Any] | None:
    from autosre_lab.provision.model_folder import model_folder

    try:
        found = json.loads(Path(model_folder(recipe) / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
