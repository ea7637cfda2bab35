"""A request log as a section of a report: who has used how much."""

from __future__ import annotations

from pathlib import Path

from autosre_lab.proxy.key_usage import key_usage
from autosre_lab.report.page import PageSection, Table

__all__ = ["usage_section"]


def usage_section(path: Path) -> PageSection:
    """Return what each client's key has used, by day of UTC."""
    rows = tuple(
        (
            one.day,
            one.key or "the owner",
            f"{one.requests:,}",
            f"{one.refused:,}",
            f"{one.computed_tokens:,}",
            f"{one.input_tokens:,}",
            f"{one.cached_tokens:,}",
            f"{one.output_tokens:,}",
        )
        for one in key_usage(path)
    )
    return PageSection(
        title=f"Usage by key, {path.name}",
        badge="the proxy's request log",
        text=("Budgets count computed tokens: those of prompts that were not cached, and output.",),
        tables=(
            Table(
                head=(
                    *("day, UTC", "key", "requests", "with an error", "computed tokens"),
                    *("input", "cached", "output"),
                ),
                rows=rows,
            ),
        ),
    )
