"""Packages that import what they hand out only when it is asked for."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import autosre_lab

ROOT = Path(autosre_lab.__file__).parent
LAZY = sorted(
    ".".join(("autosre_lab", *file.relative_to(ROOT).parent.parts))
    for file in ROOT.rglob("__init__.py")
    if "lazy_exports(__name__)" in file.read_text(encoding="utf-8")
)


def test_there_are_lazy_packages() -> None:
    assert {"autosre_lab", "autosre_lab.recipe", "autosre_lab.engine"} <= set(LAZY)


@pytest.mark.parametrize("name", LAZY)
def test_names_that_are_imported_for_type_checkers_are_those_that_are_handed_out(name: str) -> None:
    module = importlib.import_module(name)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    homes = {
        alias.name: str(node.module)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes
    assert set(homes) == set(module.__all__) - {"__version__"}
    for one, home in homes.items():
        assert getattr(module, one) is getattr(importlib.import_module(home), one)
        assert one in dir(module)


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout.strip()


def test_names_and_modules_can_be_completed_before_anything_is_imported() -> None:
    code = "import autosre_lab as a, sys; print(*dir(a)); print(*sys.modules, file=sys.stderr)"
    shown = run(code).split()
    assert {"start", "bench", "recipe", "load_recipe", "__version__"} <= set(shown)
    assert not {"TYPE_CHECKING", "annotations", "lazy_exports"} & set(shown)


def test_a_module_is_an_attribute_without_an_import_of_its_own() -> None:
    assert run("import autosre_lab; print(autosre_lab.recipe.load_recipe.__name__)") == (
        "load_recipe"
    )


def test_a_name_is_looked_for_once() -> None:
    assert run("import autosre_lab as a; a.paths; print('paths' in vars(a))") == "True"


def test_an_unknown_name_is_told_with_the_one_that_was_meant() -> None:
    code = (
        "import autosre_lab\ntry: autosre_lab.strat\nexcept AttributeError as e: print(e, e.name)"
    )
    assert run(code) == "module 'autosre_lab' has no attribute 'strat' strat"
