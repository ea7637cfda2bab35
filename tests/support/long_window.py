"""The embedded model on the CPU engine with a window that holds real sessions, for measurements.

The model's own window is 8,192: beyond it what it writes means nothing. Counts and times are true.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from autosre_lab.lifecycle import start, stop
from autosre_lab.recipe import load_recipe
from autosre_lab.stack import Stack

__all__ = ["forget_prompts", "long_window"]

TEMPLATE = Path(__file__).parents[1] / "proxy" / "templates" / "results_as_user.jinja"


@contextmanager
def long_window(tokens: int) -> Iterator[Stack]:
    """Run a stack of its own, beside whatever else runs; its template prints the tools first."""
    needed = {
        "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "more than the model was made for",
        "VLLM_SERVER_DEV_MODE": "its prefix cache can be emptied between two runs",
    }
    recipe = load_recipe(
        "smollm2-135m-cpu",
        overrides={
            "model": {"context": tokens},
            "engine": {"args": {"chat-template": str(TEMPLATE)}},
            "env": {"set": {name: {"value": "1", "reason": why} for name, why in needed.items()}},
        },
    )
    with tempfile.TemporaryDirectory(prefix="autosre-long-") as folder:
        os.environ["AUTOSRE_STATE_DIR"] = folder
        try:
            yield start(recipe)
        finally:
            stop()


def forget_prompts(stack: Stack) -> None:
    """Empty the engine's prefix cache."""
    httpx.post(
        f"{stack.engine_url}/reset_prefix_cache",
        headers={"authorization": f"Bearer {stack.engine_key}"},
        timeout=60,
        trust_env=False,
    ).raise_for_status()
