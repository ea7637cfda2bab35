"""A run beside what the memory allows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autosre_lab.bench.ceiling import ceiling_of
from autosre_lab.bench.summary import summarise
from autosre_lab.provision.model_folder import model_folder
from autosre_lab.recipe import Recipe, load_recipe
from tests.support.h100 import SMOLLM2, card

H100 = "NVIDIA H100 80GB HBM3"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """SmolLM2, whose ``config.json`` is here and whose weights are not."""
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path))
    recipe = load_recipe("smollm2-135m-cpu")
    folder = Path(model_folder(recipe))
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(SMOLLM2))
    return recipe


def test_the_rate_beside_the_ceiling_is_the_one_that_was_made(recipe: Recipe) -> None:
    # 2,998 tokens/s were claimed of 1,805 made: requests under way over their time per token.
    measured = card("cc")
    summary = summarise(measured.timings)
    assert measured.roofline is not None
    assert measured.roofline.measured_tps == pytest.approx(2998, abs=1)
    assert measured.server is not None
    assert measured.server.gen_tps is not None
    found = ceiling_of(recipe, summary, measured.server, gpu=H100)
    assert found is not None
    assert found.measured_tps == pytest.approx(measured.server.gen_tps, rel=0.02)
    assert found.ceiling_tps < measured.roofline.ceiling_tps, "fewer requests share the weights"
    assert found.utilisation == pytest.approx(1772 / found.ceiling_tps, rel=0.01)


def test_gpus_that_share_the_model_raise_the_ceiling(recipe: Recipe) -> None:
    summary = summarise(card("decode").timings)
    one = ceiling_of(recipe, summary, None, gpu=H100)
    engine = recipe.engine.model_copy(
        update={"args": {**recipe.engine.args, "tensor-parallel-size": 2}}
    )
    two = ceiling_of(recipe.model_copy(update={"engine": engine}), summary, None, gpu=H100)
    assert one is not None
    assert two is not None
    assert two.ceiling_tps == pytest.approx(2 * one.ceiling_tps)
    assert one.measured_tps == pytest.approx(572, abs=1), "557 with the prefills between"


def test_a_gpu_that_is_not_in_the_list_has_no_ceiling(recipe: Recipe) -> None:
    assert ceiling_of(recipe, summarise(card("cc").timings), None, gpu="NVIDIA X") is None


def test_a_run_that_decoded_nothing_has_none(recipe: Recipe) -> None:
    assert ceiling_of(recipe, summarise([]), None, gpu=H100) is None
