"""For those who cannot add --scheduler-cls: gives vLLM the hook from inside its own Python.

A `.pth` line imports this file in every start of that Python, so it imports nothing and does
nothing unless AUTOSRE_PREEMPT=1. Then it waits for vLLM's own module to be imported and lets
`SchedulerConfig.get_scheduler_cls` answer with the hook's factory where the command line names no
scheduler. Everything else, refusal included, is the hook's.

Prefer --scheduler-cls where it is possible: it is seen on the command line, and a missing file
ends the start instead of going unnoticed.
"""

import sys

TARGET = "vllm.config.scheduler"
SWITCH = "AUTOSRE_PREEMPT"


def arm():
    """Wait for vLLM; called from the .pth line of every Python of this environment."""
    if not any(type(finder) is _Finder for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Lets the others find vLLM's module, and looks at it once it is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != TARGET:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    _watch(spec.loader)
                return spec
        return None


def _watch(loader):
    """Extend this one loader object; its class loads every other module too."""
    load = loader.exec_module

    def exec_module(module):
        load(module)
        try:
            _extend(module.SchedulerConfig)
        except Exception as error:
            _tell(f"vLLM's SchedulerConfig is not as it was: {error!r}")

    loader.exec_module = exec_module


def _extend(config):
    original = config.get_scheduler_cls

    def get_scheduler_cls(self):
        if self.scheduler_cls is not None:
            return original(self)
        try:
            from autosre_priority_preempt import make_scheduler
        except Exception as error:
            _tell(f"the hook cannot be imported: {error!r}")
            return original(self)
        return make_scheduler

    config.get_scheduler_cls = get_scheduler_cls


def _tell(reason):
    """Say why the hook is not active where the hook itself would say it."""
    import json
    import logging
    import os

    logging.getLogger("vllm.autosre_preempt_shim").error(
        "priority preemption is NOT active: %s", reason
    )
    file = os.environ.get("AUTOSRE_PREEMPT_STATUS") or "/tmp/autosre_preempt_status.json"  # noqa: S108
    try:
        with open(file, "w", encoding="utf-8") as status:  # noqa: PTH123
            json.dump({"status": "refused", "reasons": [reason], "pid": os.getpid()}, status)
    except OSError:
        pass
