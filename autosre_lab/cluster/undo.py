"""What a start that failed takes back: what it changed itself, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from autosre_lab.chart.rendering import render
from autosre_lab.cluster.gone import scale
from autosre_lab.cluster.kube import KubeClient
from autosre_lab.cluster.release import (
    BROWSER,
    CODEX_PROXY,
    ENGINE,
    PROXY,
    Release,
    apply_release,
    is_ours,
)
from autosre_lab.errors import AutosreError

__all__ = ["Undo"]


@dataclass(slots=True)
class Undo:
    """One start's changes, and the way back.

    Attributes:
        kube: The API server.
        before: What ran when the start began; None where nothing did.
        engine_changed: Whether the engine that ran was ended, or its Deployment changed.
        applied: Whether the chart's objects were applied.
    """

    kube: KubeClient
    before: Release | None
    engine_changed: bool = False
    applied: bool = False
    _was_up: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._was_up = frozenset(self._up())

    def run(self, runs_again: Callable[[Release], None]) -> str:
        """Put things back; returns what to tell about it.

        Args:
            runs_again: Applies what ran before and waits until it runs.
        """
        try:
            if self.before is None:
                return self._to_zero()
            if self.engine_changed:
                scale(self.kube, ENGINE, 0)
                runs_again(self.before)
                return f"\n  recipe {self.before.recipe.name}, which ran before, runs again"
            if self.applied:
                # The engine's Deployment is the same in both: its Pod stays.
                apply_release(self.kube, render(self.before.values, namespace=self.kube.namespace))
        except AutosreError as error:
            return f"\n  and going back failed too: {error.message}"
        return "\n  the engine that runs was left as it is"

    def interrupted(self) -> str:
        """Say what goes on after a Ctrl-C; an engine that had only been ended is begun again."""
        if self.applied:
            return (
                "the start goes on in the cluster: see it with `autosre status --place cluster`, "
                "end it with `autosre stop --place cluster`"
            )
        if self.before is None or not self.engine_changed:
            return "nothing was begun in the cluster"
        name = self.before.recipe.name
        try:
            apply_release(self.kube, render(self.before.values, namespace=self.kube.namespace))
        except AutosreError as error:
            return (
                f"recipe {name}, which ran before, was ended and could not be begun again "
                f"({error.message}); begin it with `autosre start {name} --place cluster`"
            )
        return (
            f"recipe {name}, which ran before, was ended and begins again: see it with `autosre "
            "status --place cluster`"
        )

    def _to_zero(self) -> str:
        """Scale down what this start has brought up, the proxies too."""
        for name in self._up():
            if name not in self._was_up or (name == ENGINE and self.engine_changed):
                scale(self.kube, name, 0)
        return "\n  what it had started was scaled to zero again, so that it holds nothing"

    def _up(self) -> list[str]:
        found = []
        for name in (ENGINE, PROXY, CODEX_PROXY, BROWSER):
            live = self.kube.get("Deployment", name)
            if live is not None and is_ours(live) and live["spec"].get("replicas", 1):
                found.append(name)
        return found
