"""What is missing is installed by a command that works here, and names nothing on no index."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autosre_lab import extras
from autosre_lab.extras import how_to_install


def test_in_a_clones_own_environment_make_does_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "Makefile").touch()
    monkeypatch.setattr(extras, "CLONE", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert how_to_install("tune") == f"make -C {tmp_path} .venv/.all"


def test_elsewhere_the_packages_are_named_not_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(extras, "CLONE", tmp_path)
    monkeypatch.setattr(
        "importlib.metadata.requires",
        lambda _: ["click>=8", "optuna>=4.5; extra == 'tune'", 'mcp>=2.3; extra == "web"'],
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert how_to_install("tune") == f"{sys.executable} -m pip install 'optuna>=4.5'"
    assert how_to_install("web") == f"{sys.executable} -m pip install 'mcp>=2.3'"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = how_to_install("web")
    assert found == f"uv pip install --python {sys.executable} 'mcp>=2.3'"
