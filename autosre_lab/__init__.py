"""Claude Code on your own hardware: vLLM behind an Anthropic-speaking proxy, and a lab around it.

Everything here is imported on first use, so that ``import autosre_lab`` costs milliseconds and
no engine, cluster or plotting package::

    import autosre_lab

    stack = autosre_lab.start("smollm2-135m-cpu")
    print(autosre_lab.ask("What is the capital of France?").text)
    autosre_lab.stop()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from autosre_lab.agents.claude import Answer, ask, launch
    from autosre_lab.chart import helm_values, render
    from autosre_lab.engine import VllmBackend
    from autosre_lab.errors import AutosreError
    from autosre_lab.lifecycle import (
        find_changes,
        find_drift,
        preflight,
        start,
        started_recipe,
        status,
        stop,
        switch,
        wait_ready,
        warn_on_recipe_drift,
    )
    from autosre_lab.parity import recipe_from_pod
    from autosre_lab.proxy import read_request_log
    from autosre_lab.recipe import (
        Recipe,
        build_runtime_env,
        build_vllm_serve_cmd,
        load_recipe,
        recipe_names,
    )
    from autosre_lab.settings import Paths, Settings, load_settings, paths, show_settings
    from autosre_lab.stack import ServiceStatus, Stack, StackStatus

_HOME = {
    "Answer": "autosre_lab.agents.claude",
    "AutosreError": "autosre_lab.errors",
    "Paths": "autosre_lab.settings",
    "Recipe": "autosre_lab.recipe",
    "ServiceStatus": "autosre_lab.stack",
    "Settings": "autosre_lab.settings",
    "Stack": "autosre_lab.stack",
    "StackStatus": "autosre_lab.stack",
    "VllmBackend": "autosre_lab.engine",
    "ask": "autosre_lab.agents.claude",
    "build_runtime_env": "autosre_lab.recipe",
    "build_vllm_serve_cmd": "autosre_lab.recipe",
    "find_changes": "autosre_lab.lifecycle",
    "find_drift": "autosre_lab.lifecycle",
    "helm_values": "autosre_lab.chart",
    "launch": "autosre_lab.agents.claude",
    "load_recipe": "autosre_lab.recipe",
    "load_settings": "autosre_lab.settings",
    "paths": "autosre_lab.settings",
    "preflight": "autosre_lab.lifecycle",
    "read_request_log": "autosre_lab.proxy",
    "recipe_from_pod": "autosre_lab.parity",
    "recipe_names": "autosre_lab.recipe",
    "render": "autosre_lab.chart",
    "show_settings": "autosre_lab.settings",
    "start": "autosre_lab.lifecycle",
    "started_recipe": "autosre_lab.lifecycle",
    "status": "autosre_lab.lifecycle",
    "stop": "autosre_lab.lifecycle",
    "switch": "autosre_lab.lifecycle",
    "wait_ready": "autosre_lab.lifecycle",
    "warn_on_recipe_drift": "autosre_lab.lifecycle",
}

__all__ = [
    "Answer",
    "AutosreError",
    "Paths",
    "Recipe",
    "ServiceStatus",
    "Settings",
    "Stack",
    "StackStatus",
    "VllmBackend",
    "__version__",
    "ask",
    "build_runtime_env",
    "build_vllm_serve_cmd",
    "find_changes",
    "find_drift",
    "helm_values",
    "launch",
    "load_recipe",
    "load_settings",
    "paths",
    "preflight",
    "read_request_log",
    "recipe_from_pod",
    "recipe_names",
    "render",
    "show_settings",
    "start",
    "started_recipe",
    "status",
    "stop",
    "switch",
    "wait_ready",
    "warn_on_recipe_drift",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
