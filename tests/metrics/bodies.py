"""Bodies of `/metrics` for the tests."""

from __future__ import annotations

from pathlib import Path

from autosre_lab.metrics import EngineSample, parse_engine_metrics

FOLDER = Path(__file__).with_name("fixtures")

BODIES = (
    "vllm-0.24.0-plain",
    "vllm-0.24.0-speculative-dp2",
    "vllm-0.32.0-after",
    "vllm-0.32.0-started",
    "vllm-0.33.0-plain",
)


def body(name: str) -> str:
    """Return a stored body."""
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def parsed(name: str, *, at_s: float = 0.0) -> EngineSample:
    """Return a stored body as it was scraped at a moment."""
    return parse_engine_metrics(body(name), time_s=at_s, clock_ns=int(at_s * 1e9))
