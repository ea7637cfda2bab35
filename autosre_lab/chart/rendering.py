"""From values to Kubernetes objects, with real Helm and without a cluster."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from autosre_lab.errors import MissingExtraError, RenderError

__all__ = [
    "BinaryRenderer",
    "Object",
    "Renderer",
    "SdkRenderer",
    "chart_folder",
    "choose_renderer",
    "render",
]

Object = dict[str, Any]
"""A Kubernetes object, as JSON."""

RENDER_TIMEOUT_S = 60.0

# What an API server must have before it can take what refers to it.
_ORDER = (
    *("Namespace", "ServiceAccount", "Secret", "ConfigMap", "NetworkPolicy", "Service"),
    *("Deployment", "StatefulSet"),
)


class Renderer(Protocol):
    """Something that speaks Helm's template language."""

    @property
    def name(self) -> str:
        """What it is, for messages."""

    def files(self, chart: Path, values: Mapping[str, Any], *, namespace: str) -> dict[str, str]:
        """Return the YAML text of each template.

        Raises:
            RenderError: The values or the templates are wrong.
        """

    def problems(self, chart: Path, values: Mapping[str, Any], *, namespace: str) -> list[str]:
        """Return what ``helm lint --strict`` complains about."""


class SdkRenderer:
    """Helm's engine from the package helm-python-sdk, in a process of its own."""

    name = "helm-python-sdk"

    def files(self, chart: Path, values: Mapping[str, Any], *, namespace: str) -> dict[str, str]:
        """Return the YAML text of each template."""
        answer = self._ask("render", chart, values, namespace)
        files: dict[str, str] = answer["files"]
        return files

    def problems(self, chart: Path, values: Mapping[str, Any], *, namespace: str) -> list[str]:
        """Return what the linter complains about."""
        report = self._ask("lint", chart, values, namespace)["lint"]
        said = [
            f"{message['path']}: {message['error']}"
            for message in report.get("messages", [])
            if message["severity"] >= 2
        ]
        return said + [str(error) for error in report.get("errors") or [] if not said]

    def _ask(
        self, do: str, chart: Path, values: Mapping[str, Any], namespace: str
    ) -> dict[str, Any]:
        request = {"do": do, "chart": str(chart), "values": values, "namespace": namespace}
        done = subprocess.run(
            [sys.executable, "-m", "autosre_lab.chart.render_process"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=RENDER_TIMEOUT_S,
            check=False,
        )
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            answer = {"error": done.stderr.decode(errors="replace")[-2000:] or "no answer"}
        if answer.get("missing"):
            raise MissingExtraError("rendering the chart", extra="cluster")
        if "error" in answer:
            raise _render_error(str(answer["error"]))
        return answer


class BinaryRenderer:
    """The ``helm`` program."""

    name = "helm"

    def __init__(self, executable: str = "helm") -> None:
        self._executable = executable

    def files(self, chart: Path, values: Mapping[str, Any], *, namespace: str) -> dict[str, str]:
        """Return the YAML text of each template."""
        done = self._run("template", "autosre", chart, values, namespace)
        if done.returncode != 0:
            raise _render_error(done.stderr.strip())
        files: dict[str, str] = {}
        source = "unnamed.yaml"
        for document in f"\n{done.stdout}".split("\n---\n"):
            source = document.partition("# Source: ")[2].partition("\n")[0] or source
            files[source] = f"{files.get(source, '')}\n---\n{document}"
        return files

    def problems(self, chart: Path, values: Mapping[str, Any], *, namespace: str) -> list[str]:
        """Return what the linter complains about."""
        done = self._run("lint", "--strict", chart, values, namespace)
        lines = (done.stdout + done.stderr).splitlines()
        return [line for line in lines if line.startswith(("[WARNING]", "[ERROR]"))]

    def _run(
        self, verb: str, extra: str, chart: Path, values: Mapping[str, Any], namespace: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(self._executable, verb, extra, str(chart)),
                *("--namespace", namespace, "--values", "-"),
            ],
            input=json.dumps(values),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=RENDER_TIMEOUT_S,
            check=False,
        )


def chart_folder() -> Path:
    """Return the folder of the chart that comes with this project."""
    package = Path(__file__).resolve().parents[1]
    in_wheel = package / "_charts" / "autosre"
    return in_wheel if in_wheel.is_dir() else package.parent / "charts" / "autosre"


def choose_renderer() -> Renderer:
    """Return the ``helm`` on PATH if there is one, else Helm's engine from its package."""
    executable = shutil.which("helm")
    return BinaryRenderer(executable) if executable else SdkRenderer()


def render(
    values: Mapping[str, Any],
    *,
    namespace: str,
    chart: Path | None = None,
    renderer: Renderer | None = None,
) -> list[Object]:
    """Return the chart's objects, in the order in which a server can take them.

    Args:
        values: What `helm_values` returned, perhaps edited.
        namespace: Where the objects will live.
        chart: Another chart than ours.
        renderer: Another engine than `choose_renderer`'s.

    Raises:
        RenderError: The values do not fit the chart.
        MissingExtraError: Neither ``helm`` nor the package is there.
    """
    chosen = renderer or choose_renderer()
    files = chosen.files(chart or chart_folder(), values, namespace=namespace)
    objects = [
        document
        for name in sorted(files)
        if name.endswith((".yaml", ".yml"))
        for document in yaml.safe_load_all(files[name])
        if document
    ]
    return sorted(objects, key=_rank)


def _rank(obj: Object) -> tuple[int, str, str]:
    kind = str(obj["kind"])
    place = _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
    return place, kind, str(obj["metadata"]["name"])


def _render_error(said: str) -> RenderError:
    return RenderError(
        f"the chart cannot be rendered with these values: {said}",
        remedy="make the values from a recipe (`autosre chart values RECIPE`) and change only "
        "keys that values.schema.json knows",
    )
