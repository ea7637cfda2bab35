"""The commands as a person types them; the stack behind them is the engine's tests' business."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from autosre_lab import __version__
from autosre_lab.cli import main
from autosre_lab.engine import Stack


def run(*argv: str) -> Result:
    return CliRunner().invoke(main, list(argv))


def test_help_has_every_command_with_an_example() -> None:
    assert run("--help").exit_code == 0
    for command in ("start", "stop", "status"):
        assert f"Example: autosre {command}" in run(command, "--help").output
    assert __version__ in run("--version").output


def test_status_of_nothing_is_stopped_and_not_success() -> None:
    shown = run("status")
    assert (shown.exit_code, shown.output) == (3, "stack: stopped\n")
    assert json.loads(run("status", "--json").output) == {
        "state": "stopped",
        "recipe_name": None,
        "services": {},
    }


def test_stop_of_nothing_is_fine() -> None:
    assert run("stop").exit_code == 0


def test_an_error_says_what_to_do_and_misuse_is_2() -> None:
    shown = run("start", "no-such-recipe")
    assert shown.exit_code == 2
    assert "error: there is no recipe named 'no-such-recipe'" in shown.output
    assert "what to do: " in shown.output
    assert "Traceback" not in shown.output


def test_debug_shows_where_it_came_from() -> None:
    shown = run("--debug", "start", "no-such-recipe")
    assert type(shown.exception).__name__ == "RecipeError"


def test_claudes_arguments_are_claudes() -> None:
    command = [
        sys.executable,
        "-m",
        "autosre_lab",
        "claude",
        "--dry-run",
        "-p",
        "hi",
        "--model",
        "x",
    ]
    shown = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
    assert "ANTHROPIC_BASE_URL=http://127.0.0.1:8011" in shown.stdout
    assert shown.stdout.rstrip().splitlines()[-1].endswith("-p hi --model x")


@pytest.mark.engine
@pytest.mark.timeout(900)
def test_the_commands_show_a_stack_that_runs(real_stack: Stack) -> None:
    shown = run("start", "--json")
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["proxy"] == real_stack.proxy_url
    assert real_stack.token not in shown.output
    ready = run("status")
    assert ready.exit_code == 0
    assert "smollm2-135m-cpu: ready" in ready.output
    assert "engine running  pid " in ready.output
