"""A Grafana dashboard of what the catalogue has in Prometheus."""

from __future__ import annotations

from typing import Any

from autosre_lab.metrics.catalogue import CATALOGUE, Metric, Unit

__all__ = ["OF_KEYS", "grafana_dashboard"]

_UNITS: dict[Unit, str] = {
    "tok/s": "short",
    "tok": "short",
    "1/s": "ops",
    "s": "s",
    "share": "percentunit",
    "count": "short",
    "B": "bytes",
    "W": "watt",
    "J": "joule",
    "J/tok": "short",
    "MHz": "rotmhz",
    "C": "celsius",
    "": "short",
}
_SCHEMA_VERSION = 39
"""Of Grafana 11; later ones migrate it."""

_WIDTH, _HEIGHT, _PER_ROW = 8, 7, 3

OF_KEYS = (
    Metric(
        "keys.tokens",
        "Computed tokens by key, last day",
        "tok",
        "Prompt tokens that were not cached, and generated ones; budgets count days of UTC.",
        "autosre_proxy_key_tokens_total",
        "Keys",
        'sum by (key) (increase(autosre_proxy_key_tokens_total{direction!="cached"}[1d]))',
    ),
    Metric(
        "keys.requests",
        "Requests by key",
        "1/s",
        "All that showed the key, refused ones included.",
        "autosre_proxy_key_requests_total",
        "Keys",
        "sum by (key) (rate(autosre_proxy_key_requests_total[1m]))",
    ),
    Metric(
        "keys.limited",
        "Requests over a limit by key",
        "1/s",
        "Answered with 429: too many at a time or a minute, or the day's tokens are used up.",
        "autosre_proxy_key_requests_total",
        "Keys",
        'sum by (key) (rate(autosre_proxy_key_requests_total{status="429"}[1m]))',
    ),
)
"""Of the proxy, for each client's key."""

_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def grafana_dashboard(
    *, title: str = "autosre: the stack", bandwidth_bytes_per_s: float = 273e9
) -> dict[str, Any]:
    """Return a dashboard for Grafana 11 or later, ready for `json.dump` and import.

    The datasource is asked for on import. GPU and host panels use the names of DCGM's exporter
    and of node_exporter, and stay empty without them.

    Args:
        title: Its title.
        bandwidth_bytes_per_s: The memory's bandwidth, for its utilisation.
    """
    panels: list[dict[str, Any]] = []
    top = 0
    for section in dict.fromkeys(metric.section for metric in CATALOGUE):
        shown = [one for one in CATALOGUE if one.section == section and one.promql]
        panels.append(_row(section, len(panels) + 1, top))
        top += 1
        for place, metric in enumerate(shown):
            x, y = place % _PER_ROW * _WIDTH, top + place // _PER_ROW * _HEIGHT
            panels.append(_panel(metric, len(panels) + 1, x, y))
        top += -(-len(shown) // _PER_ROW) * _HEIGHT
    panels.append(_row("Keys", len(panels) + 1, top))
    for place, metric in enumerate(OF_KEYS):
        panel = _panel(metric, len(panels) + 1, place * _WIDTH, top + 1)
        panel["targets"][0]["legendFormat"] = "{{key}}"
        panel["options"]["legend"]["showLegend"] = True
        panels.append(panel)
    return {
        "uid": "autosre-stack",
        "title": title,
        "tags": ["autosre", "vllm"],
        "schemaVersion": _SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": _variables(bandwidth_bytes_per_s)},
        "panels": panels,
    }


def _row(title: str, number: int, top: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "panels": [],
        "gridPos": {"x": 0, "y": top, "w": 24, "h": 1},
    }


def _panel(metric: Metric, number: int, x: int, y: int) -> dict[str, Any]:
    unit = _UNITS[metric.unit]
    defaults: dict[str, Any] = {
        "unit": unit,
        "custom": {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never", "spanNulls": False},
        "min": 0,
    }
    if metric.unit == "share":
        defaults["max"] = 1
    label = f" ({metric.unit})" if unit == "short" and metric.unit not in ("", "count") else ""
    return {
        "id": number,
        "type": "timeseries",
        "title": f"{metric.title}{label}",
        "description": f"{metric.meaning}\n\n{metric.source}",
        "datasource": _DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "legend": {
                "calcs": [],
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": False,
            },
            "tooltip": {"mode": "multi", "sort": "none"},
        },
        "targets": [
            {
                "refId": "A",
                "datasource": _DATASOURCE,
                "editorMode": "code",
                "expr": metric.promql,
                "legendFormat": metric.title,
                "range": True,
            }
        ],
    }


def _variables(bandwidth_bytes_per_s: float) -> list[dict[str, Any]]:
    models = "label_values(vllm:num_requests_running, model_name)"
    bandwidth = f"{bandwidth_bytes_per_s:.0f}"
    return [
        {
            "name": "datasource",
            "label": "Prometheus",
            "type": "datasource",
            "query": "prometheus",
            "current": {"selected": True, "text": "default", "value": "default"},
            "hide": 0,
            "refresh": 1,
            "options": [],
        },
        {
            "name": "model",
            "label": "Model",
            "type": "query",
            "datasource": _DATASOURCE,
            "query": models,
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "refresh": 2,
            "sort": 1,
            "hide": 0,
            "options": [],
        },
        {
            "name": "bandwidth",
            "label": "Memory bandwidth (B/s)",
            "type": "textbox",
            "query": bandwidth,
            "current": {"selected": True, "text": bandwidth, "value": bandwidth},
            "options": [{"selected": True, "text": bandwidth, "value": bandwidth}],
            "hide": 0,
        },
    ]
