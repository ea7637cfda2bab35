"""What the engine, the GPU and the machine say of themselves, parsed, recorded and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

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
else:
    # The command line and the recorder must not wait for pandas, NVML or an HTTP stack.
    __getattr__, __dir__ = lazy_exports(__name__)

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
