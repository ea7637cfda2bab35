"""What the engine, the GPU and the machine say of themselves, parsed, recorded and shown."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.metrics.bottleneck import Bottleneck, find_bottleneck
    from autosre_lab.metrics.engine_sample import EngineSample, Histogram
    from autosre_lab.metrics.rates import WindowRates, rates_of, window_rates
    from autosre_lab.metrics.vllm_text import parse_engine_metrics, read_engine_metrics
    from autosre_lab.metrics.windows import EngineWindow, merged_windows, window_between

_HOME = {
    "Bottleneck": "bottleneck",
    "EngineSample": "engine_sample",
    "EngineWindow": "windows",
    "Histogram": "engine_sample",
    "WindowRates": "rates",
    "find_bottleneck": "bottleneck",
    "merged_windows": "windows",
    "parse_engine_metrics": "vllm_text",
    "rates_of": "rates",
    "read_engine_metrics": "vllm_text",
    "window_between": "windows",
    "window_rates": "rates",
}

__all__ = [
    "Bottleneck",
    "EngineSample",
    "EngineWindow",
    "Histogram",
    "WindowRates",
    "find_bottleneck",
    "merged_windows",
    "parse_engine_metrics",
    "rates_of",
    "read_engine_metrics",
    "window_between",
    "window_rates",
]


def __getattr__(name: str) -> object:
    # The command line and the recorder must not wait for pandas, NVML or an HTTP stack.
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
