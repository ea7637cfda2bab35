from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
from autosre_lab.recipe import *
import autosre_lab
assert autosre_lab.__file__.startswith({folder!r}), autosre_lab.__file__
for name in recipe_names():
    recipe = load_recipe(name)
    assert not [f for f in lint_recipe(recipe) if f.severity == "error"], name
    print(build_vllm_serve_cmd(recipe, host="h", port=1)[2])

from autosre_lab.chart import chart_folder, helm_values, render
assert str(chart_folder()).startswith({folder!r})
assert (chart_folder() / "images" / "proxy" / "Containerfile").is_file()
print(len(render(helm_values(load_recipe("qwen3.6-35b-a3b-nvfp4")), namespace="lab")), "objects")
"""


@pytest.mark.wheel
def test_recipes_flag_tables_and_the_chart_travel_in_the_wheel(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), "."],
        cwd=ROOT,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    folder = tmp_path / "unpacked"
    zipfile.ZipFile(wheel).extractall(folder)
    assert (folder / "autosre_lab" / "_recipes" / "base" / "claude-code.yaml").is_file()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(folder=str(folder))],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "nvidia/Qwen3.6-35B-A3B-NVFP4" in done.stdout.split()
    assert done.stdout.rstrip().endswith("objects")
