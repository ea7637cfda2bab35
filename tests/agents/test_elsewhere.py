"""`--url`: a session on a stack that runs elsewhere, with nothing started here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from click.testing import CliRunner

from autosre_lab.agents.stacks import find_elsewhere
from autosre_lab.cli import main
from autosre_lab.errors import ConfigError, RemoteError

TOKEN = {"AUTOSRE_PROXY_TOKEN": "the-token"}


class Proxy(BaseHTTPRequestHandler):
    """Names its model to whoever has the token, as ours does."""

    def do_GET(self) -> None:
        allowed = self.headers.get("authorization") == "Bearer the-token"
        known = self.path == "/v1/models"
        card = {"id": "coder", "max_model_len": 65536}
        body = json.dumps({"data": [card]} if known else {"detail": "no"}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_proxy_tells_model_and_window(url: str) -> None:
    for spelled in (url, f"{url}/", f"{url}/v1"):
        found = find_elsewhere(spelled, TOKEN)
        assert (found.proxy_url, found.model, found.max_model_len) == (url, "coder", 65536)
        assert found.token == "the-token"
        assert "the-token" not in repr(found)


def test_a_session_is_planned_on_it_and_nothing_is_started(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSRE_PROXY_TOKEN", "the-token")
    monkeypatch.setattr("autosre_lab.lifecycle.start", lambda *_, **__: pytest.fail("started"))
    for agent in ("claude", "codex"):
        shown = CliRunner().invoke(main, [agent, "--url", url, "--dry-run", "hi"])
        assert shown.exit_code == 0, shown.output
        assert url in shown.output
        assert "coder" in shown.output
        assert "the-token" not in shown.output


@pytest.mark.parametrize(
    ("wrong", "environ", "said"),
    [
        ("box:8011", TOKEN, "http://HOST:8011"),
        ("http://me:secret@box:8011", TOKEN, "AUTOSRE_PROXY_TOKEN"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(
    wrong: str, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        find_elsewhere(wrong, environ)
    assert said in refused.value.remedy
    assert "secret" not in str(refused.value)


def test_a_missing_token_another_server_and_no_server_are_told_apart(url: str) -> None:
    with pytest.raises(RemoteError, match="wants a token") as refused:
        find_elsewhere(url, {})
    assert "AUTOSRE_PROXY_TOKEN" in refused.value.remedy
    with pytest.raises(RemoteError, match="refuses the token"):
        find_elsewhere(url, {"AUTOSRE_PROXY_TOKEN": "another"})
    with pytest.raises(RemoteError, match="names no model"):
        find_elsewhere(f"{url}/elsewhere", TOKEN)
    with pytest.raises(RemoteError, match="does not answer") as silent:
        find_elsewhere("http://127.0.0.1:1", TOKEN)
    assert "ssh -L" in silent.value.remedy
