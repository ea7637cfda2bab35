"""One word for one thing; names are taken once, and what is printed fits a line."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from pathlib import Path

import pytest

import autosre_lab
from tests.test_architecture import PACKAGE, REPOSITORY, python_files

GIVEN_UP = {
    r"\banew\b": "again",
    r"\bmend(s|ed|ing)?\b": "fix, correct",
    r"\bwith nobody looking\b": "headless",
    r"\bnobody can tell\b": "it is unknown",
    r"\bout of reach\b": "could not be reached, could not be fetched",
    r"\bsee where it went\b": "say what to read",
    r"\bMemory that can be had\b": "Memory available",
    r"\bRequests along time\b": "Request timeline",
    r"\bpython -m autosre_lab\.(claude|notebooks|preemption|parity)\b": "autosre …",
}
"""Words and sentences that a reader did not understand, and what is said instead."""


def class_names() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for file in python_files(PACKAGE):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(file.relative_to(PACKAGE).as_posix())
    return found


def test_a_class_name_means_one_thing() -> None:
    twice = {name: files for name, files in class_names().items() if len(files) > 1}
    assert twice == {}


def test_a_module_of_the_proxy_and_the_scripted_engine_do_not_share_a_name() -> None:
    # *upstream* is what the proxy's client of the engine is called, and nothing else.
    modules = {file.stem for file in python_files(PACKAGE / "scripted")}
    assert "upstream" not in modules


@pytest.mark.parametrize("file", python_files(PACKAGE), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_a_function_that_only_looks_says_at_what(file: Path) -> None:
    defined = [
        node.name
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name in ("look", "_look")
    ]
    assert defined == []


@functools.cache
def shown_texts(file: Path) -> list[str]:
    """Every string that is not a docstring of a private name or a module's comment."""
    tree = ast.parse(file.read_text("utf-8"))
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@pytest.mark.parametrize("pattern", GIVEN_UP)
def test_a_word_that_was_given_up_is_in_no_text(pattern: str) -> None:
    pages = [*REPOSITORY.glob("*.md"), *PACKAGE.rglob("*.md"), *REPOSITORY.glob("charts/*.md")]
    found = [
        f"{page.relative_to(REPOSITORY)}: {line.strip()}"
        for page in pages
        for line in page.read_text("utf-8").splitlines()
        if re.search(pattern, line)
    ]
    found += [
        f"{file.relative_to(REPOSITORY)}: {text.strip()[:100]}"
        for file in python_files(PACKAGE)
        for text in shown_texts(file)
        if re.search(pattern, text)
    ]
    assert found == [], f"say: {GIVEN_UP[pattern]}"


def test_what_a_repr_says_fits_a_line() -> None:
    recipe = autosre_lab.load_recipe("smollm2-135m-cpu")
    assert repr(recipe) == (
        "<Recipe smollm2-135m-cpu: HuggingFaceTB/SmolLM2-135M-Instruct, window 8192>"
    )
    assert len(repr(autosre_lab.status())) <= 100


def test_what_has_a_card_has_a_repr_of_its_own() -> None:
    without = [
        f"{file.relative_to(PACKAGE)}: {node.name}"
        for file in python_files(PACKAGE)
        if file.parent.name != "widgets"  # a widget is shown, not printed
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        for names in [{one.name for one in node.body if isinstance(one, ast.FunctionDef)}]
        if "_repr_mimebundle_" in names and node.name != "Card" and "__repr__" not in names
    ]
    assert without == []
