"""Programs that nobody trusts: run without network, home or rights, and within limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.sandbox.folders import remove, scratch_folder
    from autosre_lab.sandbox.limits import SandboxLimits
    from autosre_lab.sandbox.running import Outcome, isolation, run_sandboxed
else:
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = ["Outcome", "SandboxLimits", "isolation", "remove", "run_sandboxed", "scratch_folder"]
