"""Everything that is offered is found, is there, and is shown in few words."""

from __future__ import annotations

import importlib
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from autosre_lab.cli import main
from autosre_lab.discovery import Catalogue, Entry
from autosre_lab.discovery.ranking import words_of
from autosre_lab.discovery.shell_commands import read_commands
from autosre_lab.errors import ConfigError

CHARS_PER_TOKEN = 3
WHOLE = Catalogue()


def of_kind(kind: str) -> list[Entry]:
    return [entry for entry in WHOLE.entries() if entry.kind == kind]


def test_every_function_can_be_imported_by_its_name() -> None:
    functions = of_kind("function")
    assert len(functions) > 100
    for entry in functions:
        module, _, name = entry.name.rpartition(".")
        assert hasattr(importlib.import_module(module), name), entry.name


def test_every_public_name_of_a_package_is_there() -> None:
    import autosre_lab

    short = {entry.name.rpartition(".")[2] for entry in of_kind("function")}
    assert {name for name in autosre_lab.__all__ if not name.startswith("__")} <= short


def test_every_command_exists_and_every_existing_command_is_there() -> None:
    commands = of_kind("cli")
    assert {"autosre start", "autosre bench run", "autosre claude"} <= {
        entry.name for entry in commands
    }
    for entry in commands:
        words = shlex.split(entry.name)[1:]
        if words in (["claude"], ["codex"]):
            continue  # it passes --help on to Claude Code
        done = CliRunner().invoke(main, [*words, "--help"])
        assert done.exit_code == 0, entry.name


def test_every_entry_says_what_it_is() -> None:
    for entry in WHOLE.entries():
        assert entry.name
        assert entry.signature
        assert "\n" not in entry.summary
    undocumented = [entry.name for entry in WHOLE.entries() if not entry.summary]
    assert len(undocumented) < len(WHOLE.entries()) / 20, undocumented


def test_notebooks_bring_their_parameters() -> None:
    quickstart = next(entry for entry in of_kind("notebook") if "quickstart" in entry.name)
    assert "-p RECIPE=" in quickstart.signature
    assert "autosre notebook run" in quickstart.shell


def test_recipes_and_tools_are_there() -> None:
    assert "smollm2-135m-cpu" in {entry.name for entry in of_kind("recipe")}
    assert "mcp__fetch__fetch" in {entry.name for entry in of_kind("tool")}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("start a model", "autosre start"),
        ("what is running", "autosre status"),
        ("shut down", "autosre stop"),
        ("compare two benchmark results", "autosre bench compare"),
        ("load_recipe", "autosre_lab.load_recipe"),
        ("loadRecipe", "autosre_lab.load_recipe"),
        ("autosre watch", "autosre watch"),
        ("bench run", "autosre bench run"),
        ("tune", "autosre tune run"),
        ("grafana dashboard", "autosre metrics grafana"),
        ("fetch a web page", "mcp__fetch__fetch"),
        ("tiny model no gpu", "smollm2-135m-cpu"),
        ("where does the answer's time go breakdown", "autosre_lab.widgets.time_breakdown"),
    ],
)
def test_words_lead_to_what_is_meant(query: str, name: str) -> None:
    first = WHOLE.search(query, limit=3)
    assert name in [line.partition(" (")[0] for line in first.splitlines()], first


def test_an_exact_name_comes_first() -> None:
    assert WHOLE.search("drift").startswith("autosre drift (cli)")


def test_a_kind_shows_only_that_kind() -> None:
    lines = WHOLE.search("start", kind="function").splitlines()
    assert lines
    assert all("(function)" in line for line in lines)


def test_nothing_found_says_so_and_an_empty_query_is_refused() -> None:
    assert WHOLE.search("xyzzy").startswith("nothing fits.")
    with pytest.raises(ConfigError):
        WHOLE.search(" ")


def test_an_unknown_name_brings_names_like_it() -> None:
    with pytest.raises(ConfigError) as caught:
        WHOLE.explain("load_recipee")
    assert "load_recipe" in caught.value.remedy


@pytest.mark.parametrize(
    ("show", "tokens"),
    [
        (lambda: WHOLE.list_modules(), 1_700),
        (lambda: WHOLE.list_modules(depth=9), 1_900),
        (lambda: WHOLE.search("the model of a stack with a recipe"), 600),
        (lambda: max((WHOLE.explain(entry.name) for entry in WHOLE.entries()), key=len), 450),
    ],
)
def test_answers_stay_within_their_budget(show: Callable[[], str], tokens: int) -> None:
    assert len(show()) / CHARS_PER_TOKEN <= tokens


def test_an_explanation_grows_with_the_detail() -> None:
    signature, doc, full, source = (
        WHOLE.explain("load_recipe", detail=detail)
        for detail in ("signature", "doc", "full", "source")
    )
    assert "-> Recipe" in signature
    assert "Raises:" in signature
    assert "use: from autosre_lab import load_recipe" in signature
    assert len(doc) >= len(signature)
    assert "def load_recipe" in source
    assert "def load_recipe" not in full


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "autosre_lab"
    (root / "part").mkdir(parents=True)
    (root / "__init__.py").write_text('"""Root."""\n__all__ = ["__version__"]\n')
    (root / "part" / "__init__.py").write_text(
        '"""A part. More."""\nfrom autosre_lab.part.inner import work\n__all__ = ["work"]\n'
    )
    (root / "part" / "inner.py").write_text(
        '"""Inner."""\n__all__ = ["work"]\nraise SystemExit("never import me")\n'
        'def work(speed: int = 3) -> str:\n    """Do the work.\n\n    Args:\n'
        '        speed: How fast, in rounds.\n    """\n'
    )
    return root


def test_a_package_is_read_without_running_it(package: Path) -> None:
    catalogue = Catalogue(package, commands=list)

    assert "autosre_lab.part.work(speed: int=3) -> str" in catalogue.explain("work")
    assert "speed: How fast, in rounds." in catalogue.explain("work")
    assert "autosre_lab.part - A part - 1 names" in catalogue.list_modules()


def test_an_edited_file_is_seen_at_once_and_a_broken_one_harms_nothing(package: Path) -> None:
    catalogue = Catalogue(package, commands=list)
    assert "Do the work." in catalogue.search("work", kind="function")

    inner = package / "part" / "inner.py"
    inner.write_text(inner.read_text().replace("Do the work.", "Do other things entirely."))
    assert "Do other things" in catalogue.search("work", kind="function")

    (package / "broken.py").write_text("def (:\n")
    assert "Do other things" in catalogue.search("work", kind="function")


def test_nothing_is_read_twice(package: Path) -> None:
    calls: list[int] = []

    def commands() -> list[Entry]:
        calls.append(1)
        return []

    catalogue = Catalogue(package, commands=commands)
    catalogue.search("work")
    catalogue.search("work")
    assert calls == [1]


def test_notebooks_that_cannot_be_read_are_left_out(package: Path, tmp_path: Path) -> None:
    notebooks = tmp_path / "books"
    notebooks.mkdir()
    (notebooks / "broken.ipynb").write_text("{")
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "What it does.\n"]},
        {
            "cell_type": "code",
            "source": 'N: int = 3  # how many\nNAME = "x"',
            "metadata": {"tags": ["parameters"]},
        },
    ]
    (notebooks / "good.ipynb").write_text(json.dumps({"cells": cells}))
    catalogue = Catalogue(package, notebooks=notebooks, commands=list)

    shown = catalogue.explain("notebooks/good.ipynb")

    assert "Title. What it does." in shown
    assert "-p N=3  how many" in shown
    assert '-p NAME="x"' in shown
    assert "broken" not in catalogue.search("notebook", limit=30, kind="notebook")


def test_no_value_of_the_environment_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSRE_RECIPE", "s3cret-value")
    assert "s3cret-value" not in str(read_commands())


def test_words_are_split_where_names_are() -> None:
    assert words_of("buildVllmServe_cmd") == words_of("build vllm serve cmd")
    assert words_of("starts starting started") == ["start", "start", "start"]
