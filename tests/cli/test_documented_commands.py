"""What the READMEs tell to type is understood by the command line, option for option."""

from __future__ import annotations

import importlib.util
import itertools
import re
import shlex
from pathlib import Path

import click
import pytest

from autosre_lab.bench.summary import METRICS
from autosre_lab.cli.main import main
from autosre_lab.cli.passed_on import STUDIES

PACKAGE = Path(__file__).parents[2] / "autosre_lab"
REPOSITORY = PACKAGE.parent
PAGES = sorted(
    str(page.relative_to(REPOSITORY))
    for folder in (REPOSITORY, PACKAGE, REPOSITORY / "charts", REPOSITORY / "recipes")
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
