"""The stack as processes of this machine, for the verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autosre_lab import local
from autosre_lab.errors import ConfigError
from autosre_lab.stack import PlaceName

if TYPE_CHECKING:
    from autosre_lab.lifecycle.changes import Change
    from autosre_lab.metrics import LogFeed, Sources
    from autosre_lab.parity import DriftReport
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack import PreflightReport, Stack, StackStatus

__all__ = ["LocalPlace"]


class LocalPlace:
    """A `Place`: supervised processes of this user."""

    name: PlaceName = "local"

    def start(
        self,
        recipe: Recipe,
        *,
        engine_port: int | None,
        proxy_port: int | None,
        dedicated: bool,
        wait: bool,
        timeout_s: float | None,
    ) -> Stack:
        """Start engine and proxy."""
        if dedicated:
            raise ConfigError(
                "local processes cannot take the GPU from others",
                remedy="stop what uses it by hand, or give --place cluster",
            )
        return local.start(
            recipe,
            engine_port=engine_port,
            proxy_port=proxy_port,
            wait=wait,
            timeout_s=timeout_s,
        )

    def switch(self, recipe: Recipe, *, timeout_s: float | None) -> Stack:
        """Replace the engine; the proxy stays."""
        return local.switch(recipe, timeout_s=timeout_s)

    def stop(self, *, timeout_s: float) -> StackStatus:
        """End both processes."""
        return local.stop(timeout_s=timeout_s)

    def status(self) -> StackStatus:
        """Look at both processes."""
        return local.status()

    def wait_ready(self, *, timeout_s: float | None) -> Stack:
        """Wait for the first token."""
        return local.wait_ready(timeout_s=timeout_s)

    def recipe(self) -> Recipe | None:
        """Return what the state folder's note says."""
        return local.started_recipe()

    def drift(self, recipe: Recipe, api_port: int | None = None) -> DriftReport:
        """Compare the engine's process with a recipe."""
        from autosre_lab.parity import DriftReport, find_drift

        if _scripted(recipe):
            return _nothing_to_compare(recipe, DriftReport)
        return find_drift(recipe, api_port)

    def warn_on_drift(self, recipe: Recipe, api_port: int | None = None) -> DriftReport:
        """Warn of each difference."""
        from autosre_lab.parity import DriftReport, warn_on_recipe_drift

        if _scripted(recipe):
            return _nothing_to_compare(recipe, DriftReport)
        return warn_on_recipe_drift(recipe, api_port)

    def changes(self, recipe: Recipe) -> list[Change]:
        """Return what would change of the engine's command line."""
        from autosre_lab.lifecycle.changes import local_command

        return [local_command(recipe)]

    def preflight(self, recipe: Recipe) -> PreflightReport:
        """Look at this machine."""
        from autosre_lab.local.preflight import preflight

        return preflight(recipe)

    def sources(self, **other: Any) -> Sources:
        """Return what is polled of the processes, also of those that come later."""
        from autosre_lab.metrics import Sources

        return Sources.of_local_stack(**other)

    def logs(self, *, lines: int) -> LogFeed:
        """Return what reads the log files, which stay when the stack has ended.

        Raises:
            NotReadyError: Nothing was ever started.
        """
        from autosre_lab.errors import NotReadyError
        from autosre_lab.local.stack_files import StackFiles
        from autosre_lab.metrics import LogFeed
        from autosre_lab.settings import paths

        files = {one.name: one.log_path for one in StackFiles(paths().state).services}
        if not any(path.exists() for path in files.values()):
            raise NotReadyError(
                "there is no log: no stack was started here",
                remedy="start one: `autosre start`, or look in the cluster: --place cluster",
            )
        # vLLM's lines are some 150 bytes long, its tracebacks' shorter.
        return LogFeed(lambda: files, tail_bytes=512 * lines, max_lines=max(lines, 1000))

    def browser(self) -> None:
        """Return None: the session starts a Chromium of its own."""


def _scripted(recipe: Recipe) -> bool:
    return recipe.runtime is not None and recipe.runtime.device == "scripted"


def _nothing_to_compare(recipe: Recipe, report: type[DriftReport]) -> DriftReport:
    """Return an empty report: a scripted engine is no vLLM."""
    return report(recipe_name=recipe.name, place="local", engine="", layers=(), rows=())
