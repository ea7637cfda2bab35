"""The file of keys: whole, private, and never the secret itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.serving.key_file import create_key, revoke_key, rotate_key
from autosre_lab.serving.key_limits import KeyLimits
from autosre_lab.serving.keys import ClientKey, KeyRing, check_client, digest_of, keys_in
from autosre_lab.serving.reach import Denial


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "keys.json"


def test_a_secret_is_256_random_bits_of_which_only_the_digest_is_kept(file: Path) -> None:
    one, two = create_key(file, "alice"), create_key(file, "bob")
    assert one.secret != two.secret
    assert one.secret.startswith("autosre-")
    assert len(one.secret) == len("autosre-") + 43  # 32 bytes in base64
    assert one.secret not in repr(one)
    text = file.read_text()
    assert one.secret not in text
    assert json.loads(text)["keys"][0]["sha256"] == digest_of(one.secret)
    assert [key.name for key in keys_in(file)] == ["alice", "bob"]


def test_file_and_folder_are_the_owners_alone_whatever_the_umask(file: Path) -> None:
    before = os.umask(0)
    try:
        create_key(file, "alice")
        revoke_key(file, "alice")
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert {one.name for one in file.parent.iterdir()} == {"keys.json", "keys.json.lock"}


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    create_key(tmp_path / "keys.json", "alice")
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_dry_run_checks_everything_and_writes_nothing(file: Path) -> None:
    create_key(file, "alice", dry_run=True)
    assert not file.parent.exists()
    create_key(file, "alice")
    before = file.read_bytes()
    rotate_key(file, "alice", dry_run=True)
    assert revoke_key(file, "alice", dry_run=True).revoked is not None
    with pytest.raises(ConfigError, match="already"):
        create_key(file, "alice", dry_run=True)
    assert file.read_bytes() == before


WRONG: dict[str, dict[str, Any]] = {
    "no name": {"name": ""},
    "a name with a slash": {"name": "a/b"},
    "a name with a line end": {"name": "alice\n"},
    "large letters": {"name": "Alice"},
    "a long name": {"name": "a" * 41},
    "an unknown server": {"servers": ["everything"]},
    "no server": {"servers": []},
    "an unknown dialect": {"dialects": ["smtp"]},
    "an unknown class": {"priority": "permission"},
    "no requests": {"requests_per_minute": 0},
    "fewer than no requests at a time": {"concurrent": -1},
    "no tokens": {"tokens_per_day": 0},
    "a time that has passed": {"expires": 1.0},
}


@pytest.mark.parametrize("what", WRONG)
def test_what_would_make_no_sense_is_refused_before_anything_is_written(
    file: Path, what: str
) -> None:
    fields = {"name": "alice", **WRONG[what]}
    with pytest.raises(ConfigError):
        create_key(file, fields.pop("name"), **fields)
    assert not file.exists()


def test_what_is_revoked_stays_so(file: Path) -> None:
    create_key(file, "alice")
    first = revoke_key(file, "alice")
    assert revoke_key(file, "alice") == first
    with pytest.raises(ConfigError, match="revoked"):
        rotate_key(file, "alice")
    with pytest.raises(ConfigError, match="already"):
        create_key(file, "alice")
    with pytest.raises(ConfigError, match="no key 'bob'"):
        revoke_key(file, "bob")


def test_many_at_once_lose_nothing(file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from autosre_lab.serving.key_file import create_key; "
        "[create_key(Path(sys.argv[1]), f'{sys.argv[2]}-{n}') for n in range(20)]"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(file), name]) for name in ("a", "b")
    ]
    assert [one.wait() for one in running] == [0, 0]
    assert len(keys_in(file)) == 40


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def test_one_of_two_secrets_that_counts_is_enough(file: Path) -> None:
    old, new = create_key(file, "old").secret, create_key(file, "new").secret
    revoke_key(file, "old")
    ring = KeyRing(file)
    for headers in (
        {**bearer(old), "x-api-key": new},
        {**bearer(new), "x-api-key": old},
        {**bearer("unused"), "x-api-key": new},
    ):
        found = ring.find(headers, server="proxy")
        assert isinstance(found, ClientKey)
        assert found.name == "new"
    denied = ring.find({**bearer(old), "x-api-key": "unused"}, server="proxy")
    assert isinstance(denied, Denial)
    assert denied.of_key == "old"
    assert ring.find(bearer(""), server="proxy") is None
    assert ring.find(bearer(digest_of(new)), server="proxy") is None


def test_a_page_of_another_origin_is_refused_with_a_key_too(file: Path) -> None:
    headers = {**bearer(create_key(file, "alice").secret), "origin": "https://evil.example"}
    denied = check_client(headers, "t", KeyRing(file), server="proxy")
    assert isinstance(denied, Denial)
    assert denied.status == 403
    welcome = check_client(
        headers, "t", KeyRing(file), server="proxy", origins={"https://evil.example"}
    )
    assert isinstance(welcome, ClientKey)


def test_a_secret_that_a_pod_sees_through_links_is_read_anew(tmp_path: Path) -> None:
    """Kubernetes swaps a link to a folder when a Secret changes."""
    for version in ("one", "two"):
        secret = create_key(tmp_path / version / "keys.json", version).secret
        (tmp_path / "next").symlink_to(tmp_path / version)
        (tmp_path / "next").rename(tmp_path / "data")
        if version == "one":
            ring = KeyRing(tmp_path / "data" / "keys.json")
        assert isinstance(ring.find(bearer(secret), server="proxy"), ClientKey)


def test_a_file_that_did_not_change_is_not_read_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = create_key(file, "alice").secret
    ring = KeyRing(file)
    monkeypatch.setattr("autosre_lab.serving.keys.keys_in", lambda _: pytest.fail("it was read"))
    for _ in range(3):
        assert isinstance(ring.find(bearer(secret), server="proxy"), ClientKey)


def test_requests_a_minute_are_of_any_sixty_seconds() -> None:
    now = [100.0]
    limits = KeyLimits(clock=lambda: now[0])
    key = ClientKey(name="alice", sha256="", created=0, requests_per_minute=2)
    assert limits.begin(key) is None
    now[0] = 130.0
    assert limits.begin(key) is None
    denied = limits.begin(key)
    assert denied is not None
    assert denied.retry_after_s == 30
    now[0] = 160.5
    assert limits.begin(key) is None
    assert limits.begin(key) is not None
