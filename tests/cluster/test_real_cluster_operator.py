"""Who operates from elsewhere, with fewer rights, or under enforced policies; on a real cluster.

NetworkPolicies must be enforced here, as k3s enforces them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

import autosre_lab
from autosre_lab.chart import chart_folder, helm_values, render
from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.cluster.application_gate import service_url
from autosre_lab.cluster.lease import LEASE
from autosre_lab.cluster.options import chart_options
from autosre_lab.cluster.release import ENGINE, PROXY, apply_release, read_release
from autosre_lab.cluster.rollout import pods_of
from autosre_lab.cluster.stack_status import FIRST_TOKEN
from autosre_lab.stack import Stack
from tests.cluster.real_images import BASE
from tests.cluster.real_recipes import recipe_that_runs
from tests.cluster.test_real_cluster import ask
from tests.support.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

AWAY = "autosre-away"
"""A network namespace that reaches the API server, and has no way to the Services."""


def uids(kube: ApiServerClient, name: str) -> list[str]:
    return [pod["metadata"]["uid"] for pod in pods_of(kube, name)]


def run(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


def forget_the_proof(kube: ApiServerClient) -> None:
    kube.patch("Deployment", ENGINE, {"metadata": {"annotations": {FIRST_TOKEN: None}}})


@pytest.fixture
def away() -> Iterator[list[str]]:
    """What runs a command as on another machine."""
    kubeconfig = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text(encoding="utf-8"))
    server = urlsplit(kubeconfig["clusters"][0]["cluster"]["server"]).hostname
    steps = [
        f"ip netns add {AWAY}",
        f"ip link add away0 type veth peer name away1 netns {AWAY}",
        "ip address add 192.168.78.1/24 dev away0",
        "ip link set away0 up",
        f"ip -n {AWAY} link set lo up",
        f"ip -n {AWAY} address add 192.168.78.2/24 dev away1",
        f"ip -n {AWAY} link set away1 up",
        f"ip -n {AWAY} route add {server}/32 via 192.168.78.1",
    ]
    try:
        for step in steps:
            done = run(*step.split())
            assert done.returncode == 0, f"{step}: {done.stderr}"
        yield ["ip", "netns", "exec", AWAY, sys.executable, "-m", "autosre_lab"]
    finally:
        run("ip", "link", "delete", "away0")
        run("ip", "netns", "delete", AWAY)


def test_applying_again_changes_nothing(kube: ApiServerClient, stack: Stack) -> None:
    release = read_release(kube)
    assert release is not None
    values = helm_values(release.recipe, chart_options(kube, release.recipe))
    objects = render(values, namespace=kube.namespace)

    def versions() -> dict[str, object]:
        found = {}
        for one in objects:
            live = kube.get(one["kind"], one["metadata"]["name"])
            assert live is not None
            meta = live["metadata"]
            # A Deployment's status moves its version; its generation is what was asked for.
            key = "generation" if one["kind"] == "Deployment" else "resourceVersion"
            found[f"{one['kind']}/{meta['name']}"] = meta[key]
        return found

    before = versions()
    for _ in range(2):
        apply_release(kube, objects)
    assert versions() == before
    assert {"NetworkPolicy/autosre-vllm-local", "Deployment/autosre-proxy"} <= set(before)


def test_an_operator_without_a_route_to_the_services_sees_the_truth_and_replaces_nothing(
    kube: ApiServerClient, stack: Stack, away: list[str], tmp_path: Path
) -> None:
    before = uids(kube, ENGINE) + uids(kube, PROXY)
    status = run(*away, "status", "--place", "cluster", "--json")
    assert json.loads(status.stdout)["state"] == "ready", status.stderr
    forget_the_proof(kube)
    status = run(*away, "status", "--place", "cluster", "--json")
    assert json.loads(status.stdout)["state"] == "ready", status.stdout + status.stderr

    forget_the_proof(kube)
    file = recipe_that_runs(kube, tmp_path)
    started = run(*away, "start", str(file), "--place", "cluster")
    assert started.returncode == 0, started.stderr
    assert "cannot be reached from this machine" in started.stderr
    assert uids(kube, ENGINE) + uids(kube, PROXY) == before


def test_a_stranger_reaches_the_proxy_with_its_token_and_never_the_engine(
    kube: ApiServerClient, stack: Stack
) -> None:
    release = read_release(kube)
    assert release is not None
    engine, proxy = service_url(release.values["vllm"]), service_url(release.values["proxy"])
    container = {"name": "main", "image": BASE, "command": ["sleep", "infinity"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "them"}, "spec": spec})
    look = (
        "import sys, urllib.request, urllib.error\n"
        "try: print(urllib.request.urlopen(sys.argv[1], timeout=5).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
        "except OSError as error: print('unreachable')"
    )

    def seen(url: str) -> str:
        return kube.exec("them", ["python3", "-c", look, url]).stdout.strip()

    try:
        until(
            lambda: (kube.get("Pod", "them") or {}).get("status", {}).get("phase") == "Running",
            "the stranger to run",
            60,
        )
        assert seen(f"{proxy}/health") == "200"
        assert seen(f"{proxy}/v1/models") == "401"
        assert seen(f"{engine}/health") == "unreachable", "NetworkPolicies are not enforced here"
    finally:
        kube.delete("Pod", "them", grace_s=0)


def test_who_reaches_the_engine_needs_its_key(stack: Stack) -> None:
    # The node itself passes every policy.
    url = f"{stack.engine_url}/v1/models"
    assert httpx.get(url, timeout=30).status_code == 401
    key = {"authorization": f"Bearer {stack.engine_key}"}
    assert httpx.get(url, headers=key, timeout=30).status_code == 200
    assert httpx.get(f"{stack.engine_url}/metrics", timeout=30).status_code == 200


def test_a_token_that_was_changed_rolls_the_proxies_and_not_the_engine(
    kube: ApiServerClient, stack: Stack
) -> None:
    engine, proxy = uids(kube, ENGINE), uids(kube, PROXY)
    kube.patch("Secret", PROXY, {"stringData": {"token": "another-token-of-the-owner"}})
    assert stack.recipe is not None
    again = autosre_lab.start(stack.recipe, place="cluster")
    assert again.token == "another-token-of-the-owner"
    assert uids(kube, ENGINE) == engine
    assert uids(kube, PROXY) != proxy
    assert ask(again).status_code == 200
    assert ask(stack).status_code == 401


def test_a_start_that_is_terminated_gives_the_lease_back(
    kube: ApiServerClient, stack: Stack, tmp_path: Path
) -> None:
    """Terminated where it is about to apply, which stands still here."""
    file = recipe_that_runs(kube, tmp_path)
    program = (
        "import autosre_lab, autosre_lab.cluster.deploying as d, time, sys\n"
        "d.apply_release = lambda *_: print('applied', flush=True) or time.sleep(600)\n"
        "autosre_lab.start(sys.argv[1], place='cluster')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "applied\n"
        held = kube.get("Lease", LEASE)
        assert held is not None
        assert held["spec"]["holderIdentity"]
        child.terminate()
        assert child.wait(120) == 128 + signal.SIGTERM
    lease = kube.get("Lease", LEASE)
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")


@pytest.fixture
def ann(kube: ApiServerClient, tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of somebody who has the roles that we ship, and no others."""

    def kubectl(*arguments: str) -> str:
        done = run("kubectl", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    here = ("--namespace", kube.namespace)
    account = f"{kube.namespace}:ann"
    kubectl("apply", "--filename", str(chart_folder() / "operator.yaml"))
    kubectl("create", "serviceaccount", "ann", *here)
    kubectl(
        *("create", "rolebinding", "ann", *here, "--clusterrole", "autosre-operator"),
        *("--serviceaccount", account),
    )
    try:
        token = kubectl("create", "token", "ann", *here)
        tree = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text(encoding="utf-8"))
        for user in tree["users"]:
            user["user"] = {"token": token}
        file = tmp_path / "ann.yaml"
        file.write_text(yaml.safe_dump(tree), encoding="utf-8")
        yield file
    finally:
        kubectl("delete", "rolebinding,serviceaccount", "ann", *here)
        kubectl("delete", "--filename", str(chart_folder() / "operator.yaml"))


def test_the_role_that_we_ship_suffices_for_every_verb_and_a_stop_leaves_nothing(
    kube: ApiServerClient, stack: Stack, ann: Path, tmp_path: Path
) -> None:
    file = recipe_that_runs(kube, tmp_path)
    autosre = (sys.executable, "-m", "autosre_lab")
    who = {"KUBECONFIG": str(ann)}
    before = uids(kube, ENGINE)
    for verb in (
        ("status", "--place", "cluster"),
        ("start", str(file), "--place", "cluster"),
        ("drift", "--place", "cluster", "--strict"),
    ):
        done = run(*autosre, *verb, **who)
        assert done.returncode == 0, f"{verb}: {done.stdout}{done.stderr}"
    assert uids(kube, ENGINE) == before
    # Nothing more than that: nodes are the cluster's.
    denied = run("kubectl", "auth", "can-i", "list", "nodes", **who)
    assert denied.stdout.strip() == "no"
    stopped = run(*autosre, "stop", "--place", "cluster", **who)
    assert stopped.returncode == 0, stopped.stderr
    assert pods_of(kube, ENGINE) == pods_of(kube, PROXY) == []
    assert not [pid for pid in engine_processes() if before[0] in cgroup_of(pid)]
    with pytest.raises(httpx.HTTPError):
        ask(stack)
    assert autosre_lab.stop(place="cluster").state == "stopped"


def engine_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def cgroup_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return ""
