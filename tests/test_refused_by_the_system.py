"""Full disks, disks without inodes, read-only mounts, /dev/full, users who are on no list.

All real: file systems mounted in a namespace of their own, and a process that became another user.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = [] if os.geteuid() == 0 else ["-r"]
US = [sys.executable, "-m", "autosre_lab"]

PLACES = {
    "full": (
        "mount -t tmpfs -o size=64k,mode=700 tmpfs {place} && (dd if=/dev/zero of={place}/fill "
        "bs=1k 2>/dev/null || true)",
        "the disk is full",
        "df -h",
    ),
    "no inodes": (
        "mount -t tmpfs -o nr_inodes=2,mode=700 tmpfs {place} && touch {place}/fill",
        "no inodes",
        "df -i",
    ),
    "read-only": (
        "mount --bind {place} {place} && mount -o remount,bind,ro {place}",
        "the file system is read-only",
        "mount it writable",
    ),
}


def at(
    mounted: str, place: Path, *words: str, fails: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command with a broken file system at `place`, where its state is to be, too."""
    place.mkdir()
    script = f'{mounted.format(place=place)} && cd / && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", *ROOT, "sh", "-ec", script, "sh", *words],
        env={**os.environ, "AUTOSRE_STATE_DIR": str(place), "AUTOSRE_CACHE_DIR": str(place)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode != 0) == fails, done
    assert "Traceback" not in done.stderr
    return done


WRITERS = {
    "start": [*US, "start", "smollm2-135m-cpu"],
    "a file of its own": [*US, "metrics", "grafana", "--out", "PLACE/dashboard.json"],
    "a report": [*US, "report", "run", "--out", "PLACE/report"],
}


@pytest.mark.parametrize("broken", PLACES)
@pytest.mark.parametrize("command", WRITERS)
def test_what_cannot_be_written_is_said_with_a_remedy(
    tmp_path: Path, broken: str, command: str
) -> None:
    mounted, why, remedy = PLACES[broken]
    place = tmp_path / "place"
    words = [word.replace("PLACE", str(place)) for word in WRITERS[command]]
    said = at(mounted, place, *words).stderr
    assert why in said
    assert str(place) in said
    assert remedy in said
    assert "what to do" in said


@pytest.mark.parametrize("broken", PLACES)
def test_what_only_reads_works_all_the_same(tmp_path: Path, broken: str) -> None:
    script = " && ".join(
        f"{' '.join(US)} {command}; test $? -le 3" for command in ("configure show", "status")
    )
    done = at(PLACES[broken][0], tmp_path / "place", "sh", "-c", script, fails=False)
    assert "error" not in done.stderr


def test_a_request_log_that_cannot_be_begun_is_said(tmp_path: Path) -> None:
    log = tmp_path / "place" / "requests.jsonl"
    words = [*US[:2], "autosre_lab.proxy", "0", "http://h:1", "--request-log", str(log)]
    said = at(PLACES["read-only"][0], tmp_path / "place", *words).stderr
    assert f"the request log {log} cannot be written" in said
    assert "the file system is read-only" in said


@pytest.mark.parametrize(
    "words", [["configure", "show"], ["--version"], ["start", "--help"]], ids=" ".join
)
def test_an_output_that_is_full_is_said(words: list[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*US, *words], stdout=full, stderr=subprocess.PIPE, encoding="utf-8", check=False
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: what was printed: the disk is full",
        "  what to do: send the output to a file on a disk that has room, or to the screen",
    ]


def test_a_file_that_is_dev_full_is_said() -> None:
    done = subprocess.run(
        [*US, "metrics", "grafana", "--out", "/dev/full"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 1
    assert "/dev/full: the disk is full" in done.stderr


@pytest.mark.parametrize("module", ["recipe.schema_export", "chart.schema_export", "cli.reference"])
def test_help_writes_nothing(tmp_path: Path, module: str) -> None:
    words = [*US[:2], f"autosre_lab.{module}", "--help"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True)
    assert "usage" in done.stdout
    assert list(tmp_path.iterdir()) == []


# -- a user who is on no list --------------------------------------------------------------------

NOBODY = 54_321


def as_nobody(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run as a user without an entry; it may read everything, or it could not run Python here."""
    reads = "+dac_read_search"
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return subprocess.run(
        [*become, f"--inh-caps={reads}", f"--ambient-caps={reads}", *words],
        env={"PATH": os.environ["PATH"], **env},
        cwd="/",
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@needs_root
@pytest.mark.parametrize(
    "words",
    [
        [*US, "start"],
        [*US, "notebook", "run", "1_quickstart"],
        [*US[:2], "autosre_lab.claude", "-p", "hi"],
        [*US[:2], "autosre_lab.notebooks", "run", "1_quickstart"],
    ],
    ids=lambda words: " ".join(words[2:]),
)
def test_a_user_without_a_home_is_told_to_name_one(tmp_path: Path, words: list[str]) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    for folders in ((), ("STATE", "CACHE", "DATA", "CONFIG")):
        own = {f"AUTOSRE_{name}_DIR": str(tmp_path / name) for name in folders}
        done = as_nobody(*words, **own)
        assert done.returncode == 2, done.stderr
        assert f"user {NOBODY} has no home folder" in done.stderr
        assert "export HOME=" in done.stderr
        assert "Traceback" not in done.stderr


@needs_root
def test_with_a_home_a_user_without_a_name_works_and_is_known_by_number(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    done = as_nobody(*US, "configure", "show", "-o", "json", HOME=str(home))
    assert done.returncode == 0, done.stderr
    assert str(home) in json.dumps(json.loads(done.stdout))
    code = "from autosre_lab.cluster.lease import _identity; print(_identity())"
    done = as_nobody(sys.executable, "-c", code, HOME=str(home))
    assert done.stdout.startswith(f"{NOBODY}@"), done
