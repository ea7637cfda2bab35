"""An executed notebook as one HTML page that needs no network: plotly.js is inside, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autosre_lab.errors import MissingExtraError
from autosre_lab.markup import figure_json, html_text, script_json
from autosre_lab.private_files import write_whole

__all__ = ["write_page"]

_PLOTLY = "application/vnd.plotly.v1+json"


def write_page(executed: str | Path, page: str | Path | None = None) -> Path:
    """Write an executed notebook as a page; its figures can be moved there.

    Args:
        executed: The notebook.
        page: The page; beside the notebook by default.

    Returns:
        The page.

    Raises:
        MissingExtraError: nbconvert or plotly is not installed.
    """
    try:
        import nbformat
        from nbconvert import HTMLExporter
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtraError("a notebook as a page", extra="notebooks") from error
    source = Path(executed)
    target = source.with_suffix(".html") if page is None else Path(page)
    notebook = nbformat.read(source, as_version=4)
    figures = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            figure = output.get("data", {}).pop(_PLOTLY, None)
            if figure is not None:
                output["data"]["text/html"] = _drawn(figure, f"figure-{figures}")
                figures += 1
    # Nothing from the network: the addresses of scripts that no notebook here needs are empty.
    exporter: Any = HTMLExporter  # its constructor has no types
    exporter = exporter(mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    exporter.theme = "light"
    text, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": source.stem}})
    if figures:
        text = text.replace("</head>", f"<script>{get_plotlyjs()}</script></head>", 1)
    return write_whole(target, text)


def _drawn(figure: dict[str, Any], name: str) -> str:
    layout = figure.get("layout", {})
    height = layout.get("height", 450)
    parts = (figure.get("data", []), layout, {"responsive": True})
    arguments = ", ".join(script_json(figure_json(part)) for part in parts)
    return (
        f'<div id="{html_text(name)}" style="height:{height}px;width:100%"></div>'
        f'<script>Plotly.newPlot("{name}", {arguments});</script>'
    )
