"""Samples as pandas tables, one for each kind of thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from autosre_lab.errors import MissingExtraError
from autosre_lab.metrics.engine_sample import EngineSample, Histogram
from autosre_lab.metrics.gpu import GpuProcess, GpuSample
from autosre_lab.metrics.host import HostSample, Pressure, ProcessSample
from autosre_lab.metrics.rates import WindowRates
from autosre_lab.metrics.samples import FeedSample
from autosre_lab.proxy.request_log import RequestRecord

if TYPE_CHECKING:
    import pandas

__all__ = ["sample_tables"]

Row = dict[str, Any]


def sample_tables(samples: Iterable[FeedSample]) -> dict[str, pandas.DataFrame]:
    """Return samples as tables; a table without rows has its columns all the same.

    Returns:
        ``engine`` (a row a scrape; of histograms sum and count), ``rates`` (a row a window, with
        label and reason of the bottleneck), ``gpu``, ``gpu_processes``, ``host``, ``processes``,
        ``connections`` (a row a service and state), ``requests``, ``logs`` and ``polls`` (cost
        and errors). Each has `time` in UTC; missing values are NA, never 0.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("samples as tables", extra="notebooks") from error
    rows: dict[str, list[Row]] = {kind: [] for kind in _KINDS}
    for sample in samples:
        for kind, (make, _) in _KINDS.items():
            rows[kind].extend(make(sample))
    tables = {}
    for kind, (_, columns) in _KINDS.items():
        table = pandas.DataFrame(rows[kind], columns=columns)
        if kind == "requests":
            table["time"] = pandas.to_datetime(table["time"], utc=True)
        else:
            table["time"] = pandas.to_datetime(table["time"], unit="s", utc=True)
        tables[kind] = table
    return tables


def _engine(sample: FeedSample) -> Iterator[Row]:
    if sample.engine is None:
        return
    row: Row = {"time": sample.engine.time_s}
    for name in EngineSample.__struct_fields__:
        value = getattr(sample.engine, name)
        if name in ("time_s", "cache_config"):
            continue
        if name in _HISTOGRAM_FIELDS:
            row[f"{name}_sum"] = None if value is None else value.sum
            row[f"{name}_count"] = None if value is None else value.count
        else:
            row[name] = value
    yield row


def _rates(sample: FeedSample) -> Iterator[Row]:
    if sample.rates is None:
        return
    row = {"time": sample.rates.end_s} | msgspec.structs.asdict(sample.rates)
    if sample.bottleneck is not None:
        row |= {"bottleneck": sample.bottleneck.label, "reason": sample.bottleneck.reason}
    row["energy_j"] = None if sample.energy is None else sample.energy.joules
    row["mean_power_w"] = None if sample.energy is None else sample.energy.mean_w
    row["joules_per_token"] = sample.joules_per_token
    yield row


def _gpu(sample: FeedSample) -> Iterator[Row]:
    for gpu in sample.gpu.gpus if sample.gpu is not None else ():
        yield {"time": sample.time_s, "process_memory_bytes": gpu.process_memory_bytes} | {
            name: getattr(gpu, name) for name in _GPU_FIELDS
        }


def _gpu_processes(sample: FeedSample) -> Iterator[Row]:
    for gpu in sample.gpu.gpus if sample.gpu is not None else ():
        for process in gpu.processes or ():
            yield {"time": sample.time_s, "gpu": gpu.index} | msgspec.structs.asdict(process)


def _host(sample: FeedSample) -> Iterator[Row]:
    if sample.host is None:
        return
    row: Row = {"time": sample.time_s}
    for name in HostSample.__struct_fields__:
        value = getattr(sample.host, name)
        if name == "processes":
            continue
        if name.startswith("pressure_"):
            for part in Pressure.__struct_fields__:
                row[f"{name}_{part}"] = None if value is None else getattr(value, part)
        else:
            row[name] = value
    yield row


def _processes(sample: FeedSample) -> Iterator[Row]:
    for process in sample.host.processes if sample.host is not None else ():
        yield {"time": sample.time_s} | msgspec.structs.asdict(process)


def _connections(sample: FeedSample) -> Iterator[Row]:
    for service in sample.connections or ():
        for state, count in service.states.items():
            yield {
                "time": sample.time_s,
                "name": service.name,
                "port": service.port,
                "state": state,
                "count": count,
            }


def _requests(sample: FeedSample) -> Iterator[Row]:
    for request in sample.requests:
        yield msgspec.structs.asdict(request)


def _logs(sample: FeedSample) -> Iterator[Row]:
    for line in sample.logs:
        yield {"time": sample.time_s, "source": line.source, "text": line.text}


def _polls(sample: FeedSample) -> Iterator[Row]:
    yield {
        "time": sample.time_s,
        "clock_ns": sample.clock_ns,
        "number": sample.number,
        "poll_s": sample.poll_s,
        "errors": sample.errors,
        "cost_s": sample.cost_s,
    }


def _histogram_fields() -> set[str]:
    hints = msgspec.structs.fields(EngineSample)
    return {one.name for one in hints if Histogram in getattr(one.type, "__args__", ())}


def _engine_columns() -> list[str]:
    columns = ["time"]
    for name in EngineSample.__struct_fields__:
        if name in _HISTOGRAM_FIELDS:
            columns += [f"{name}_sum", f"{name}_count"]
        elif name not in ("time_s", "cache_config"):
            columns.append(name)
    return columns


def _host_columns() -> list[str]:
    columns = ["time"]
    for name in HostSample.__struct_fields__:
        if name.startswith("pressure_"):
            columns += [f"{name}_{part}" for part in Pressure.__struct_fields__]
        elif name != "processes":
            columns.append(name)
    return columns


_HISTOGRAM_FIELDS = _histogram_fields()
_GPU_FIELDS = tuple(f for f in GpuSample.__struct_fields__ if f not in ("processes", "errors"))
_RATES_MORE = ["bottleneck", "reason", "energy_j", "mean_power_w", "joules_per_token"]

_KINDS: dict[str, tuple[Callable[[FeedSample], Iterable[Row]], list[str]]] = {
    "engine": (_engine, _engine_columns()),
    "rates": (_rates, ["time", *WindowRates.__struct_fields__, *_RATES_MORE]),
    "gpu": (_gpu, ["time", *_GPU_FIELDS, "process_memory_bytes"]),
    "gpu_processes": (_gpu_processes, ["time", "gpu", *GpuProcess.__struct_fields__]),
    "host": (_host, _host_columns()),
    "processes": (_processes, ["time", *ProcessSample.__struct_fields__]),
    "connections": (_connections, ["time", "name", "port", "state", "count"]),
    "requests": (_requests, list(RequestRecord.__struct_fields__)),
    "logs": (_logs, ["time", "source", "text"]),
    "polls": (_polls, ["time", "clock_ns", "number", "poll_s", "errors", "cost_s"]),
}
