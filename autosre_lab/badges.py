"""What produced a number: said beside every one, so that nobody takes one for another."""

from __future__ import annotations

from typing import Literal

__all__ = ["BADGES", "Badge"]

Badge = Literal["fixture", "scripted", "cpu-engine", "gpu", "unknown"]

BADGES: dict[Badge, str] = {
    "fixture": "recorded fixture",
    "scripted": "scripted engine",
    "cpu-engine": "CPU engine",
    "gpu": "GPU",
    "unknown": "an engine whose hardware was not told",
}
"""Each badge in words."""
