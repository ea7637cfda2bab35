"""How a launched program's signals and exit code reach the caller, shown with programs of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from autosre_lab.agents import session
from autosre_lab.agents.launch import Launch
from autosre_lab.agents.named import AGENTS, agent_named

# Runs `session` with a program of the test's in the place of an agent.
DRIVER = """
import os, sys
from autosre_lab.agents import session
from autosre_lab.agents.launch import Launch
from autosre_lab.agents.named import agent_named

def prepared(agent, own, args, **_):
    noise = ("[noise]",) if os.environ.get("NOISE") else ()
    return Launch(argv=tuple(args), env=dict(os.environ), added={}, noise=noise)

session.prepare_launch = prepared
if sys.argv[1] == "replace":
    session.run_and_replace(agent_named("claude"), sys.argv[2:])
sys.exit(session.launch(agent_named("codex"), sys.argv[2:]))
"""

MODES = ["replace", "launch"]


@pytest.fixture(params=["", "1"], ids=["as it is", "filtered"], autouse=True)
def _noise(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds as well where standard error passes through our filter."""
    monkeypatch.setenv("NOISE", request.param)


@contextmanager
def driver(mode: str, *program: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, mode, *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            # A test that failed must not leave its program behind, nor wait for it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("code", [0, 1, 42])
def test_the_exit_code_is_the_programs(mode: str, code: int) -> None:
    with driver(mode, "/bin/sh", "-c", f"exit {code}") as process:
        assert process.wait(30) == code


@pytest.mark.parametrize("mode", MODES)
def test_a_signal_to_us_reaches_the_program(mode: str) -> None:
    program = "trap 'echo asked to end; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    with driver(mode, "/bin/sh", "-c", program) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(30) == 7
        assert process.stdout.read() == "asked to end\n"


@pytest.mark.parametrize("mode", MODES)
def test_control_c_is_the_programs_business(mode: str) -> None:
    program = "trap 'echo heard; exit 3' INT; echo ready; while :; do sleep 0.05; done"
    with driver(mode, "/bin/sh", "-c", program) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        # A terminal sends SIGINT to the whole foreground group.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 3
        assert process.stdout.read() == "heard\n"


@pytest.mark.parametrize(("mode", "expected"), [("replace", -13), ("launch", 141)])
def test_a_program_ended_by_a_signal_is_told_as_shells_tell_it(mode: str, expected: int) -> None:
    # SIGPIPE also shows that Python's own ignoring of it is not handed on.
    with driver(mode, "/bin/sh", "-c", "kill -PIPE $$; echo survived") as process:
        assert process.wait(30) == expected


def test_the_callers_signal_handlers_come_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def prepared(*_: object, **__: object) -> Launch:
        return Launch(argv=("/bin/pwd",), env={}, added={})

    monkeypatch.setattr(session, "prepare_launch", prepared)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    assert session.launch(agent_named("claude"), [], cwd=tmp_path) == 0

    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize("name", AGENTS)
def test_our_own_failure_ends_with_two_and_a_remedy(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", f"autosre_lab.{name}", "--profile", "huge", "-p", "hi"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith("error: unknown profile 'huge'")
    assert "what to do: --profile is one of" in ran.stderr


@pytest.mark.parametrize("mode", MODES)
def test_known_noise_is_left_out_of_standard_error_and_nothing_else(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOISE", "1")
    script = "echo before >&2; echo '[noise] x' >&2; printf '\\303after' >&2; echo out; exit 5"
    ran = subprocess.run(
        [sys.executable, "-c", DRIVER, mode, "/bin/sh", "-c", script],
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (5, b"out\n", b"before\n\xc3after")
