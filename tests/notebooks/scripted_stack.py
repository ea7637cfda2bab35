"""A stack without a model: the scripted engine behind the real proxy, for what needs no model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autosre_lab.lifecycle import start, stop
from autosre_lab.stack import Stack

__all__ = ["scripted_environ", "scripted_stack"]

RECIPE = """\
schema: autosre.recipe/v1
name: scripted
meta: {description: no model, tags: [scripted]}
model: {repo: script, served_names: [scripted], context: 32768}
runtime: {device: scripted, distribution: scripted, version: 0.32.0}
engine: {args: {enable-prefix-caching: true, max-num-seqs: 4}}
latency: {max_step_tokens: 2048}
scheduler: {policy: priority, classes: {main: -10, compaction: -5, subagent: 0, background: 10}}
"""


def scripted_environ(folder: Path) -> dict[str, str]:
    """Return the variables by which a process finds that stack."""
    folders = {
        f"AUTOSRE_{name.upper()}_DIR": str(folder / name) for name in ("config", "state", "cache")
    }
    return folders | {"AUTOSRE_RECIPE": "scripted"}


@contextmanager
def scripted_stack(folder: Path) -> Iterator[Stack]:
    """Start it with folders of its own; only starting and stopping it change this environment."""
    recipes = folder / "config" / "recipes"
    recipes.mkdir(parents=True, exist_ok=True)
    (recipes / "scripted.yaml").write_text(RECIPE, encoding="utf-8")
    try:
        with _named(folder):
            started = start("scripted", engine_port=0, proxy_port=0)
        yield started
    finally:
        with _named(folder):
            stop(timeout_s=10)


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in scripted_environ(folder).items():
            patch.setenv(name, value)
        yield
