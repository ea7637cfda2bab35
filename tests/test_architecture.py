"""The order of the packages, read from their imports: recipe, engine, proxy, claude, the rest."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "autosre_lab"
BASE = {"errors", "logs", "progress", "settings", "surroundings", "__version__"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"errors", "logs"},
    "logs": {"errors"},
    "progress": {"surroundings"},
    "surroundings": set(),
    "recipe": {"errors", "settings", "logs", "progress"},
    "engine": BASE | {"recipe"},
    "proxy": {"errors", "logs", "settings", "engine.protocol", "__version__"},
    "claude": BASE | {"recipe", "engine"},
    "bench": BASE | {"proxy", "engine"},
    "lab": BASE | {"recipe", "engine", "proxy", "claude"},
    "cli": BASE | {"engine", "claude"},
    "__main__": {"cli"},
}
MAX_LINES = 600


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autosre_lab"):
            below = (node.module or "").removeprefix("autosre_lab").lstrip(".")
            names |= {below} if below else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {
                alias.name.removeprefix("autosre_lab.")
                for alias in node.names
                if alias.name.startswith("autosre_lab.")
            }
    return names


def test_the_table_knows_every_package() -> None:
    found = {
        one.stem
        for one in PACKAGE.iterdir()
        if one.suffix == ".py" or (one / "__init__.py").exists()
    }
    assert found - {"__init__"} == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_go_one_way(part: str) -> None:
    folder = PACKAGE / part
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{part}.py"]
    for file in files:
        for name in imported(file):
            allowed = MAY_IMPORT[part] | {part}
            assert any(name == one or name.startswith(f"{one}.") for one in allowed), (
                f"{file.relative_to(PACKAGE)} imports {name}"
            )


def test_no_module_answers_more_than_one_question() -> None:
    long = {
        str(file.relative_to(PACKAGE)): count
        for file in PACKAGE.rglob("*.py")
        if (count := len(file.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def test_modules_are_named_for_what_they_own() -> None:
    vague = {"utils", "helpers", "manager", "common", "misc"}
    assert not [file for file in PACKAGE.rglob("*") if vague & set(file.stem.split("_"))]
