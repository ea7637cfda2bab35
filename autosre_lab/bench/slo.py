"""What counts as good: limits that every request has to keep."""

from __future__ import annotations

from collections.abc import Mapping

from autosre_lab.bench.timing import RequestTiming
from autosre_lab.errors import ConfigError

__all__ = ["LIMITS", "is_good", "parse_slo"]

LIMITS = ("ttft", "ttfo", "ttfa", "tpot", "e2el", "e2el_scheduled")
"""What can be limited, as `RequestTiming` names it."""

_UNITS = {"ms": 1e-3, "s": 1.0}


def parse_slo(text: str) -> dict[str, float]:
    """Read limits as ``ttft=2s,tpot=50ms``.

    Returns:
        Seconds by name; empty for an empty text.

    Raises:
        ConfigError: A name or a time is not known.
    """
    limits: dict[str, float] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, value = part.partition("=")
        unit = "ms" if value.endswith("ms") else "s"
        try:
            seconds = float(value.removesuffix(unit)) * _UNITS[unit]
        except ValueError:
            seconds = -1.0
        if name not in LIMITS or seconds <= 0:
            raise ConfigError(
                f"{part!r} is no limit",
                remedy=f"write name=time with a unit, like ttft=2s; names: {', '.join(LIMITS)}",
            )
        limits[name] = seconds
    return limits


def is_good(timing: RequestTiming, limits: Mapping[str, float]) -> bool:
    """Whether a request kept every limit.

    One that failed did not; nor did one without a first token, where that is limited. A limit on
    what did not apply (an action, the time per token of a single token) is kept.
    """
    if timing.failed:
        return False
    for name, limit in limits.items():
        value = getattr(timing, f"{name}_s")
        if value is None and name in ("ttft", "e2el", "e2el_scheduled"):
            return False
        if value is not None and value > limit:
            return False
    return True
