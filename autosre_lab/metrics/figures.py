"""Figures of a sample as people read them: with their unit, and "n/a" for what is not known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autosre_lab.metrics.catalogue import Unit
from autosre_lab.metrics.samples import FeedSample

__all__ = ["figure_of", "shown", "sparkline"]

NOT_KNOWN = "n/a"

_BARS = "▁▂▃▄▅▆▇█"
_GPU_TOTAL: dict[str, Callable[[list[float]], float]] = {
    "temperature_c": max,
    "util": lambda values: sum(values) / len(values),
    "sm_clock_mhz": min,
}
"""How several GPUs make one figure; the others are sums."""


def figure_of(sample: FeedSample, key: str) -> float | None:
    """Return the figure of a catalogue's key; None where it is not known.

    Of several GPUs: the highest temperature, the lowest clock, the mean use, the sum of the rest.
    """
    head, _, rest = key.partition(".")
    if head == "gpu":
        gpus = sample.gpu.gpus if sample.gpu is not None else ()
        values = [getattr(gpu, rest) for gpu in gpus]
        if not values or None in values:
            return None
        return float(_GPU_TOTAL.get(rest, sum)(values))
    value: Any = sample
    for part in key.split("."):
        value = getattr(value, part, None)
    return None if value is None else float(value)


def shown(value: float | None, unit: Unit) -> str:
    """Return a figure with its unit."""
    if value is None:
        return NOT_KNOWN
    if unit == "share":
        return f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"
    if unit == "s":
        return _seconds(value)
    if unit == "B":
        return _bytes(value)
    if unit in ("count", ""):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {'°C' if unit == 'C' else unit}"


def sparkline(values: list[float | None], width: int) -> str:
    """Return the last values as bars from 0 to their maximum; a gap where there is none."""
    last = values[-width:]
    top = max((value for value in last if value is not None), default=0.0)
    if top <= 0:
        return "".join(" " if value is None else _BARS[0] for value in last)
    return "".join(
        " " if value is None else _BARS[min(7, int(max(0.0, value) / top * 7.999))]
        for value in last
    )


def _seconds(value: float) -> str:
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1e3:.0f} ms" if value >= 0.01 else f"{value * 1e3:.1f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def _bytes(value: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
