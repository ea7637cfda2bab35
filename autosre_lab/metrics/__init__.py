"""What the engine, the GPU and the machine say of themselves, parsed, recorded and shown."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autosre_lab.metrics.bottleneck import Bottleneck, find_bottleneck
    from autosre_lab.metrics.catalogue import CATALOGUE, Metric
    from autosre_lab.metrics.energy import Energy, PowerMeter, integrated_energy_j
    from autosre_lab.metrics.engine_sample import EngineSample, Histogram
    from autosre_lab.metrics.feed import Feed
    from autosre_lab.metrics.gpu import GpuProcess, GpuReader, GpuReading, GpuSample
    from autosre_lab.metrics.grafana import grafana_dashboard
    from autosre_lab.metrics.host import (
        Connections,
        HostReader,
        HostSample,
        Pressure,
        ProcessSample,
        connections,
    )
    from autosre_lab.metrics.limits import Limits
    from autosre_lab.metrics.live_rates import LiveRates
    from autosre_lab.metrics.logs_feed import LogFeed, LogLine
    from autosre_lab.metrics.rates import WindowRates, rates_of, window_rates
    from autosre_lab.metrics.recorder import Recorder
    from autosre_lab.metrics.recording import Recording, read_recording, read_samples
    from autosre_lab.metrics.samples import FeedSample
    from autosre_lab.metrics.sources import LocalStack, Sources
    from autosre_lab.metrics.tables import sample_tables
    from autosre_lab.metrics.vllm_text import parse_engine_metrics, read_engine_metrics
    from autosre_lab.metrics.windows import EngineWindow, merged_windows, window_between

_HOME = {
    "Bottleneck": "bottleneck",
    "CATALOGUE": "catalogue",
    "Connections": "host",
    "Energy": "energy",
    "EngineSample": "engine_sample",
    "EngineWindow": "windows",
    "Feed": "feed",
    "FeedSample": "samples",
    "GpuProcess": "gpu",
    "GpuReader": "gpu",
    "GpuReading": "gpu",
    "GpuSample": "gpu",
    "Histogram": "engine_sample",
    "HostReader": "host",
    "HostSample": "host",
    "Limits": "limits",
    "LiveRates": "live_rates",
    "LocalStack": "sources",
    "LogFeed": "logs_feed",
    "LogLine": "logs_feed",
    "Metric": "catalogue",
    "PowerMeter": "energy",
    "Pressure": "host",
    "ProcessSample": "host",
    "Recorder": "recorder",
    "Recording": "recording",
    "Sources": "sources",
    "WindowRates": "rates",
    "connections": "host",
    "find_bottleneck": "bottleneck",
    "grafana_dashboard": "grafana",
    "integrated_energy_j": "energy",
    "merged_windows": "windows",
    "parse_engine_metrics": "vllm_text",
    "rates_of": "rates",
    "read_engine_metrics": "vllm_text",
    "read_recording": "recording",
    "read_samples": "recording",
    "sample_tables": "tables",
    "window_between": "windows",
    "window_rates": "rates",
}

__all__ = [
    "CATALOGUE",
    "Bottleneck",
    "Connections",
    "Energy",
    "EngineSample",
    "EngineWindow",
    "Feed",
    "FeedSample",
    "GpuProcess",
    "GpuReader",
    "GpuReading",
    "GpuSample",
    "Histogram",
    "HostReader",
    "HostSample",
    "Limits",
    "LiveRates",
    "LocalStack",
    "LogFeed",
    "LogLine",
    "Metric",
    "PowerMeter",
    "Pressure",
    "ProcessSample",
    "Recorder",
    "Recording",
    "Sources",
    "WindowRates",
    "connections",
    "find_bottleneck",
    "grafana_dashboard",
    "integrated_energy_j",
    "merged_windows",
    "parse_engine_metrics",
    "rates_of",
    "read_engine_metrics",
    "read_recording",
    "read_samples",
    "sample_tables",
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
