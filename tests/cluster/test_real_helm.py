"""The chart as Helm's own users install it: without `autosre start`, on the real cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

import autosre_lab
from autosre_lab.chart import chart_folder
from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.cluster.kubeconfig import connect
from autosre_lab.errors import ClusterError
from tests.support.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

NAMESPACE = "autosre-test-helm"
ADDRESSES = {
    "AUTOSRE_ENGINE_IP": "10.96.0.40",
    "AUTOSRE_PROXY_IP": "10.96.0.41",
    "AUTOSRE_BROWSER_IP": "10.96.0.43",
}
TOKEN = "a-token-made-by-hand"

# Helm is Go in a shared library: it gets a process of its own.
HELM = """
import json, sys, helm_python
do, chart, namespace, values = sys.argv[1:]
with helm_python.Config(namespace=namespace) as helm:
    if do == "install":
        helm.install(chart, "mine", json.load(open(values)), namespace=namespace)
    elif do == "upgrade":
        helm.upgrade(chart, "mine", json.load(open(values)), namespace=namespace)
    else:
        helm.uninstall("mine", ignore_not_found=True)
"""


def helm(do: str, values: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HELM, do, str(chart_folder()), NAMESPACE, str(values)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.fixture
def there(kube: ApiServerClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServerClient]:
    """A namespace with the Secrets that the README tells to make."""
    autosre_lab.stop(place="cluster")  # the memory is for one engine
    for name, value in {"AUTOSRE_NAMESPACE": NAMESPACE, **ADDRESSES}.items():
        monkeypatch.setenv(name, value)
    with connect(namespace=NAMESPACE) as client:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        client.create(namespace)
        for secret in ("autosre-proxy", "autosre-vllm-local"):
            client.create(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": secret},
                    "stringData": {"token": TOKEN},
                }
            )
        yield client
        client.delete("Namespace", NAMESPACE)
        until(lambda: client.get("Namespace", NAMESPACE) is None, "the namespace to go", 180)


def test_helm_installs_a_stack_that_answers_and_stays_helms(
    there: ApiServerClient, recipe_file: Path, tmp_path: Path
) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "autosre_lab", "chart", "values", str(recipe_file)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        env=os.environ,
    )
    values = tmp_path / "values.json"
    values.write_text(json.dumps(yaml.safe_load(made.stdout)), encoding="utf-8")
    installed = helm("install", values)
    assert installed.returncode == 0, installed.stderr

    ready = autosre_lab.wait_ready(place="cluster", timeout_s=900)
    assert (ready.proxy_url, ready.token) == ("http://10.96.0.41:8011", TOKEN)
    question = {"model": "any", "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(
        f"{ready.proxy_url}/v1/messages", json=question, headers=headers, timeout=120
    )
    assert answer.status_code == 200, answer.text
    assert autosre_lab.status(place="cluster").state == "ready"

    generations = _generations(there)
    upgraded = helm("upgrade", values)
    assert upgraded.returncode == 0, upgraded.stderr
    assert _generations(there) == generations, "an upgrade to the same changes nothing"

    with pytest.raises(ClusterError, match="Helm release mine"):
        autosre_lab.start(recipe_file, place="cluster")
    gone = helm("uninstall", values)
    assert gone.returncode == 0, gone.stderr
    assert there.find("Deployment") == []


def _generations(client: ApiServerClient) -> dict[str, int]:
    return {
        f"{kind}/{one['metadata']['name']}": one["metadata"]["generation"]
        for kind in ("Deployment", "NetworkPolicy")
        for one in client.find(kind)
    }
