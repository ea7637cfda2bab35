"""The stack as Pods of the cluster that the settings name, for the verbs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from autosre_lab.errors import ConfigError
from autosre_lab.stack import PlaceName

if TYPE_CHECKING:
    from autosre_lab.cluster import KubeClient
    from autosre_lab.cluster.browser_service import BrowserPod
    from autosre_lab.lifecycle.changes import Change
    from autosre_lab.metrics import LogFeed, Sources
    from autosre_lab.parity import DriftReport
    from autosre_lab.recipe import Recipe
    from autosre_lab.stack import PreflightReport, Stack, StackStatus

__all__ = ["ClusterPlace"]


class ClusterPlace:
    """A `Place`: Deployments of one namespace."""

    name: PlaceName = "cluster"

    @cached_property
    def client(self) -> KubeClient:
        """The API server, connected to when it is first asked.

        Raises:
            KubeError: No cluster is configured.
        """
        from autosre_lab.cluster.options import configured_client

        return configured_client()

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
        """Deploy a recipe."""
        from autosre_lab import cluster

        if engine_port or proxy_port:
            raise ConfigError(
                "--engine-port and --proxy-port apply only to --place local; in a cluster the "
                "recipe and the chart set the ports",
                remedy="leave them out, or set network.port in the recipe",
            )
        return cluster.start(
            recipe, client=self.client, dedicated=dedicated, wait=wait, timeout_s=timeout_s
        )

    def switch(self, recipe: Recipe, *, timeout_s: float | None) -> Stack:
        """Deploy another recipe; the proxies stay."""
        from autosre_lab import cluster

        return cluster.switch(recipe, client=self.client, timeout_s=timeout_s)

    def stop(self, *, timeout_s: float) -> StackStatus:
        """Scale to zero."""
        from autosre_lab import cluster

        return cluster.stop(client=self.client, timeout_s=timeout_s)

    def status(self) -> StackStatus:
        """Look at the Deployments and their Pods."""
        from autosre_lab import cluster

        return cluster.status(client=self.client)

    def wait_ready(self, *, timeout_s: float | None) -> Stack:
        """Wait for both rollouts and the first token."""
        from autosre_lab import cluster

        return cluster.wait_ready(client=self.client, timeout_s=timeout_s)

    def recipe(self) -> Recipe | None:
        """Return what was applied last."""
        from autosre_lab.cluster.release import read_release

        release = read_release(self.client)
        return None if release is None else release.recipe

    def drift(self, recipe: Recipe, api_port: int | None = None) -> DriftReport:
        """Compare objects and the engine's Pod with a recipe."""
        from autosre_lab.cluster.options import chart_options
        from autosre_lab.parity import find_drift

        return find_drift(
            recipe, api_port, client=self.client, options=chart_options(self.client, recipe)
        )

    def warn_on_drift(self, recipe: Recipe, api_port: int | None = None) -> DriftReport:
        """Warn of each difference."""
        from autosre_lab.cluster.options import chart_options
        from autosre_lab.parity import warn_on_recipe_drift

        return warn_on_recipe_drift(
            recipe, api_port, client=self.client, options=chart_options(self.client, recipe)
        )

    def changes(self, recipe: Recipe) -> list[Change]:
        """Return what would change of command line, values and objects."""
        from autosre_lab.cluster.options import chart_options
        from autosre_lab.lifecycle.cluster_changes import find_changes

        return find_changes(recipe, self.client, chart_options(self.client, recipe))

    def preflight(self, recipe: Recipe) -> PreflightReport:
        """Look at the cluster."""
        from autosre_lab.cluster import preflight

        return preflight(recipe, self.client)

    def sources(self, **other: Any) -> Sources:
        """Return what is polled of the engine's Service and the Pods' logs."""
        from autosre_lab.lifecycle.cluster_sources import find_sources

        return find_sources(self.client, **other)

    def logs(self, *, lines: int) -> LogFeed:
        """Return what reads the logs of the newest Pods."""
        from autosre_lab.lifecycle.cluster_sources import find_logs

        return find_logs(self.client, lines=lines)

    def browser(self) -> BrowserPod | None:
        """Return the browser's Pod."""
        from autosre_lab.cluster.browser_service import find_browser

        return find_browser(client=self.client)
