"""Rates and bottleneck of the last seconds: one computation for feed, terminal and dashboard."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable

from autosre_lab.metrics.bottleneck import Bottleneck, find_bottleneck
from autosre_lab.metrics.engine_sample import EngineSample
from autosre_lab.metrics.gpu import GpuReading
from autosre_lab.metrics.limits import Limits
from autosre_lab.metrics.rates import WindowRates, rates_of
from autosre_lab.metrics.roofline import bandwidth_of, bytes_per_step
from autosre_lab.metrics.windows import EngineWindow, merged_windows, window_between

__all__ = ["LiveRates"]


class LiveRates:
    """Takes scrapes, and gives the rates and the bottleneck of the last seconds.

    Restarts of the engine are left out.

    Args:
        seconds: How far back; 0 takes the last two scrapes.
        limits: Tells the engine's limits, and its model's shape.
        step_bytes: Bytes that a decode step reads; by the model's shape where not given.
        bandwidth_bytes_per_s: The memory's bandwidth; by the GPU's name where not given.
    """

    def __init__(
        self,
        seconds: float = 10.0,
        *,
        limits: Callable[[], Limits] = Limits,
        step_bytes: float | None = None,
        bandwidth_bytes_per_s: float | None = None,
    ) -> None:
        self._reach_ns = int(seconds * 1e9)
        self._limits = limits
        self._step_bytes = step_bytes
        self._bandwidth = bandwidth_bytes_per_s
        self._scrapes: deque[EngineSample] = deque()
        self._newest: EngineSample | None = None
        self._rates: WindowRates | None = None

    def add(self, scrape: EngineSample | None, gpu: GpuReading | None = None) -> WindowRates | None:
        """Take a scrape and return the rates up to it; None before there are two.

        Args:
            scrape: The newest; None where the engine did not answer.
            gpu: The GPUs at that moment: their name tells the memory's bandwidth.
        """
        self._newest, self._rates = scrape, None
        if scrape is None:
            return None
        limits = self._limits()
        self._scrapes.append(scrape)
        # One at or before the window's begin stays, so that the window is whole.
        while len(self._scrapes) > 2 and (
            scrape.clock_ns - self._scrapes[1].clock_ns >= self._reach_ns
        ):
            self._scrapes.popleft()
        if len(self._scrapes) < 2:
            return None
        whole = window_between(self._scrapes[0], scrape)
        if whole.dropped is not None:
            whole = merged_windows(
                window_between(before, after) for before, after in itertools.pairwise(self._scrapes)
            )
        step_bytes = self._step_bytes
        if step_bytes is None and limits.shape is not None:
            step_bytes = _step_bytes(limits, whole, scrape)
        self._rates = rates_of(
            whole,
            step_bytes=step_bytes,
            bandwidth_bytes_per_s=self._bandwidth or _bandwidth(gpu, limits.gpus),
        )
        return self._rates

    def bottleneck(self) -> Bottleneck:
        """Return what holds the engine back, by the last seconds."""
        limits = self._limits()
        return find_bottleneck(
            self._newest,
            self._rates,
            max_num_seqs=limits.max_num_seqs,
            max_num_batched_tokens=limits.max_num_batched_tokens,
        )


def _bandwidth(gpu: GpuReading | None, gpus: int) -> float | None:
    """Bandwidth of the GPUs that serve together, by the name that NVML gives."""
    names = [one.name or "" for one in gpu.gpus] if gpu is not None else []
    each = [bandwidth_of(name) for name in names[:gpus]]
    known = [one for one in each if one is not None]
    return sum(known) if len(known) == gpus else None


def _step_bytes(limits: Limits, window: EngineWindow, scrape: EngineSample) -> float | None:
    """Bytes that a step of the window read on average, by the model's shape."""
    assert limits.shape is not None  # noqa: S101 - asked for where there is one
    steps = window.histograms.get("iteration_tokens")
    generated = window.counters.get("generation_tokens")
    if steps is None or generated is None or steps.count <= 0:
        return None
    drafts, accepted = window.counters.get("drafts"), window.counters.get("accepted_tokens")
    gained = 1.0 + accepted / drafts if drafts and accepted is not None else 1.0
    return bytes_per_step(
        limits.shape,
        batch=generated / steps.count / gained,
        context=_context(window, scrape),
        tokens_per_sequence=1.0 + len(window.accepted_per_position or ()),
    )


def _context(window: EngineWindow, scrape: EngineSample) -> float:
    """Mean context of a request: of those that ended, else by the blocks in use."""
    prompt = window.histograms.get("request_prompt_tokens")
    output = window.histograms.get("request_generation_tokens")
    if prompt is not None and output is not None and prompt.mean is not None:
        return prompt.mean + (output.mean or 0.0) / 2
    if not scrape.running or scrape.kv_usage is None:
        return 0.0
    try:
        held = sum(float(one["kv_cache_size_tokens"]) for one in scrape.cache_config)
    except (KeyError, ValueError):
        return 0.0
    return scrape.kv_usage * held / scrape.running
