"""How a stack and its state are printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from autosre_lab.cli.explained import FAILED
from autosre_lab.cli.output import Format, plain, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autosre_lab.proxy.findings import EngineFinding
    from autosre_lab.stack import Stack, StackStatus

__all__ = ["show_plan", "show_stack", "show_status"]


def show_stack(stack: Stack, *, output: Format) -> None:
    """Print where a stack is and what it serves."""
    # The token is left out: it would stand in a terminal's scrollback and in CI's logs.
    facts = {
        "recipe_name": stack.recipe_name,
        "model": stack.model,
        "window": stack.max_model_len,
        "engine": stack.engine_url,
        "proxy": stack.proxy_url,
        "logs": "in the Pods: kubectl logs" if stack.log_dir is None else str(stack.log_dir),
    }
    show(
        facts,
        output=output,
        text=lambda: "\n".join(f"{name:13}{value}" for name, value in facts.items()),
    )


def show_plan(recipe: str | None, *, place: str | None, output: Format) -> None:
    """Print what a start or a switch would find and change; end with 1 where it would fail."""
    from autosre_lab import lifecycle

    report = lifecycle.preflight(recipe, place=place)
    changes = [one for one in lifecycle.find_changes(recipe, place=place) if one.differs]
    facts = {
        "recipe_name": report.recipe,
        "passed": report.passed,
        "checks": report.as_dict()["checks"],
        "changes": [{"part": one.part, "diff": one.diff()} for one in changes],
    }

    def text() -> str:
        lines = [report.as_text(), ""]
        for one in changes:
            lines += [f"{one.part}:", *(f"  {line}" for line in one.diff()[2:])]
        return "\n".join([*lines, "" if changes else "nothing would change"]).rstrip()

    show(facts, output=output, text=text)
    if not report.passed:
        sys.exit(FAILED)


def show_status(
    status: StackStatus,
    *,
    output: Format,
    findings: Sequence[EngineFinding] = (),
    head: str = "",
) -> None:
    """Print what runs, and what was found out about the engine."""
    facts = plain(status)
    rows = list(facts["services"].values())
    if findings:
        facts["engine"] = [plain(finding) for finding in findings]
    text = head + "\n".join([status_text(status), *map(_finding_text, findings)])
    show(facts, output=output, text=lambda: text, rows=rows)


def _finding_text(finding: EngineFinding) -> str:
    missing = f"  (missing: {finding.flag})" if finding.flag else ""
    return f"  {finding.name:32}{finding.found}{missing}"


def status_text(status: StackStatus) -> str:
    """Return what runs, a line a service, and why one has stopped."""
    lines = [f"{status.recipe_name or 'stack'}: {status.state}"]
    for service in status.services.values():
        line = f"  {service.name:7}{service.state}"
        if service.pid is not None:
            line += f"  pid {service.pid}  port {service.port}"
        elif service.pod is not None:
            line += f"  pod {service.pod}  port {service.port}"
        if service.uptime_s is not None:
            line += f"  up {service.uptime_s:.0f} s"
        if service.restarts:
            line += f"  restarted {service.restarts}x"
        lines.append(line)
        if service.cause:
            lines.append(f"         likely cause: {service.cause}")
            lines.append(f"         what to do: {service.remedy}")
            if service.log_path is not None:
                lines.append(f"         log: {service.log_path}")
    return "\n".join(lines)
