"""The header by which a launcher says how a session was started."""

from __future__ import annotations

__all__ = ["LAUNCH_HEADER"]

LAUNCH_HEADER = "x-autosre-launch"
