"""A run's decode rate beside what this memory allows for this model."""

from __future__ import annotations

from autosre_lab.bench.machine import measure_bandwidth
from autosre_lab.bench.summary import Summary
from autosre_lab.metrics.limits import recipe_limits
from autosre_lab.metrics.rates import WindowRates
from autosre_lab.metrics.roofline import Roofline, bandwidth_of, roofline
from autosre_lab.recipe import Recipe

__all__ = ["ceiling_of"]


def ceiling_of(
    recipe: Recipe, summary: Summary, server: WindowRates | None, *, gpu: str | None = None
) -> Roofline | None:
    """Return a run's decode rate beside its ceiling; None where that cannot be known.

    The batch is the work done: seconds spent between first and last tokens, all requests together,
    over the run's seconds. Requests that wait or prefill are under way too, and decode nothing.

    Args:
        recipe: What was served.
        summary: The run's figures.
        server: The engine's own, for the accepted length of drafts.
        gpu: The GPU's name as NVML gives it; None on a CPU, whose memory is measured.
    """
    limits = recipe_limits(recipe)
    if limits.shape is None or not summary.decoding or not summary.requests:
        return None
    if gpu is not None:
        bandwidth, source = bandwidth_of(gpu), f"data sheet of {gpu}"
        if bandwidth is not None and limits.gpus > 1:
            bandwidth, source = bandwidth * limits.gpus, f"{source}, {limits.gpus} of them"
    elif recipe.runtime is not None and recipe.runtime.device == "cpu":
        bandwidth, source = measure_bandwidth(), "measured here: a copy of 256 MB a core"
    else:
        bandwidth, source = None, ""
    if bandwidth is None:
        return None
    context = (summary.input_tokens + summary.output_tokens / 2) / summary.requests
    accepted = server.accept_len if server is not None and server.accept_len else 1.0
    positions = server.accept_by_position if server is not None else None
    return roofline(
        limits.shape,
        bandwidth,
        source=source,
        batch=max(1.0, summary.decoding),
        context=context,
        accepted=accepted,
        verified=1.0 + len(positions or ()),
        measured_tps=summary.decoded_tps,
    )
