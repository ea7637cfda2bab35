from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autosre_lab.cli.main import main
from tests.parity.running import Running, small


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["drift", *words])


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    """A stack that the command finds wherever it looks for a cluster."""
    stack = Running(small(), tmp_path)
    monkeypatch.setattr("autosre_lab.cluster.options.configured_client", lambda: stack.cluster)
    return stack


@pytest.fixture
def recipe_file(running: Running, tmp_path: Path) -> str:
    from autosre_lab.recipe import recipe_yaml

    file = tmp_path / "small.yaml"
    file.write_text(recipe_yaml(running.recipe), encoding="utf-8")
    return str(file)


def test_no_drift_exits_with_zero(running: Running, recipe_file: str) -> None:
    running.up()
    done = run(recipe_file, "--place", "cluster", "--strict")
    assert done.exit_code == 0
    assert done.output.startswith("small, Pod vllm-1-a: no drift")
    assert run("--place", "cluster").output == done.output


def test_drift_exits_with_four_only_if_strict(running: Running, recipe_file: str) -> None:
    running.argv += ["--seed", "7"]
    running.up()
    assert run(recipe_file, "--place", "cluster").exit_code == 0
    done = run(recipe_file, "--place", "cluster", "--strict", "--json")
    assert done.exit_code == 4
    assert [row["subject"] for row in json.loads(done.output)["rows"]] == ["--seed"]


def test_what_cannot_be_told_exits_with_three(running: Running, recipe_file: str) -> None:
    running.up().refused.add("exec")
    assert run(recipe_file, "--place", "cluster").exit_code == 3
    assert run("no-such-recipe").exit_code == 2


def test_an_engine_is_named_by_its_port(running: Running, recipe_file: str) -> None:
    running.up()
    port = str(running.recipe.network.port)
    assert run(recipe_file, "--place", "cluster", "--api-port", port).exit_code == 0
    done = run(recipe_file, "--place", "cluster", "--api-port", "1")
    assert done.exit_code == 3
    assert "no API server of vLLM runs in Pod vllm-1-a on port 1" in done.output


def test_a_pod_is_taken_over_as_a_recipe(running: Running) -> None:
    running.up()
    done = run("--take-over")
    assert done.exit_code == 0
    assert done.output.startswith("# Taken over from Pod vllm-1-a")
    assert "name: small" in done.output
