"""How something is measured, whatever is measured."""

from __future__ import annotations

from typing import Literal

import msgspec

from autosre_lab.bench.arrivals import Arrivals, parse_arrivals

__all__ = ["CacheState", "Plan"]

CacheState = Literal["cold", "warm"]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to measure.

    Attributes:
        arrivals: When sessions start; text as `parse_arrivals` reads it.
        cache: State of the prefix cache as a session begins. ``warm`` sends each session's first
            prompt once before the measurement.
        warmup_s: Leave out requests due before this.
        duration_s: Start no turn later than this.
        limits: What a good request keeps, seconds by metric; see `parse_slo`.
        timeout_s: Seconds a request may take.
        check_tokens: Tokens of the machine check before and after; 0 leaves it out. By default as
            many as suit what answers: 256, or 32 on a CPU.
        gpu: The GPU's name as NVML gives it, where it cannot be asked from here.
    """

    arrivals: Arrivals | str = "closed:1"
    cache: CacheState = "cold"
    warmup_s: float = 0.0
    duration_s: float | None = None
    limits: dict[str, float] = {}
    timeout_s: float = 3600.0
    check_tokens: int | None = None
    gpu: str | None = None

    @property
    def parsed_arrivals(self) -> Arrivals:
        """The arrivals.

        Raises:
            ConfigError: They are not understood.
        """
        return parse_arrivals(self.arrivals) if isinstance(self.arrivals, str) else self.arrivals
