"""What can serve: asked of servers on loopback that answer as engines do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autosre_lab.cli import main
from autosre_lab.lifecycle.backends import engine_at
from tests.support.scripted_http import ScriptedHttp, scripted_http

MODELS = {"data": [{"id": "qwen", "max_model_len": 32_768, "root": "Qwen/Qwen"}]}
OPENAIS = {"object": "list", "data": [{"id": "gpt-x", "object": "model"}]}


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"AUTOSRE_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("AUTOSRE_ENGINE_KEY", raising=False)


def backends(*argv: str) -> Result:
    return CliRunner().invoke(main, ["backends", *argv])


def shown_keys(server: ScriptedHttp) -> set[str]:
    found = ({name.lower(): value for name, value in one.headers.items()} for one in server.asked)
    return {headers.get("authorization", "") for headers in found}


def test_an_engine_elsewhere_is_told_with_model_window_and_version() -> None:
    with scripted_http(v1__models=[(200, MODELS)], version=[(200, {"version": "0.33.0"})]) as vllm:
        shown = backends("check", f"{vllm.url}/v1/")
        assert shown.exit_code == 0, shown.output
        for one in ("qwen", "32,768", "0.33.0", f"autosre proxy 8011 {vllm.url}"):
            assert one in shown.output
        listed = json.loads(backends("list", "--url", vllm.url, "--json").output)
    local, cluster, elsewhere = listed
    assert (local["name"], local["state"]) == ("local", "stopped")
    assert (cluster["name"], cluster["state"]) == ("cluster", "not reachable")
    assert "KUBECONFIG" in cluster["why"]
    assert (elsewhere["state"], elsewhere["window"]) == ("ready", 32_768)
    assert shown_keys(vllm) == {""}


def test_its_key_comes_from_the_environment_or_a_file_and_is_printed_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    with scripted_http(v1__models=[(200, MODELS)], version=[(404, {})]) as vllm:
        told = backends("check", vllm.url, "--engine-key-file", str(tmp_path / "key"), "--json")
        assert json.loads(told.output)["version"] == ""
        assert shown_keys(vllm) == {"Bearer from-a-file"}
        vllm.asked.clear()
        monkeypatch.setenv("AUTOSRE_ENGINE_KEY", "from-the-environment")
        told = backends("list", "--url", vllm.url)
        assert shown_keys(vllm) == {"Bearer from-the-environment"}
    assert "from-" not in told.output
    missing = backends("check", vllm.url, "--engine-key-file", str(tmp_path / "none"))
    assert (missing.exit_code, "--engine-key-file" in missing.output) == (2, True)


@pytest.mark.parametrize(
    ("status", "body", "key", "state", "says"),
    [
        (401, {"error": "Unauthorized"}, None, "wants a key", "AUTOSRE_ENGINE_KEY"),
        (401, {"error": "Unauthorized"}, "k", "refuses the key", "--engine-key-file"),
        (403, {}, "k", "refuses the key", "it answered 403"),
        (200, OPENAIS, None, "not vLLM", "max_model_len"),
        (200, [], None, "not vLLM", "max_model_len"),
        (200, {"data": []}, None, "not ready", "serves no model"),
        (503, {"error": "loading"}, None, "not ready", "503"),
        (404, {}, None, "not ready", "404"),
    ],
)
def test_what_is_the_matter_is_said_as_such(
    status: int,
    body: object,
    key: str | None,
    state: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if key is not None:
        monkeypatch.setenv("AUTOSRE_ENGINE_KEY", key)
    with scripted_http(v1__models=[(status, body)]) as server:
        assert engine_at(server.url, key=key).state == state
        shown = backends("check", server.url)
    assert (shown.exit_code, state in shown.output, says in shown.output) == (3, True, True)


def test_nobody_there_and_no_address() -> None:
    with scripted_http() as server:
        url = server.url
    shown = backends("check", url)
    assert (shown.exit_code, "not reachable" in shown.output) == (3, True)
    assert backends("check", "ftp://box").exit_code == 2
