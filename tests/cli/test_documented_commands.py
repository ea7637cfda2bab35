"""What the READMEs tell to type is understood by the command line, option for option."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest

from autosre_lab.bench.summary import METRICS
from autosre_lab.cli.main import main

PACKAGE = Path(__file__).parents[2] / "autosre_lab"
READMES = ("bench", "evaluation", "metrics", "tuning")


def commands(text: str) -> list[list[str]]:
    """Every command of the shell blocks, comments left out and continued lines joined."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def understand(words: list[str]) -> None:
    """Parse a command as click does before it runs it."""
    if words[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(words[2]), f"no module {words[2]}"
        return
    assert words[0] == "autosre", f"{words[0]} is not ours"
    command: click.Command = main
    rest = words[1:]
    if ">" in rest:
        rest = rest[: rest.index(">")]
    while isinstance(command, click.Group):
        name, *rest = rest
        assert name in command.commands, f"no command {name} in {' '.join(words)}"
        command = command.commands[name]
    command.make_context(command.name, rest)


@pytest.mark.parametrize("part", READMES)
def test_every_command_in_a_readme_is_one(part: str) -> None:
    found = commands((PACKAGE / part / "README.md").read_text("utf-8"))
    assert len(found) >= 4
    for words in found:
        understand(words)


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
