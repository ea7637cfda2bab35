"""What this machine's settings say about a cluster."""

from __future__ import annotations

from dataclasses import replace

from autosre_lab.chart.from_recipe import ChartOptions
from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.cluster.kubeconfig import connect
from autosre_lab.settings import load_settings

__all__ = ["chart_options", "configured_client"]


def chart_options() -> ChartOptions:
    """Return what the chart is told besides the recipe."""
    settings = load_settings()
    options = ChartOptions(
        browser=settings.browser_pod != "off",
        browser_kind="browserless" if settings.browser_pod == "browserless" else "chromium",
        browser_image=settings.browser_image,
        browser_recordings=settings.browser_recordings,
        fetch_allow=settings.fetch_allow,
    )
    return replace(options, proxy_image=settings.proxy_image) if settings.proxy_image else options


def configured_client() -> ApiServerClient:
    """Return a client for the cluster and the namespace of the settings.

    Raises:
        KubeError: No cluster is configured.
        MissingExtraError: The official client is not installed.
    """
    settings = load_settings()
    return connect(context=settings.kube_context or None, namespace=settings.namespace)
