"""How urgent a request is: whether a person waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

__all__ = ["PRIORITIES", "RequestKind"]

RequestKind = Literal["main", "permission", "subagent", "compaction", "background"]

PRIORITIES: Mapping[RequestKind, int] = {
    "main": -10,
    "permission": -10,
    "subagent": -5,
    "compaction": 0,
    "background": 10,
}
"""vLLM's `priority`, lower first. Other clients of the engine say nothing and have 0."""
