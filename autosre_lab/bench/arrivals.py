"""When sessions start: a number of users who wait for their answers, or a rate that does not."""

from __future__ import annotations

import math
import random
from typing import Literal

import msgspec

from autosre_lab.errors import ConfigError

__all__ = ["Arrivals", "parse_arrivals", "start_times"]

ArrivalKind = Literal["closed", "constant", "poisson", "gamma", "ramp", "recorded"]


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """How sessions arrive. Inside a session, a turn is due when its wait is over.

    Attributes:
        kind: ``closed``: so many users, each starting a session when the last one has ended. The
            others are open: sessions start whatever the server does. ``recorded``: as the
            workload says.
        users: Of the closed loop.
        rate: Sessions a second; of a ramp, at its start.
        rate_end: Of a ramp, at its end.
        over_s: How long a ramp takes; the rate then stays.
        burstiness: Of gamma arrivals: the distribution's shape. 1 is Poisson, below is burstier.
        seed: Of random arrivals.
    """

    kind: ArrivalKind = "closed"
    users: int = 1
    rate: float = 1.0
    rate_end: float = 1.0
    over_s: float = 60.0
    burstiness: float = 1.0
    seed: int = 0

    def __str__(self) -> str:
        if self.kind == "closed":
            return f"closed:{self.users}"
        if self.kind == "gamma":
            return f"gamma:{self.rate:g}:{self.burstiness:g}"
        if self.kind == "ramp":
            return f"ramp:{self.rate:g}:{self.rate_end:g}:{self.over_s:g}"
        return self.kind if self.kind == "recorded" else f"{self.kind}:{self.rate:g}"


_FORMS = {
    "closed": ("users",),
    "constant": ("rate",),
    "poisson": ("rate",),
    "gamma": ("rate", "burstiness"),
    "ramp": ("rate", "rate_end", "over_s"),
    "recorded": (),
}
_REMEDY = (
    "give closed:USERS, constant:RATE, poisson:RATE, gamma:RATE:BURSTINESS, "
    "ramp:RATE:RATE:SECONDS or recorded; rates are sessions a second"
)


def parse_arrivals(text: str, *, seed: int = 0) -> Arrivals:
    """Read arrivals as the command line and `str(arrivals)` write them, like ``poisson:0.5``.

    Raises:
        ConfigError: It is none of the forms, or a number is not above zero.
    """
    kind, *numbers = text.split(":")
    names = _FORMS.get(kind)
    if names is None or len(numbers) != len(names):
        raise ConfigError(f"{text!r} does not say how sessions arrive", remedy=_REMEDY)
    try:
        values = {
            name: int(number) if name == "users" else float(number)
            for name, number in zip(names, numbers, strict=True)
        }
    except ValueError as error:
        raise ConfigError(f"{text!r} has something that is no number", remedy=_REMEDY) from error
    if any(not value > 0 or math.isinf(value) for value in values.values()):
        raise ConfigError(f"{text!r} has a number that is not above zero", remedy=_REMEDY)
    return msgspec.convert({"kind": kind, "seed": seed, **values}, Arrivals)


def start_times(arrivals: Arrivals, sessions: int) -> list[float]:
    """Return when each session starts, seconds from the run's start, in order.

    Args:
        arrivals: Of an open loop.
        sessions: How many.

    Raises:
        ValueError: The loop is closed, or the workload's own times are wanted.
    """
    if arrivals.kind == "constant":
        return [index / arrivals.rate for index in range(sessions)]
    if arrivals.kind == "ramp":
        return [_ramp_time(arrivals, index) for index in range(sessions)]
    if arrivals.kind not in ("poisson", "gamma"):
        raise ValueError(f"{arrivals.kind} arrivals have no schedule of their own")
    shape = 1.0 if arrivals.kind == "poisson" else arrivals.burstiness
    rng = random.Random(arrivals.seed)  # noqa: S311 - a load, not a secret
    times, now = [], 0.0
    for _ in range(sessions):
        # Mean 1 / rate for every shape.
        now += rng.gammavariate(shape, 1.0 / (shape * arrivals.rate))
        times.append(now)
    return times


def _ramp_time(arrivals: Arrivals, index: int) -> float:
    """When a linearly growing rate has brought `index` sessions."""
    first, last, over_s = arrivals.rate, arrivals.rate_end, arrivals.over_s
    brought = (first + last) / 2 * over_s
    if index >= brought:
        return over_s + (index - brought) / last
    slope = (last - first) / over_s
    if abs(slope) < 1e-12:
        return index / first
    return (math.sqrt(first * first + 2 * slope * index) - first) / slope
