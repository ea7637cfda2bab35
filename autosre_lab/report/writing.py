"""The report on disk: a page for people, JSON for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from autosre_lab import __version__
from autosre_lab.bench.machine import Machine, machine_facts
from autosre_lab.errors import MissingExtraError
from autosre_lab.private_files import write_whole
from autosre_lab.proxy.key_usage import key_usage
from autosre_lab.report.bench_section import bench_overview, bench_section
from autosre_lab.report.evaluation_section import evaluation_section
from autosre_lab.report.gathering import Gathered
from autosre_lab.report.page import PageSection, html_page
from autosre_lab.report.recording_section import recording_section
from autosre_lab.report.tuning_section import tuning_section
from autosre_lab.report.usage_section import usage_section

__all__ = ["PAGE", "SCHEMA", "TREE", "report_sections", "report_tree", "write_report"]

SCHEMA = "autosre.report/v1"
PAGE, TREE, _PLOTLY = "index.html", "report.json", "plotly.min.js"


def report_sections(gathered: Gathered) -> list[PageSection]:
    """Return a report's sections: benchmarks, evaluations, experiments, recordings, usage."""
    results = [result for _, result in gathered.results]
    return [
        *([bench_overview(results)] if results else []),
        *(bench_section(one) for one in results),
        *(evaluation_section(one) for _, one in gathered.evaluations),
        *(tuning_section(*one) for one in gathered.experiments),
        *(recording_section(one) for one in gathered.recordings),
        *(usage_section(one) for one in gathered.request_logs),
    ]


def report_tree(gathered: Gathered, *, at: str, machine: Machine) -> dict[str, Any]:
    """Return a report for programs: result cards without each request's times, and the rest whole.

    Args:
        gathered: What was measured.
        at: When the report is made, ISO 8601, UTC.
        machine: Where it is made.
    """
    return {
        "schema": SCHEMA,
        "at": at,
        "autosre_lab": __version__,
        "machine": msgspec.to_builtins(machine),
        "results": [
            {
                "file": str(path),
                **msgspec.to_builtins(msgspec.structs.replace(result, timings=[])),
            }
            for path, result in gathered.results
        ],
        "evaluations": [
            {
                "file": str(path),
                "levels": msgspec.to_builtins(result.levels),
                **msgspec.to_builtins(result),
            }
            for path, result in gathered.evaluations
        ],
        "experiments": [
            {
                "folder": str(folder),
                "experiment": experiment.model_dump(by_alias=True, mode="json"),
                "trials": msgspec.to_builtins(journal.trials),
                "notes": journal.notes(),
            }
            for folder, experiment, journal in gathered.experiments
        ],
        "usage": [
            {"file": str(path), "by_key": msgspec.to_builtins(key_usage(path))}
            for path in gathered.request_logs
        ],
        "recordings": [{"file": str(path)} for path in gathered.recordings],
        "skipped": [{"file": str(path), "why": why} for path, why in gathered.skipped],
    }


def write_report(gathered: Gathered, folder: str | Path, *, title: str = "autosre report") -> Path:
    """Write ``index.html`` and ``report.json``, with what the page needs beside it.

    Args:
        gathered: What was measured.
        folder: Where to; it is made.
        title: The page's.

    Returns:
        The page's file.

    Raises:
        MissingExtraError: plotly, which draws the page's figures, is not installed.
        FileError: The folder cannot be written to.
    """
    script = _plotly()
    at, machine = datetime.now(UTC).isoformat(timespec="seconds"), machine_facts()
    lead = [
        f"Made {at} by autosre_lab {__version__} on {machine.cpu}, {machine.cores} cores, "
        f"{machine.memory_bytes / 2**30:.0f} GiB, {machine.system}.",
        "What produced a section's numbers stands beside its title. The same as JSON: report.json.",
    ]
    lead += [f"Left out: {path}: {why}" for path, why in gathered.skipped]
    page = Path(folder) / PAGE
    tree = report_tree(gathered, at=at, machine=machine)
    write_whole(page.parent / _PLOTLY, script)
    write_whole(page.parent / TREE, msgspec.json.format(msgspec.json.encode(tree), indent=1))
    write_whole(page, html_page(title, lead, report_sections(gathered)))
    return page


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtraError("a report's figures", extra="notebooks") from error
    return str(get_plotlyjs())
