"""`autosre keys`, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autosre_lab.cli import main
from autosre_lab.proxy.key_usage import today
from autosre_lab.serving.keys import ClientKey, KeyRing


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOSRE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("AUTOSRE_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def keys(*argv: str) -> Result:
    return CliRunner().invoke(main, ["keys", *argv])


def test_the_secret_is_shown_once_and_opens_what_was_asked_for(folders: Path) -> None:
    shown = keys("create", "alice", "--server", "mcp", "--expires", "30d", "--json")
    facts = json.loads(shown.output)
    headers = {"x-api-key": facts["secret"]}
    key = KeyRing(folders / "config" / "keys.json").find(headers, server="mcp")
    assert isinstance(key, ClientKey)
    assert key.expires is not None
    assert key.expires - key.created in range(30 * 86400, 30 * 86400 + 60)
    for output in ("table", "json", "yaml", "csv"):
        listed = keys("list", "-o", output).output
        assert "alice" in listed
        assert facts["secret"] not in listed
        assert key.sha256 not in listed
    text = keys("create", "bob").output
    assert "shown this once" in text
    assert "autosre-" in text


def test_a_dry_run_says_what_would_be_and_shows_no_secret(folders: Path) -> None:
    shown = keys("create", "alice", "--dry-run")
    assert (shown.exit_code, "would be made" in shown.output) == (0, True)
    assert "autosre-" not in shown.output
    assert json.loads(keys("create", "alice", "--dry-run", "--json").output)["secret"] is None
    assert not (folders / "config").exists()
    keys("create", "alice")
    assert "would be revoked" in keys("revoke", "alice", "--dry-run").output
    assert json.loads(keys("list", "--json").output)[0]["state"] == "active"


def test_exit_codes_and_remedies() -> None:
    assert keys("list").output == "none\n"
    assert keys("create", "alice").exit_code == 0
    again = keys("create", "alice")
    assert (again.exit_code, "what to do" in again.output) == (2, True)
    assert keys("revoke", "nobody").exit_code == 2
    assert keys("create", "bob", "--expires", "soon").exit_code == 2
    assert keys("usage", "--since", "yesterday").exit_code == 2
    rotated = keys("rotate", "alice", "--keep-old", "1h", "--json")
    assert json.loads(rotated.output)["secret"].startswith("autosre-")
    assert keys("revoke", "alice").exit_code == 0
    assert keys("rotate", "alice").exit_code == 2


def test_usage_is_what_the_request_log_says(folders: Path) -> None:
    log = folders / "state" / "logs" / "requests.jsonl"
    log.parent.mkdir(parents=True)
    lines = [
        {"time": f"{today()}T00:00:01", "key": "alice", "kind": "main", "input_tokens": 5}
        | {"cached_tokens": 70, "output_tokens": 2, "status": 200},
        {"time": f"{today()}T00:00:02", "key": "alice", "kind": "main", "status": 429},
        {"time": "2001-01-01T00:00:00", "key": "alice", "input_tokens": 9, "status": 200},
        {"time": f"{today()}T00:00:03", "key": "", "input_tokens": 1, "status": 200},
    ]
    log.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    keys("create", "alice")
    (row,) = json.loads(keys("list", "--json").output)
    assert (row["requests today"], row["tokens today"]) == (2, 7)
    rows = json.loads(keys("usage", "--json").output)
    assert [(one["key"], one["computed_tokens"], one["refused"]) for one in rows] == [
        ("alice", 9, 0),
        ("", 1, 0),
        ("alice", 7, 1),
    ]
    assert len(json.loads(keys("usage", "--since", today(), "--json").output)) == 2
    assert "(owner)" in keys("usage").output
