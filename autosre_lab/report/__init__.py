"""One report of everything measured, as HTML and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autosre_lab.lazy import lazy_exports

if TYPE_CHECKING:
    from autosre_lab.report.gathering import Gathered, gather
    from autosre_lab.report.measuring import measure_stack
    from autosre_lab.report.writing import write_report
else:
    __getattr__, __dir__ = lazy_exports(__name__)

__all__ = ["Gathered", "gather", "measure_stack", "write_report"]
