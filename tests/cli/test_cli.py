"""The commands as a person types them; the stack behind them is the engine's tests' business."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from importlib import metadata

import pytest
from click.testing import CliRunner, Result

from autosre_lab import __version__
from autosre_lab.cli import main
from autosre_lab.stack import Stack


def run(*argv: str) -> Result:
    return CliRunner().invoke(main, list(argv))


def test_the_commands_are_these_for_now() -> None:
    assert sorted(main.commands) == [
        *("bench", "chart", "claude", "drift", "eval", "image", "metrics", "preflight", "report"),
        *("start", "status", "stop", "switch", "tune", "ui", "watch"),
    ]


@pytest.mark.parametrize("name", main.commands)
def test_every_command_has_a_first_line_and_an_example(name: str) -> None:
    text = main.commands[name].help or ""
    assert text.partition("\n")[0].endswith(".")
    assert f"Example: autosre {name}" in text
    assert main.commands[name].get_short_help_str(80) in run("--help").output


def test_help_shows_a_whole_session_line_by_line() -> None:
    lines = run("--help").output.splitlines()
    assert "  autosre stop                      end it" in [line[2:] for line in lines]
    assert "\\b" not in run("--help").output
    assert run("-h").output == run("--help").output


def test_the_module_and_the_console_script_are_the_same_commands() -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="autosre")
    assert script.load() is main
    done = subprocess.run(
        [sys.executable, "-m", "autosre_lab", "--version"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.strip() == f"autosre, version {__version__}"


def test_status_of_nothing_is_stopped_and_not_success() -> None:
    shown = run("status")
    assert (shown.exit_code, shown.output) == (3, "stack: stopped\n")
    assert json.loads(run("status", "--json").output) == {
        "state": "stopped",
        "recipe_name": None,
        "services": {},
        "place": "local",
    }


def test_stop_of_nothing_is_fine() -> None:
    assert run("stop").exit_code == 0


def test_an_error_says_what_to_do_on_standard_error_and_misuse_is_2() -> None:
    shown = run("start", "no-such-recipe")
    assert (shown.exit_code, shown.stdout) == (2, "")
    what, remedy = shown.stderr.splitlines()
    assert what == "error: there is no recipe named 'no-such-recipe'"
    assert remedy.startswith("  what to do: ")


def test_what_is_no_mistake_of_the_caller_is_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        shown = run("start", "smollm2-135m-cpu", "--proxy-port", port)
    assert shown.exit_code == 1, shown.output
    assert f"error: port {port} is taken" in shown.stderr


def test_a_broken_setting_is_an_error_of_every_command_but_not_of_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTOSRE_LOG_LEVEL", "loud")
    shown = run("status")
    assert shown.exit_code == 2
    assert shown.stderr.startswith("error: AUTOSRE_LOG_LEVEL: 'loud' is not one of")
    assert run("--help").exit_code == 0


@pytest.mark.parametrize("option", ["--timeout", "--engine-port"])
def test_numbers_that_cannot_be_meant_are_refused(option: str) -> None:
    shown = run("start", option, "-4")
    assert shown.exit_code == 2
    assert option in shown.stderr


def test_debug_shows_where_it_came_from() -> None:
    shown = run("--debug", "start", "no-such-recipe")
    assert type(shown.exception).__name__ == "RecipeError"


THEIRS = (
    "-p hi --model x",
    "--debug -h --json --version",
    "-p -- --question",
    "mcp list --help",
)


@pytest.mark.parametrize("theirs", THEIRS)
def test_claudes_arguments_are_claudes(theirs: str) -> None:
    shown = run("claude", "--dry-run", *theirs.split())
    assert shown.exit_code == 0, shown.output
    assert "ANTHROPIC_BASE_URL=http://127.0.0.1:8011" in shown.stdout
    assert shown.stdout.rstrip().splitlines()[-1].endswith(f" {theirs}")


def test_our_own_failures_before_claude_runs_are_told_from_claudes() -> None:
    shown = run("claude", "--recipe", "no-such-recipe", "-p", "hi")
    assert shown.exit_code == 2
    assert shown.stderr.startswith("error: there is no recipe")


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
