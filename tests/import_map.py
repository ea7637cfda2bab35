"""Draws the map in ARCHITECTURE.md from the table that tests/test_architecture.py enforces.

``python -m tests.import_map ARCHITECTURE.md`` writes it again; a test checks that it is current.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.test_architecture import BASE, MAY_IMPORT, MAY_START

BEGIN, END = "<!-- map: make docs -->", "<!-- end of the map -->"
LEFT_OUT = BASE | {"lazy", "yaml_bounds", "docstrings", "folders", "settings_file", "__main__"}


def edges() -> dict[str, set[str]]:
    """Which part imports which, single files that all may use left out."""
    return {
        part: {one.partition(".")[0] for one in allowed} - LEFT_OUT
        for part, allowed in MAY_IMPORT.items()
        if part not in LEFT_OUT
    }


def reached(part: str, graph: dict[str, set[str]], seen: set[str]) -> set[str]:
    for one in graph[part] - seen:
        seen.add(one)
        reached(one, graph, seen)
    return seen


def drawn() -> str:
    """Return the map: an arrow means "imports"; those that follow from others are left out."""
    graph = edges()
    lines = ["```mermaid", "flowchart BT"]
    for part, imports in graph.items():
        indirect = {
            one
            for other in imports
            if part not in reached(other, graph, set())
            for one in reached(other, graph, set())
        }
        lines += [f"  {part} --> {one}" for one in sorted(imports - indirect)]
        if not imports and not any(part in others for others in graph.values()):
            lines.append(f"  {part}")
    for part, started in MAY_START.items():
        lines += [f"  {part} -. starts .-> {one}" for one in sorted(started)]
    return "\n".join([*lines, "```"])


def with_map(text: str) -> str:
    """Return the page with its map drawn again."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{drawn()}\n{END}", text)


def main() -> None:
    page = Path(sys.argv[1])
    page.write_text(with_map(page.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
