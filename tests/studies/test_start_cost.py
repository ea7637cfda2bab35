"""The study of what a start costs runs each command and tells all three columns."""

from __future__ import annotations

import subprocess

import pytest

from autosre_lab.studies import start_cost


def test_each_command_is_run_and_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_cost, "COMMANDS", {"bare Python": ("-c", "pass")})
    assert start_cost.main(["--rounds", "2"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["ms", "over", "bare", "Python", "median", "fastest", "least", "CPU"]
    assert row.split() == ["bare", "Python", "0", "0", "0"]
    ((wall, cpu), _) = start_cost.measure(2)["bare Python"]
    assert cpu > 0
    assert wall > 0


def test_a_command_that_fails_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_cost, "COMMANDS", {"bare Python": ("-c", "raise SystemExit(3)")})
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        start_cost.measure(1)
