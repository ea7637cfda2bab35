"""The whole stack on a real Kubernetes: kubelet, containerd, real vLLM, real Claude Code.

In the order of a stack's life. Each test finds the stack running that it needs, or starts it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

import autosre_lab
from autosre_lab import lifecycle
from autosre_lab.cluster.api_client import ApiServerClient
from autosre_lab.cluster.lease import hold_lease
from autosre_lab.cluster.preflight_checks import preflight
from autosre_lab.cluster.release import CODEX_PROXY, ENGINE, PROXY
from autosre_lab.cluster.rollout import pods_of
from autosre_lab.errors import ClusterError, LeaseHeldError, RolloutError, StackBusyError
from autosre_lab.parity import DriftWarning, find_drift, recipe_from_pod, warn_on_recipe_drift
from autosre_lab.recipe import load_recipe
from autosre_lab.stack import Stack
from tests.cluster.real_recipes import recipe_that_runs, write_recipe

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

QUESTION = "What is the capital of France?"


def autosre(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autosre_lab", *arguments],
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


def message(*, tokens: int = 8, **more: Any) -> dict[str, Any]:
    question = [{"role": "user", "content": QUESTION}]
    return {"model": "any", "max_tokens": tokens, "messages": question, **more}


def ask(stack: Stack) -> httpx.Response:
    return httpx.post(
        f"{stack.proxy_url}/v1/messages",
        json=message(),
        headers={"authorization": f"Bearer {stack.token}"},
        timeout=120,
    )


def test_preflight_passes_here_and_names_what_other_recipes_would_lack(
    kube: ApiServerClient, recipe_file: Path, tmp_path: Path
) -> None:
    report = preflight(load_recipe(recipe_file), kube)
    assert report.passed, report.as_text()
    needy = write_recipe(
        tmp_path,
        "needy",
        resources={"gpu": {"resource": "nvidia.com/gpu", "count": 2, "runtime_class": "nvidia"}},
        network={"cluster_ip": "10.43.0.30"},
    )
    failed = {c.name: c for c in preflight(load_recipe(needy), kube).checks if c.state == "fail"}
    said = " ".join(f"{check.message} {check.remedy}" for check in failed.values())
    assert "10.43.0.30" in said
    assert "--service-cidr" in said
    assert "nvidia" in said
    with pytest.raises(ClusterError, match=r"10\.43\.0\.30"):
        autosre_lab.start(needy, place="cluster")
    assert pods_of(kube, ENGINE) == []


def test_start_shows_what_it_waits_for_and_ends_with_a_first_token(
    kube: ApiServerClient, recipe_file: Path
) -> None:
    done = autosre("start", str(recipe_file), "--place", "cluster", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["proxy"] == "http://10.96.0.31:8011"
    assert shown["engine"] == "http://10.96.0.30:8010"
    lines = [line for line in done.stderr.splitlines() if line.startswith("Start smollm2-pod: ")]
    assert len(set(lines)) >= 3, done.stderr
    assert "done in" in lines[-1]
    status = autosre("status", "--place", "cluster", "--json")
    assert status.returncode == 0, status.stdout
    found = json.loads(status.stdout)
    assert (found["state"], found["place"]) == ("ready", "cluster")
    assert found["services"]["engine"]["pod"].startswith("autosre-vllm-local-")


def test_starting_what_runs_changes_nothing(
    kube: ApiServerClient, stack: Stack, tmp_path: Path
) -> None:
    (before,) = pods_of(kube, ENGINE)
    again = autosre_lab.start(recipe_that_runs(kube, tmp_path), place="cluster")
    assert again == stack
    (after,) = pods_of(kube, ENGINE)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_claude_code_is_answered_through_the_cluster_ip(
    kube: ApiServerClient, stack: Stack, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "autosre_lab.claude", "-p", QUESTION],
        env={**os.environ, "AUTOSRE_PLACE": "cluster"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
    (proxy,) = pods_of(kube, PROXY)
    log = kube.exec(proxy["metadata"]["name"], ["cat", "/var/log/autosre/requests.jsonl"])
    kinds = [json.loads(line)["kind"] for line in log.stdout.splitlines()]
    assert "main" in kinds


def test_codex_has_a_pod_of_its_own_where_it_is_wanted(
    kube: ApiServerClient, stack: Stack, recipe_file: Path
) -> None:
    (engine,) = pods_of(kube, ENGINE)
    try:
        done = autosre("start", str(recipe_file), "--place", "cluster", AUTOSRE_CODEX_POD="on")
        assert done.returncode == 0, done.stderr
        assert len(pods_of(kube, CODEX_PROXY)) == 1
        body = {"model": "any", "input": QUESTION, "max_output_tokens": 8}
        url = "http://10.96.0.32:8012/v1/responses"
        token = {"authorization": f"Bearer {stack.token}"}
        answer = httpx.post(url, json=body, headers=token, timeout=120)
        assert answer.status_code == 200, answer.text
        (said,) = [one for one in answer.json()["output"] if one["type"] == "message"]
        assert said["content"][0]["text"]
        assert httpx.post(url, json=body, timeout=30).status_code == 401
        # It serves the engine that runs, which nobody touched.
        assert pods_of(kube, ENGINE)[0]["metadata"]["uid"] == engine["metadata"]["uid"]
    finally:
        autosre("start", str(recipe_file), "--place", "cluster")
        for kind in ("Deployment", "Service"):
            kube.delete(kind, CODEX_PROXY)


def test_without_the_token_the_proxy_answers_nobody(stack: Stack) -> None:
    answer = httpx.post(f"{stack.proxy_url}/v1/messages", json=message(), timeout=30)
    assert answer.status_code == 401


def test_the_hook_is_active_in_the_pod_and_nothing_has_drifted(
    kube: ApiServerClient, stack: Stack
) -> None:
    report = lifecycle.find_drift(place="cluster")
    assert report.ok, str(report)
    assert {"objects", "process", "environment", "image", "hook"} <= set(report.layers)
    assert autosre("drift", "--place", "cluster", "--strict").returncode == 0


def test_two_operators_cannot_change_the_gpu_at_once(kube: ApiServerClient, stack: Stack) -> None:
    with hold_lease(kube, "somebody's benchmark"):
        with pytest.raises(LeaseHeldError, match="somebody's benchmark") as caught:
            autosre_lab.stop(place="cluster")
        assert caught.value.holder
        assert autosre_lab.status(place="cluster").state == "ready"


def test_an_answer_goes_on_when_the_engines_pod_is_killed_in_its_middle(
    kube: ApiServerClient, stack: Stack
) -> None:
    (pod,) = pods_of(kube, ENGINE)
    long = [{"role": "user", "content": "Write down the numbers from 1 to 500, one by one."}]
    body = message(tokens=300, stream=True) | {"messages": long}
    headers = {"authorization": f"Bearer {stack.token}"}
    events: list[str] = []
    with httpx.stream(
        "POST", f"{stack.proxy_url}/v1/messages", json=body, headers=headers, timeout=300
    ) as answer:
        for line in answer.iter_lines():
            if line.startswith("event: "):
                events.append(line.removeprefix("event: "))
            if events.count("content_block_delta") >= 5 and "killed" not in events:
                kube.delete("Pod", pod["metadata"]["name"], grace_s=0)
                events.append("killed")
    assert "killed" in events
    # The proxy waits for the next Pod and has it go on.
    assert events[-1] == "message_stop"
    assert "error" not in events
    assert events.count("message_start") == 1
    again = autosre_lab.wait_ready(place="cluster")
    assert ask(again).status_code == 200
    (fresh,) = pods_of(kube, ENGINE)
    assert fresh["metadata"]["uid"] != pod["metadata"]["uid"]


def test_what_somebody_edited_by_hand_is_reported_with_why_it_matters(
    kube: ApiServerClient, stack: Stack, tmp_path: Path
) -> None:
    recipe = load_recipe(recipe_that_runs(kube, tmp_path))
    live = kube.get("Deployment", ENGINE)
    assert live is not None
    (container,) = live["spec"]["template"]["spec"]["containers"]
    container["command"] += ["--max-num-seqs", "3"]
    container["env"] += [{"name": "VLLM_CPU_NUM_OF_RESERVED_CPU", "value": "1"}]
    kube.replace(live)
    autosre_lab.wait_ready(place="cluster")

    report = find_drift(recipe, client=kube)
    rows = {(row.layer, row.subject): row for row in report.drifted}
    flag = rows["process", "--max-num-seqs"]
    assert (flag.expected, flag.live) == (None, "3")
    assert flag.why
    assert ("environment", "VLLM_CPU_NUM_OF_RESERVED_CPU") in rows
    assert any(layer == "objects" for layer, _ in rows)
    with pytest.warns(DriftWarning) as warned:
        warn_on_recipe_drift(recipe, client=kube)
    assert len(warned) == len(report.rows)
    assert autosre("drift", "--place", "cluster").returncode == 0
    assert autosre("drift", "--place", "cluster", "--strict").returncode == 4

    taken = recipe_from_pod(kube)
    against_itself = find_drift(taken.recipe, client=kube, objects=[])
    assert against_itself.drifted == (), str(against_itself)


def test_a_switch_keeps_sessions_waiting_and_heals_what_was_edited(
    kube: ApiServerClient, stack: Stack, recipe_file: Path, tmp_path: Path
) -> None:
    other = write_recipe(tmp_path, "other", engine={"args": {"max-num-seqs": 6}})
    with pytest.raises(StackBusyError, match="smollm2-pod"):
        autosre_lab.start(other, place="cluster")
    answers: list[tuple[int, bool]] = []
    done = threading.Event()

    def keep_asking() -> None:
        while not done.wait(0.3):
            answer = ask(stack)
            answers.append((answer.status_code, "retry-after" in answer.headers))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        switched = autosre_lab.switch(other, place="cluster")
    finally:
        done.set()
        asking.join()
    assert switched.recipe_name == "other"
    assert {status for status, _ in answers} <= {200, 503}
    # Who asks before the engine goes is kept waiting until the next one answers; who asks while
    # none is there hears when to ask again.
    assert (503, False) not in answers
    assert ask(switched).status_code == 200
    assert lifecycle.find_drift(place="cluster").ok


def test_a_recipe_that_does_not_come_up_is_replaced_by_the_one_before(
    kube: ApiServerClient, stack: Stack, tmp_path: Path
) -> None:
    image = {"ref": "localhost/no-such-image:1"}
    broken = write_recipe(tmp_path, "broken", image=image)
    with pytest.raises(RolloutError, match="no-such-image") as caught:
        autosre_lab.switch(broken, place="cluster")
    assert caught.value.reason in ("ErrImagePull", "ImagePullBackOff")
    assert f"{stack.recipe_name}, which ran before, runs again" in str(caught.value)
    assert autosre_lab.status(place="cluster").state == "ready"
    assert ask(stack).status_code == 200
