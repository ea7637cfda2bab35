"""The committed renderings: ``python -m tests.chart.golden`` writes them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from autosre_lab.chart import ChartOptions, helm_values, render
from autosre_lab.preemption import hook_sha256, hook_text
from tests.chart.recipes import everything, production

FOLDER = Path(__file__).parent / "golden"
CASES = {
    "production": (production, ChartOptions()),
    "everything": (everything, ChartOptions(codex_proxy=True, browser=True, store_responses=True)),
}


def rendered(name: str) -> str:
    recipe, options = CASES[name]
    objects = render(helm_values(recipe(), options), namespace="autosre")
    return yaml.safe_dump_all([_settled(obj) for obj in objects], sort_keys=False, width=100)


def _settled(obj: dict[str, Any]) -> dict[str, Any]:
    """Leave out what changes with every edit of the hook, and what is said twice."""
    if obj["metadata"]["name"] == "autosre-recipe":
        json.loads(obj["data"].pop("values.json"))
    plain = json.dumps(obj).replace(json.dumps(hook_text())[1:-1], "(the hook)")
    settled: dict[str, Any] = json.loads(plain.replace(hook_sha256(), "(its digest)"))
    return settled


if __name__ == "__main__":
    for case in CASES:
        (FOLDER / f"{case}.yaml").write_text(rendered(case), encoding="utf-8")
