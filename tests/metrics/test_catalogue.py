"""The catalogue names what exists, and the dashboard is made of it."""

from __future__ import annotations

import itertools
import json
import re
import typing
from typing import Any

import msgspec
import pytest

from autosre_lab.metrics import CATALOGUE, FeedSample, GpuSample, WindowRates, grafana_dashboard
from autosre_lab.metrics.grafana import OF_KEYS
from tests.metrics.bodies import BODIES, body

PANELS = [panel for panel in grafana_dashboard()["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("key", [metric.key for metric in CATALOGUE])
def test_each_key_is_a_field_of_a_sample(key: str) -> None:
    kind: Any = FeedSample
    if key.startswith("gpu."):
        # The GPUs are a list: their metrics are each GPU's.
        assert hasattr(GpuSample, key.removeprefix("gpu."))
        return
    for part in key.split("."):
        hints = typing.get_type_hints(kind)
        assert part in hints, f"{kind.__name__} has no {part}"
        inner = [one for one in typing.get_args(hints[part]) if one is not type(None)]
        kind = inner[0] if inner else hints[part]


def test_every_rate_that_is_one_number_is_in_the_catalogue() -> None:
    numbers = {
        f"rates.{field.name}"
        for field in msgspec.structs.fields(WindowRates)
        if field.type == (float | None)
    }
    assert numbers <= {metric.key for metric in CATALOGUE}


def test_keys_and_titles_are_given_once() -> None:
    for one in ("key", "title"):
        values = [getattr(metric, one) for metric in CATALOGUE]
        assert len(set(values)) == len(values)


def test_the_dashboard_queries_only_series_that_vllm_exposes() -> None:
    exposed = {
        line.split("{")[0].split(" ")[0]
        for name in BODIES
        for line in body(name).splitlines()
        if line.startswith("vllm:")
    }
    asked = set(re.findall(r"vllm:[a-z0-9_]+", json.dumps(grafana_dashboard())))
    assert len(asked) > 20
    assert asked <= exposed


@pytest.mark.parametrize("query", [metric.promql for metric in CATALOGUE if metric.promql])
def test_queries_have_their_brackets_in_pairs(query: str) -> None:
    pairs = {")": "(", "]": "[", "}": "{"}
    stack: list[str] = []
    for sign in re.sub(r'"[^"]*"', "", query):
        if sign in pairs.values():
            stack.append(sign)
        elif sign in pairs:
            assert stack
            assert stack.pop() == pairs[sign]
    assert stack == []


def test_each_metric_of_prometheus_has_one_panel_with_its_meaning() -> None:
    shown = {panel["targets"][0]["expr"]: panel for panel in PANELS}
    wanted = [metric for metric in (*CATALOGUE, *OF_KEYS) if metric.promql]
    assert len(PANELS) == len(wanted) == len(shown)
    for metric in wanted:
        assert metric.meaning in shown[metric.promql]["description"]
        assert shown[metric.promql]["title"].startswith(metric.title)


def test_panels_do_not_overlap_and_have_their_own_ids() -> None:
    panels = grafana_dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells


def test_the_dashboard_asks_for_its_datasource_and_uses_each_variable() -> None:
    dashboard = grafana_dashboard(bandwidth_bytes_per_s=1e12)
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["bandwidth"]["query"] == "1000000000000"
    text = json.dumps(dashboard["panels"])
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    for name in variables:
        assert f"${name}" in text or f"${{{name}}}" in text
    assert dashboard["schemaVersion"] == 39
