from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from autosre_lab import progress
from autosre_lab.progress import step

IN_A_TERMINAL = """
from autosre_lab.progress import step
with step("Do it", total=4) as bar:
    bar.advance(2)
    bar.note("half")
with step("No end known") as bar:
    bar.note("working")
"""


def test_without_a_terminal_a_step_is_a_line_at_its_start_and_one_at_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with step("Do it", total=4) as bar:
        bar.advance(2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Do it: …"
    assert lines[1].startswith("Do it: done in ")
    assert len(lines) == 2


def test_without_a_terminal_a_long_step_is_heard_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "HEADLESS_INTERVAL_S", 0.0)
    with step("Do it", total=4) as bar:
        bar.note("half")
        bar.reach(2)
    assert "Do it: 50 % half" in capsys.readouterr().err


def test_a_step_that_fails_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), step("Do it"):
        raise ZeroDivisionError
    assert "Do it: failed" in capsys.readouterr().err


NOBODY_LOOKS = {"CI", "AUTOSRE_HEADLESS"}


def read_to_the_end(terminal: int) -> str:
    received = b""
    try:
        while data := os.read(terminal, 65536):
            received += data
    except OSError:
        pass  # how Linux tells that the other side of a terminal has been closed
    finally:
        os.close(terminal)
    return received.decode("utf-8")


def test_in_a_terminal_a_step_is_a_bar() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    # CI is one of the places where nobody looks.
    environ = {name: value for name, value in os.environ.items() if name not in NOBODY_LOOKS}
    process = subprocess.Popen([sys.executable, "-c", IN_A_TERMINAL], stderr=theirs, env=environ)
    os.close(theirs)
    shown = read_to_the_end(ours)
    assert process.wait(timeout=60) == 0
    assert "Do it: 100%" in shown
    assert "4/4" in shown
    assert "done" in shown
    assert "No end known" in shown
