"""Data flows one way, modules stay small, and names say what they hold."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "autosre_lab"

LAYERS = (
    {"errors", "logs", "progress", "settings", "surroundings"},
    {"recipe"},
    {"engine"},
    {"proxy"},
    {"claude"},
    {"bench", "lab"},
    {"__init__", "__main__", "cli"},
)
"""A part may import itself and what stands before it; parts of one layer do not know each other.

The first layer is the exception: errors before logs before settings, without circles.
"""

LIGHT = {"autosre_lab.engine.protocol", "autosre_lab.errors", "autosre_lab.logs"}
"""What the proxy may import from outside itself: it also runs alone, in a Pod."""

PACKAGE_LINES = 450
TEST_LINES = 600

VAGUE = {"base", "common", "core", "handler", "helpers", "manager", "misc", "utils"}


def python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def part_of(file: Path) -> str:
    inside = file.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imported(file: Path) -> Iterator[str]:
    """Yield the modules of this package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            if node.module == "autosre_lab":
                yield from (f"autosre_lab.{alias.name}" for alias in node.names)
            elif node.module and node.module.startswith("autosre_lab."):
                yield node.module
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("autosre_lab."):
                    yield alias.name


RANKS = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
IMPORTS = [
    (file.relative_to(REPOSITORY).as_posix(), part_of(file), module.split(".")[1], module)
    for file in python_files(PACKAGE)
    for module in imported(file)
]


def test_every_part_has_its_place() -> None:
    assert {part_of(file) for file in python_files(PACKAGE)} == set(RANKS)


def test_imports_flow_one_way_from_recipe_to_engine_to_proxy_to_claude() -> None:
    assert ("engine", "recipe") in {(part, target) for _, part, target, _ in IMPORTS}
    upward = [
        (file, module)
        for file, part, target, module in IMPORTS
        if target in RANKS
        and part != target
        and RANKS[part] > 0
        and RANKS[target] >= RANKS[part]
        and part != "__main__"
    ]
    assert upward == []


def test_the_base_imports_only_the_base_and_without_circles() -> None:
    base = {
        part: {target for _, owner, target, _ in IMPORTS if owner == part} for part in LAYERS[0]
    }
    resolved: set[str] = set()
    while len(resolved) < len(base):
        free = {part for part in base if part not in resolved and base[part] <= resolved}
        assert free, {part: base[part] - resolved for part in base if part not in resolved}
        resolved |= free


def test_the_proxy_imports_only_itself_and_what_is_light() -> None:
    outside = {
        (file, module)
        for file, part, target, module in IMPORTS
        if part == "proxy" and target != "proxy" and module not in LIGHT
    }
    assert outside == set()


@pytest.mark.parametrize("folder", ["autosre_lab", "tests", "notebooks"])
def test_no_file_outgrows_one_reason_to_change(folder: str) -> None:
    limit = TEST_LINES if folder == "tests" else PACKAGE_LINES
    lines = {
        file.relative_to(REPOSITORY).as_posix(): len(file.read_text("utf-8").splitlines())
        for file in python_files(REPOSITORY / folder)
    }
    assert lines
    assert {file: count for file, count in lines.items() if count > limit} == {}


def test_modules_are_named_for_what_they_hold() -> None:
    vague = [file for file in python_files(PACKAGE) if VAGUE & set(file.stem.split("_"))]
    assert vague == []


def test_no_comment_puts_work_off() -> None:
    marks = {"TODO", "FIXME", "XXX", "HACK"}
    found = [
        f"{file.name}: {comment}"
        for file in python_files(PACKAGE)
        for comment in comments(file)
        if marks & set(re.findall(r"\w+", comment))
    ]
    assert found == []


def comments(file: Path) -> list[str]:
    with tokenize.open(file) as source:
        tokens = tokenize.generate_tokens(source.readline)
        return [token.string for token in tokens if token.type == tokenize.COMMENT]
