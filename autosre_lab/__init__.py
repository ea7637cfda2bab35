"""Claude Code on your own hardware: vLLM behind an Anthropic-speaking proxy, and a lab around it.

Everything here is imported on first use, so that ``import autosre_lab`` costs milliseconds and
no engine, cluster or plotting package::

    import autosre_lab

    stack = autosre_lab.start("smollm2-135m-cpu")
    print(autosre_lab.ask("What is the capital of France?").text)
    autosre_lab.stop()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

__version__ = "0.1.0"

if TYPE_CHECKING:
    from autosre_lab.agents.answer import Answer
    from autosre_lab.agents.asking import ask
    from autosre_lab.agents.claude import launch
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
else:
    __getattr__, __dir__ = lazy_exports(__name__)

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
