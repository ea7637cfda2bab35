"""The real cluster: the one KUBECONFIG names, with a namespace of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import autosre_lab
from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.cluster.kubeconfig import connect
from autosre_lab.stack import Stack
from tests.cluster.real_recipes import write_recipe
from tests.support.waiting import until

NAMESPACE = "autosre-test"


@pytest.fixture(scope="session")
def kube() -> Iterator[ApiServerClient]:
    """The cluster; `make cluster-images` has put the images on its node."""
    assert os.environ.get("KUBECONFIG"), (
        "KUBECONFIG is not set: these tests deploy on a real Kubernetes whose node is this "
        "machine; see `make test-cluster`"
    )
    with connect(namespace=NAMESPACE) as client:
        yield client
        client.delete("Namespace", NAMESPACE)
        until(lambda: client.get("Namespace", NAMESPACE) is None, "the namespace to go", 180)


@pytest.fixture(autouse=True)
def _our_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSRE_NAMESPACE", NAMESPACE)


@pytest.fixture(scope="session")
def recipe_file(kube: ApiServerClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CPU engine in a Pod."""
    return write_recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture
def stack(kube: ApiServerClient, recipe_file: Path) -> Stack:
    """A stack that is ready: the one that a test before has left, whatever it serves, or a new one.

    A start of the engine takes 27 s of CPU: no test makes one that it does not need.
    """
    if autosre_lab.status(place="cluster").state in ("ready", "starting"):
        return autosre_lab.wait_ready(place="cluster")
    return autosre_lab.start(recipe_file, place="cluster")
