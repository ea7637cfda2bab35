"""What the READMEs tell to type is understood by the command line, option for option."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import itertools
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from autosre_lab.bench.summary import METRICS
from autosre_lab.cli.main import main
from autosre_lab.cli.passed_on import STUDIES

PACKAGE = Path(__file__).parents[2] / "autosre_lab"
REPOSITORY = PACKAGE.parent
PAGES = sorted(
    str(page.relative_to(REPOSITORY))
    for folder in (
        *(REPOSITORY, PACKAGE, REPOSITORY / "charts", REPOSITORY / "docs", REPOSITORY / "recipes"),
    )
    for page in (folder.glob("*.md") if folder == REPOSITORY else folder.rglob("*.md"))
)
OF_OTHERS = {
    *("make", "rm", "python3", ".venv/bin/python", "helm", "kubectl", "k3s", "sudo", "curl"),
    *(
        "apt-get",
        "docker",
        "buildah",
        "git",
        "cp",
        "ssh",
        "export",
        "cd",
        "npm",
        "claude",
        "tee",
        "pip",
        "loginctl",
        "systemctl",
        "eval",
    ),
    # The shell's own.
    *("for", "do", "done"),
}


def commands(text: str) -> list[list[str]]:
    """Every command of the shell blocks, comments left out and continued lines joined."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def understand(words: list[str]) -> None:
    """Parse a command as click does before it runs it."""
    words = list(itertools.dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words))
    words = list(itertools.takewhile(lambda word: word not in (">", "|", "&&", ";", "&"), words))
    if words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2]), f"no module {words[2]}"
        return
    if not words or words[0] in OF_OTHERS or words[0].startswith("autosre-mcp-"):
        return
    assert words[0] == "autosre", f"{words[0]} is not ours"
    command: click.Command = main
    rest = words[1:]
    if rest[:1] == ["study"]:
        assert rest[1] in STUDIES, f"no study {rest[1]}"
    while isinstance(command, click.Group):
        name, *rest = rest
        assert name in command.commands, f"no command {name} in {' '.join(words)}"
        command = command.commands[name]
    command.make_context(command.name, rest)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_a_page_is_one(page: str) -> None:
    for words in commands((REPOSITORY / page).read_text("utf-8")):
        understand(words)


RUN = (
    *("bench workloads", "boot-unit", "cache ls", "chart values", "completion", "configure"),
    *("keys", "metrics list", "notebook list", "recipes", "tune suggest"),
)
"""Commands that are run here, as a page has them, one after the other in folders of their own."""

NOT_RUN = {
    "backends": "asks an engine elsewhere: tests/lifecycle/test_backends.py",
    "bench": "measures a stack: tests/cli and tests/bench run it on one",
    "cache prune": "asks first: tests/cli/test_own_settings_and_recipes.py",
    "chart render": "needs helm's library: tests/chart",
    "claude": "starts an engine: tests/agents with the real one",
    "codex": "starts an engine: tests/agents with the real one",
    "demo": "starts an engine: what `make demo` runs",
    "drift": "compares a stack: tests/parity",
    "eval": "asks a stack: tests/evaluation",
    "image": "builds an image: tests/cluster",
    "logs": "follows a stack: tests/cli/test_own_settings_and_recipes.py",
    "metrics grafana": "writes a file: tests/metrics",
    "notebook run": "runs a kernel: tests/notebooks",
    "preemption": "changes an environment: tests/preemption",
    "preflight": "fails where the machine lacks something: tests/local, tests/cluster",
    "proxy": "goes on until it is ended: tests/proxy",
    "recipes add": "fetches a repository: tests/recipe",
    "recipes remove": "has nothing to remove without one: tests/recipe",
    "recipes update": "fetches a repository: tests/recipe",
    "report": "measures a stack: tests/report",
    "start": "starts an engine: tests/local with the real one",
    "status": "ends with 3 where nothing runs: tests/cli",
    "stop": "ends a stack: tests/cli, tests/local",
    "study": "takes minutes: tests/studies",
    "switch": "replaces an engine: tests/lifecycle",
    "tune": "takes minutes: tests/tuning",
    "ui": "goes on until it is ended: tests/notebooks",
    "watch": "polls a stack: tests/metrics, tests/cli",
}
"""Commands that are parsed here and run elsewhere, or cost too much, with the reason."""


def begins_with(words: list[str], names: Iterable[str]) -> bool:
    return any(words[: len(name.split())] == name.split() for name in names)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_a_page_runs_or_has_its_reason(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"AUTOSRE_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VISUAL", "true")  # an editor that changes nothing
    monkeypatch.chdir(tmp_path)
    for words in commands((REPOSITORY / page).read_text("utf-8")):
        typed = list(
            itertools.takewhile(lambda word: word not in (">", "|", "&&", ";", "&"), words)
        )
        if typed[:1] != ["autosre"]:
            continue
        if begins_with(typed[1:], RUN) and not begins_with(typed[1:], NOT_RUN):
            asked = [word.replace("~", str(tmp_path)) for word in typed[1:]]
            shown = CliRunner().invoke(main, asked)
            assert shown.exit_code == 0, f"{typed}: {shown.output}"
        else:
            assert begins_with(typed[1:], NOT_RUN), f"{typed}: neither run nor with a reason"


@pytest.mark.parametrize("page", PAGES)
def test_every_snippet_of_python_compiles_and_finds_its_names(page: str) -> None:
    text = (REPOSITORY / page).read_text("utf-8")
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autosre_lab"):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


@pytest.mark.parametrize("page", PAGES)
def test_every_autosre_in_a_sentence_or_a_table_is_a_command(page: str) -> None:
    for typed in re.findall(r"`autosre ([^`]+)`", (REPOSITORY / page).read_text("utf-8")):
        first = re.split(r"[\s|]", typed.strip())[0]
        for name in re.findall(r"^[a-z]+$", first):
            assert name in main.commands, f"`autosre {typed}`"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    text = (REPOSITORY / page).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", text):
        assert ((REPOSITORY / page).parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_a_page_runs_is_there(page: str) -> None:
    text = (REPOSITORY / page).read_text("utf-8")
    for module in re.findall(r"python3? -m (autosre_lab[\w.]*)", text):
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize(
    "wrong", ["autosre bench walk", "autosre eval run --levls L0", "autosre bench compare a.json"]
)
def test_a_command_that_is_none_is_found_out(wrong: str) -> None:
    with pytest.raises((AssertionError, click.UsageError)):
        understand(shlex.split(wrong))


def test_every_metric_of_a_request_is_defined_in_the_readme() -> None:
    text = (PACKAGE / "bench" / "README.md").read_text("utf-8")
    missing = [name for name in METRICS if f"| `{name}` |" not in text]
    assert missing == []
