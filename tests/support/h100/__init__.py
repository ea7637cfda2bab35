"""What one H100 said, read from the files beside this one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec

from autosre_lab.bench.result import Result, load_result
from autosre_lab.metrics import FeedSample

__all__ = ["SMOLLM2", "card", "facts", "watched"]

_HERE = Path(__file__).parent

SMOLLM2 = {
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
}
"""The shape of the model that was served; its ``config.json`` has more."""


def card(name: str) -> Result:
    """Return a result card: ``cc``, ``decode`` or ``moe-hook-4``."""
    return load_result(_HERE / f"card-{name}.json.gz")


def facts() -> dict[str, Any]:
    """Return what NVML, nvidia-smi and twelve idle decodes said."""
    found: dict[str, Any] = json.loads((_HERE / "facts.json").read_text("utf-8"))
    return found


def watched() -> list[FeedSample]:
    """Return the samples of `autosre watch --record`, oldest first."""
    lines = gzip.decompress((_HERE / "watched.jsonl.gz").read_bytes()).splitlines()
    return [msgspec.json.decode(line, type=FeedSample) for line in lines]
