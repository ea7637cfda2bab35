"""The benchmarks' public face: one call for each thing that a person wants."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autosre_lab import bench
from autosre_lab.bench.running_stack import served_by
from autosre_lab.errors import ConfigError, NotComparableError, NotReadyError, RecipeError
from autosre_lab.lifecycle import start, stop
from autosre_lab.stack import Stack
from tests.tuning.scripted import STACK

RECIPE = Path(__file__).parents[2] / "binder" / "scripted.yaml"


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "scripted.yaml").write_bytes(RECIPE.read_bytes())
    monkeypatch.setenv("AUTOSRE_CONFIG_DIR", str(tmp_path))
    yield start("scripted")
    stop()


def test_what_runs_is_measured_compared_and_kept_in_a_line_each(
    stack: Stack, tmp_path: Path
) -> None:
    first = bench.run("smoke")
    assert first.badge == "scripted"
    assert first.conditions.recipe == "scripted"
    assert first.check_before is not None
    again = bench.run("decode", requests=2, output_tokens=4, arrivals="closed:2", slo="ttft=9s")
    assert again.summary.output_tokens == 8
    assert again.summary.good_fraction == 1.0
    file = bench.save_result(again, tmp_path / "a.json.gz")
    assert bench.compare(file, again).differences == ()
    with pytest.raises(NotComparableError):
        bench.compare(first, str(file))


def test_workloads_are_told_by_name() -> None:
    told = bench.workloads()
    assert list(told) == ["smoke", "decode", "prefill-curve", "depth", "cc-session"]
    assert all(told.values())


def test_what_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="cc-session"):
        bench.run("smok")
    with pytest.raises(ConfigError, match="no parameter"):
        bench.run("smoke", request=3)
    with pytest.raises(ConfigError, match="ttft=2s"):
        bench.run("smoke", slo="fast")


def test_without_a_stack_it_says_how_to_start_one() -> None:
    with pytest.raises(NotReadyError):
        bench.run("smoke")


def test_a_recipe_that_is_gone_is_named_with_where_to_put_it() -> None:
    with pytest.raises(RecipeError, match="gone") as caught:
        served_by(dataclasses.replace(STACK, recipe_name="gone"))
    assert "gone.yaml" in caught.value.remedy
    assert "show_settings" in caught.value.remedy


def test_the_face_costs_nothing_until_it_is_used() -> None:
    code = "import sys, autosre_lab.bench as b; assert 'aiohttp' not in sys.modules; b.run"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="nothing"):
        _ = bench.nothing  # type: ignore[attr-defined]
