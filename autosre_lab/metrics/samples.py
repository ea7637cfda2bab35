"""One look at everything, as it is handed to callers and written to disk."""

from __future__ import annotations

import msgspec

from autosre_lab.metrics.bottleneck import Bottleneck
from autosre_lab.metrics.energy import Energy
from autosre_lab.metrics.engine_sample import EngineSample
from autosre_lab.metrics.gpu import GpuReading
from autosre_lab.metrics.host import Connections, HostSample
from autosre_lab.metrics.logs_feed import LogLine
from autosre_lab.metrics.rates import WindowRates
from autosre_lab.proxy.request_log import RequestRecord

__all__ = ["FeedSample"]


class FeedSample(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="sample"
):
    """What all sources said at one poll. A source that failed is None, and in `errors`.

    Attributes:
        number: Counted from 0 in each feed.
        time_s: When the poll was complete, seconds since the epoch.
        clock_ns: The same on `time.perf_counter_ns`.
        poll_s: How long the poll took.
        engine: The scrape; its own `clock_ns` says when.
        rates: What changed since the scrape before.
        bottleneck: What holds the engine back.
        gpu: The GPUs.
        energy: What the GPUs used between the two scrapes.
        joules_per_token: Of that, for each generated token.
        host: The machine.
        connections: TCP connections by service.
        requests: Requests that the proxy has ended since the poll before.
        logs: Log lines since the poll before.
        errors: By source, why it has nothing to say.
        cost_s: By source, how long it took.
    """

    number: int
    time_s: float
    clock_ns: int
    poll_s: float
    engine: EngineSample | None = None
    rates: WindowRates | None = None
    bottleneck: Bottleneck | None = None
    gpu: GpuReading | None = None
    energy: Energy | None = None
    joules_per_token: float | None = None
    host: HostSample | None = None
    connections: tuple[Connections, ...] | None = None
    requests: tuple[RequestRecord, ...] = ()
    logs: tuple[LogLine, ...] = ()
    errors: dict[str, str] = {}
    cost_s: dict[str, float] = {}
