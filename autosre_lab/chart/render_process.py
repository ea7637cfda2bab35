"""Renders a chart with Helm's own engine, in a process of its own.

The engine is Go inside a shared library: it hangs in a child that was forked after its use, and
stays in memory once loaded. So callers run ``python -m autosre_lab.chart.render_process``, which
reads one JSON request and writes one JSON answer.
"""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["main"]


def main() -> int:
    """Read a request from standard input, write the answer to standard output."""
    request = json.loads(sys.stdin.buffer.read())
    try:
        answer = _answer(request)
    except ImportError:
        answer = {"missing": True}
    sys.stdout.write(json.dumps(answer))
    return 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    import helm_python

    chart, values, namespace = request["chart"], request["values"], request["namespace"]
    try:
        if request["do"] == "lint":
            return {"lint": helm_python.lint(chart, values, strict=True, namespace=namespace)}
        with helm_python.Chart.load(chart) as loaded:
            loaded.validate_schema(values)
            return {"files": loaded.render(values, name="autosre", namespace=namespace)}
    except helm_python.HelmError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    sys.exit(main())
