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

BASE = {
    *(
        "badges",
        "cards",
        "errors",
        "extras",
        "logs",
        "markup",
        "private_files",
        "progress",
        "settings",
    ),
    "surroundings",
}
MAY_IMPORT: dict[str, set[str]] = {
    "badges": set(),
    "cards": {"badges", "markup"},
    "errors": {"extras"},
    "extras": set(),
    "markup": set(),
    "lazy": set(),
    "yaml_bounds": set(),
    "private_files": {"errors"},
    "surroundings": set(),
    "docstrings": set(),
    "logs": {"errors"},
    "folders": {"errors"},
    "settings": {"errors", "folders", "logs", "yaml_bounds"},
    "settings_file": {"docstrings", "errors", "private_files", "settings"},
    "progress": {"surroundings"},
    "recipe": BASE | {"yaml_bounds"},
    "preemption": BASE | {"recipe"},
    "processes": BASE,
    "engine": {"errors", "logs", "progress", "settings", "recipe"},
    "stack": {"cards", "recipe"},
    "provision": BASE | {"recipe", "processes"},
    # Light, and in the images of the proxy and the browser.
    "serving": {"errors", "logs", "private_files"},
    # Light: it also runs alone, in a Pod.
    "proxy": {"errors", "logs", "private_files", "engine.protocol", "serving"}
    | {"web.request_rules", "web.search_process"},
    "local": BASE | {"recipe", "preemption", "processes", "engine", "stack", "provision"},
    "chart": BASE | {"recipe", "preemption"},
    "cluster": BASE
    | {"recipe", "preemption", "engine", "stack", "provision", "chart", "serving.keys"},
    "parity": BASE
    | {"recipe", "preemption", "processes", "engine", "provision", "local", "chart", "cluster"},
    "metrics": BASE | {"recipe", "proxy", "processes", "engine", "provision", "local"},
    "lifecycle": BASE
    | {"recipe", "processes", "engine", "stack", "local", "chart", "cluster", "parity", "metrics"},
    # The proxy and the scripted engine for its trials of a client, never for a session.
    "agents": BASE
    | {"recipe", "processes", "engine", "stack", "provision", "proxy", "scripted", "lifecycle"},
    "claude": {"errors", "logs", "settings", "agents"},
    "codex": {"errors", "logs", "settings", "agents"},
    "scripted": {"errors", "logs", "bench.synthetic.text"},
    "bench": BASE
    | {"recipe", "proxy", "processes", "engine", "stack", "provision", "metrics", "lifecycle"},
    "studies": BASE
    | {"recipe", "proxy", "processes", "engine", "stack", "provision", "local", "metrics", "bench"}
    | {"scripted"},
    "sandbox": {"errors", "lazy"},
    "evaluation": BASE
    | {"sandbox", "recipe", "proxy", "engine", "stack", "lifecycle", "agents", "metrics", "bench"},
    "tuning": BASE
    | {"recipe", "processes", "engine", "stack", "lifecycle", "metrics", "bench", "evaluation"},
    "report": BASE
    | {"recipe", "proxy.key_usage", "engine", "stack", "lifecycle", "metrics", "bench"}
    | {"evaluation", "tuning"},
    "widgets": BASE
    | {"recipe", "engine", "stack", "proxy", "chart", "cluster", "parity", "lifecycle", "agents"}
    | {"metrics", "bench", "evaluation", "tuning"},
    "notebooks": BASE,
    "cli": BASE
    | {"settings_file", "provision.storage", "local.boot_unit"}
    | {"recipe", "engine", "stack", "chart", "cluster", "parity", "lifecycle", "agents"}
    | {
        "proxy.findings",
        "proxy.key_usage",
        "serving",
        "metrics",
        "bench",
        "evaluation",
        "tuning",
        "report",
        "notebooks",
    },
    "web": BASE,
    "browser": BASE | {"processes", "web", "serving"},
    "discovery": BASE | {"docstrings", "recipe", "cli", "notebooks", "agents.web_servers"},
    "mcp_servers": BASE | {"docstrings", "web", "browser", "discovery", "serving"},
    "__main__": {"cli"},
}
"""What each part may import besides itself and the version; `__init__` hands out all of them."""

MAY_START: dict[str, set[str]] = {
    "agents": {"mcp_servers"},
    "chart": {"browser", "proxy"},
    "cli": {"preemption", "proxy", "studies"},
    "local": {"proxy", "scripted"},
}
"""What each part names in a string, to run it as a process or to import it late, besides what it
may import: such names are imports, too, and a rename must find them."""

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


def test_every_part_has_its_place() -> None:
    assert {part_of(file) for file in python_files(PACKAGE)} == {"__init__", *MAY_IMPORT}


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_flow_one_way_from_recipe_to_engine_to_proxy_to_claude(part: str) -> None:
    allowed = {f"autosre_lab.{name}" for name in {part, "__version__", "lazy", *MAY_IMPORT[part]}}
    files = [file for file in python_files(PACKAGE) if part_of(file) == part]
    assert files
    astray = [
        f"{file.name} imports {module}"
        for file in files
        for module in imported(file)
        if not any(f"{module}.".startswith(f"{one}.") for one in allowed)
    ]
    assert astray == []


def named(file: Path) -> Iterator[str]:
    """Yield the modules of this package that a file names in strings, docstrings left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in docstrings:
                continue
            for name in re.findall(r"\bautosre_lab\.(\w+(?:\.\w+)*)", node.value):
                path = PACKAGE.joinpath(*name.split("."))
                if path.is_dir() or path.with_suffix(".py").is_file():
                    yield f"autosre_lab.{name}"


def test_a_module_in_a_string_is_an_import_too() -> None:
    astray = [
        f"{file.relative_to(PACKAGE)} names {module}"
        for file in python_files(PACKAGE)
        if (part := part_of(file)) != "__init__"
        for module in named(file)
        if not any(
            f"{module}.".startswith(f"autosre_lab.{one}.")
            for one in {part, *MAY_IMPORT[part], *MAY_START.get(part, ())}
        )
    ]
    assert astray == []


def test_a_module_that_is_named_in_a_string_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(
        '"""autosre_lab.cli"""\nRUN = ["-m", "autosre_lab.proxy"]\nX = "autosre_lab.ask"'
    )
    assert list(named(file)) == ["autosre_lab.proxy"]


def test_the_map_in_the_architecture_page_is_current() -> None:
    from tests.import_map import with_map

    page = (REPOSITORY / "ARCHITECTURE.md").read_text("utf-8")
    assert page == with_map(page), "run: make docs"


@pytest.mark.parametrize("part", [part for part in MAY_IMPORT if (PACKAGE / part).is_dir()])
def test_the_architecture_page_says_what_each_folder_is(part: str) -> None:
    page = (REPOSITORY / "ARCHITECTURE.md").read_text("utf-8")
    assert re.search(rf"^\| .*`{part}/`.* \|", page, re.MULTILINE)


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
