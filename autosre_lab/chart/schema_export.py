"""The chart's ``values.schema.json``: ``python -m autosre_lab.chart.schema_export``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from autosre_lab.chart.rendering import chart_folder
from autosre_lab.chart.values import ChartValues
from autosre_lab.private_files import write_whole

__all__ = ["main", "schema_text"]


def schema_text() -> str:
    """Return the schema as the file holds it."""
    schema = _plain(ChartValues.model_json_schema(by_alias=True))
    # Draft 7 is what every Helm 3 knows.
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
    return json.dumps(schema, indent=1, ensure_ascii=False).replace("$defs", "definitions") + "\n"


def main(argv: list[str] | None = None) -> int:
    """Write the schema into the chart, or to the file that is named."""
    parser = argparse.ArgumentParser(prog="python -m autosre_lab.chart.schema_export")
    parser.description = main.__doc__
    default = chart_folder() / "values.schema.json"
    parser.add_argument("file", type=Path, nargs="?", default=default)
    file = write_whole(parser.parse_args(argv).file, schema_text())
    print(file)  # noqa: T201
    return 0


def _plain(node: Any) -> Any:
    """Drop titles that only repeat the key."""
    if isinstance(node, dict):
        kept = {key: _plain(value) for key, value in node.items()}
        if isinstance(kept.get("title"), str) and "description" not in kept:
            kept.pop("title")
        return kept
    return [_plain(entry) for entry in node] if isinstance(node, list) else node


if __name__ == "__main__":
    sys.exit(main())
