"""The settings of a cluster: every one of them reaches the Pods."""

from __future__ import annotations

import pytest

from autosre_lab.chart import helm_values, render
from autosre_lab.cluster.kube import Object
from autosre_lab.cluster.options import chart_options, parse_tolerations
from autosre_lab.cluster.release import ensure_secrets
from autosre_lab.errors import ConfigError
from tests.cluster.fake_api import FakeCluster, FakeKube
from tests.cluster.recipes import cpu_recipe


def objects(monkeypatch: pytest.MonkeyPatch, **settings: str) -> dict[str, Object]:
    for name, value in settings.items():
        monkeypatch.setenv(f"AUTOSRE_{name.upper()}", value)
    rendered = render(helm_values(cpu_recipe(), chart_options()), namespace="autosre")
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in rendered}


def pod(found: dict[str, Object], name: str = "autosre-vllm-local") -> Object:
    spec: Object = found[f"Deployment/{name}"]["spec"]["template"]["spec"]
    return spec


def test_the_node_of_the_pods_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    found = objects(
        monkeypatch,
        node_selector="gpu=spark,zone=attic",
        tolerations="dedicated=llm:NoSchedule,nvidia.com/gpu",
        host_aliases="mirror=10.0.0.9,hub=10.0.0.9",
    )
    for name in ("autosre-vllm-local", "autosre-proxy"):
        spec = pod(found, name)
        assert spec["nodeSelector"].items() >= {("gpu", "spark"), ("zone", "attic")}
        assert spec["nodeSelector"]["kubernetes.io/arch"] == "amd64"
        assert spec["tolerations"] == [
            {"key": "dedicated", "operator": "Equal", "value": "llm", "effect": "NoSchedule"},
            {"key": "nvidia.com/gpu", "operator": "Exists"},
        ]
        assert spec["hostAliases"] == [{"ip": "10.0.0.9", "hostnames": ["mirror", "hub"]}]


def test_the_addresses_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = objects(
        monkeypatch,
        engine_ip="10.43.0.30",
        proxy_ip="10.43.0.31",
        codex_proxy_ip="10.43.0.32",
        codex_pod="on",
        browser_ip="10.43.0.33",
        browser_pod="chromium",
    )
    given = {
        name: one["spec"]["clusterIP"] for name, one in found.items() if one["kind"] == "Service"
    }
    assert given == {
        "Service/autosre-vllm-local": "10.43.0.30",
        "Service/autosre-proxy": "10.43.0.31",
        "Service/autosre-codex-proxy": "10.43.0.32",
        "Service/autosre-browser": "10.43.0.33",
    }
    command = pod(found, "autosre-proxy")["containers"][0]["command"]
    assert "http://10.43.0.30:8010" in command


def test_whether_responses_are_stored_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting, stored in (("on", True), ("off", False)):
        found = objects(monkeypatch, store_responses=setting)
        command = pod(found, "autosre-proxy")["containers"][0]["command"]
        assert ("--responses-dir" in command) == stored


def test_who_may_reach_proxy_engine_and_numbers_is_a_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = objects(
        monkeypatch,
        allow_from="192.168.7.0/24",
        engine_allow_from="192.168.8.0/24",
        scrape_from="monitoring",
    )
    scrapers = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    (rule,) = found["NetworkPolicy/autosre-proxy"]["spec"]["ingress"]
    assert rule["from"] == [{"ipBlock": {"cidr": "192.168.7.0/24"}}, scrapers]
    (rule,) = found["NetworkPolicy/autosre-vllm-local"]["spec"]["ingress"]
    assert rule["from"][1:] == [{"ipBlock": {"cidr": "192.168.8.0/24"}}, scrapers]


@pytest.mark.parametrize("text", ["=x", "key:Never", ":NoSchedule"])
def test_a_toleration_that_cannot_be_read_says_how_it_is_written(text: str) -> None:
    with pytest.raises(ConfigError, match="no toleration") as told:
        parse_tolerations(text)
    assert "key=value:EFFECT" in told.value.remedy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROXY_IP", "proxy"),
        ("ALLOW_FROM", "10.0.0.0"),
        ("NODE_SELECTOR", "gpu"),
        ("HOST_ALIASES", "a"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"AUTOSRE_{name}", value)
    with pytest.raises(ConfigError, match=name):
        chart_options()


def test_the_hubs_token_is_given_only_where_the_operator_has_one() -> None:
    secret = {"reason": "gated", "required": False, "secret": "huggingface", "key": "token"}
    recipe = cpu_recipe(env={"secret": {"HF_TOKEN": secret}})
    kube = FakeKube(FakeCluster())

    def names() -> list[str]:
        values = helm_values(recipe, chart_options(kube, recipe))
        return [entry["name"] for entry in values["vllm"]["env"]]

    assert "HF_TOKEN" not in names()
    kube.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "huggingface"},
            "data": {"token": "aGY="},
        }
    )
    assert "HF_TOKEN" in names()


def test_a_checksum_changes_with_the_token_and_tells_nothing_of_it() -> None:
    import hashlib

    kube = FakeKube(FakeCluster())
    token = ensure_secrets(kube)
    before = chart_options(kube).checksums["autosre-proxy"]
    assert before == chart_options(kube).checksums["autosre-proxy"]
    assert before != hashlib.sha256(token.encode()).hexdigest()
    kube.patch("Secret", "autosre-proxy", {"data": {"token": "bmV3"}})
    assert chart_options(kube).checksums["autosre-proxy"] != before
