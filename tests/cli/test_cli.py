"""The commands as a person types them; the stack behind them is the engine's tests' business."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from autosre_lab import __version__
from autosre_lab.cli import main
from autosre_lab.cli.lazy import LazyCommands
from autosre_lab.cli.output import csv_text
from autosre_lab.stack import Stack


def run(*argv: str) -> Result:
    return CliRunner().invoke(main, list(argv))


assert isinstance(main.commands, LazyCommands)
COMMANDS: LazyCommands = main.commands


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_a_first_line_and_an_example(name: str) -> None:
    text = COMMANDS[name].help or ""
    # The list of commands imports none of them, so it has the line by itself.
    assert text.partition("\n")[0] == COMMANDS.entries[name].help
    assert text.partition("\n")[0].endswith(".")
    assert f"Example: autosre {name}" in text
    # Help breaks its lines where it likes.
    assert "".join(COMMANDS.entries[name].help.split()) in "".join(run("--help").output.split())


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name in command.commands:
            yield from leaves(command.commands[name], f"{path} {name}")
    else:
        yield path, command


@pytest.mark.parametrize(("path", "command"), list(leaves(main, "autosre")))
def test_every_command_shows_how_it_is_typed(path: str, command: click.Command) -> None:
    assert f"Example: {path}" in (command.help or "")


READING = [
    *("status", "preflight", "drift", "configure show", "configure explain", "cache ls"),
    *("bench workloads", "bench show", "bench compare", "bench run", "eval show", "eval compare"),
    *("eval run", "tune show", "metrics list", "recipes list", "recipes show", "recipes lint"),
    *("keys create", "keys list", "keys usage", "keys rotate", "keys revoke", "keys publish"),
    *("backends list", "backends check"),
    *("recipes diff", "recipes new", "cache prune", "notebook list", "start", "switch", "stop"),
]


@pytest.mark.parametrize("path", READING)
def test_every_command_that_prints_a_result_prints_it_in_each_form(path: str) -> None:
    shown = run(*path.split(), "--help").output
    assert "-o, --output [table|json|yaml|csv]" in shown
    assert "--json" in shown


PLACED = [
    *("status", "start", "stop", "switch", "drift", "watch", "bench run", "eval run", "report run"),
]


@pytest.mark.parametrize("path", PLACED)
def test_every_command_that_looks_at_a_stack_is_told_where(path: str) -> None:
    assert "--place [local|cluster]" in run(*path.split(), "--help").output


def test_help_and_a_commands_own_help_import_no_other_command() -> None:
    code = (
        "import sys; from autosre_lab.cli import main; "
        "main(['chart', '--help'], standalone_mode=False); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    loaded = {name for name in done.stderr.split() if name.startswith("autosre_lab.cli.")}
    assert "autosre_lab.cli.chart" in loaded
    assert not loaded & {"autosre_lab.cli.bench", "autosre_lab.cli.stack", "autosre_lab.cli.watch"}


def test_one_result_in_four_forms() -> None:
    rows = json.loads(run("recipes", "list", "--json").output)
    assert [row["name"] for row in rows if row["device"] == "cpu"] == ["smollm2-135m-cpu"]
    assert yaml.safe_load(run("recipes", "list", "-o", "yaml").output) == rows
    lines = list(csv.DictReader(run("recipes", "list", "-o", "csv").output.splitlines()))
    assert lines == [{name: str(value) for name, value in row.items()} for row in rows]
    assert run("recipes", "list").output.split()[:4] == ["name", "model", "window", "device"]


def test_lists_and_nested_values_are_one_cell_each_in_csv() -> None:
    text = csv_text([{"a": {"b": 1, "c": ["x", "y"]}, "d": "one, two"}, {"a": {"b": 2}, "e": None}])
    assert text == 'a.b,a.c,d,e\n1,x; y,"one, two",\n2,,,\n'


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("statsu", "status"),
        ("bench compair a b", "compare"),
        ("start --plcae local", "--place"),
        ("start smollm2-135m-cup", "smollm2-135m-cpu"),
        ("recipes lint smollm-135m-cpu", "smollm2-135m-cpu"),
        ("claude --pofile lean -p hi", "--profile"),
        ("ui obsrve", "observe"),
    ],
)
def test_a_slip_of_the_finger_is_answered_with_what_was_meant(typed: str, meant: str) -> None:
    shown = run(*typed.split())
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert meant in shown.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_for_its_shell(shell: str) -> None:
    assert f"_AUTOSRE_COMPLETE={shell}_complete" in run("completion", shell).output


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("autosre sta", "status"),
        ("autosre start smol", "smollm2-135m-cpu"),
        ("autosre bench run sm", "smoke"),
        ("autosre ui obs", "observe"),
        ("autosre status --pl", "--place"),
        ("autosre status -o y", "yaml"),
    ],
)
def test_a_shell_completes_commands_options_and_names(typed: str, expected: str) -> None:
    words = typed.split()
    done = subprocess.run(
        [sys.executable, "-m", "autosre_lab"],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={
            **os.environ,
            "_AUTOSRE_COMPLETE": "bash_complete",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(words) - 1),
        },
    )
    assert f"plain,{expected}" in done.stdout.splitlines(), done.stderr


def test_control_c_is_told_and_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("autosre_lab.lifecycle.status", interrupted)
    shown = run("status")
    assert (shown.exit_code, shown.stdout, shown.stderr) == (130, "", "interrupted\n")


def test_the_command_reference_is_what_the_commands_say(tmp_path: Path) -> None:
    # In a process of its own: click keeps the help option of a command that a test called alone.
    page, written = Path(__file__).parents[2] / "docs" / "commands.md", tmp_path / "commands.md"
    subprocess.run([sys.executable, "-m", "autosre_lab.cli.reference", str(written)], check=True)
    assert page.read_text("utf-8") == written.read_text("utf-8"), "run: make docs"


def test_help_shows_a_whole_session_line_by_line() -> None:
    lines = run("--help").output.splitlines()
    assert "  autosre stop                      stop it" in [line[2:] for line in lines]
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
    asks_a_model = theirs.startswith("-p")
    assert ("ANTHROPIC_BASE_URL=http://127.0.0.1:8011" in shown.stdout) is asks_a_model
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
