"""Nothing gets out of the sandbox: by each backend, as user 0 and as an ordinary user."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from autosre_lab.sandbox import running
from autosre_lab.sandbox.backends import Isolation
from autosre_lab.sandbox.folders import scratch_folder
from autosre_lab.sandbox.limits import SandboxLimits
from autosre_lab.sandbox.running import Outcome
from tests.sandbox.attacks import ATTACKS, GREED, LEFTOVERS, PRELUDE
from tests.sandbox.prey import Prey, laid_out

BACKENDS: tuple[Isolation, ...] = ("bubblewrap", "namespaces")
LIMITS = SandboxLimits(seconds=20)
SMALL = SandboxLimits(seconds=30, processes=64, memory_bytes=1 << 29, folder_bytes=64 << 20)


@pytest.fixture(scope="module")
def prey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prey]:
    with laid_out(tmp_path_factory.mktemp("prey")) as found:
        yield found


def attack(
    how: Isolation, code: str, folder: Path, limits: SandboxLimits, told: object = None
) -> Outcome:
    program = f"{PRELUDE}\nprey = {told!r}\n{code}"
    return running._run([sys.executable, "-I", "-c", program], folder, limits, how)


@pytest.mark.parametrize("how", BACKENDS)
def test_both_backends_work_here(how: Isolation) -> None:
    assert running.why_not(how) == ""


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("how", BACKENDS)
def test_an_attack_gets_nothing(how: Isolation, name: str, prey: Prey) -> None:
    with scratch_folder() as folder:
        found = attack(how, ATTACKS[name], folder, LIMITS, prey.told)
        assert "GOT" not in found.output, found.output
        assert not found.ended_for
        assert prey.touched() == []
        strangers = [one for one in folder.rglob("*") if one.lstat().st_uid != os.getuid()]
        assert strangers == []
        if os.getuid() == 0:  # what it leaves is ours again: then nothing of it may run as us
            assert [one for one in folder.iterdir() if one.lstat().st_mode & stat.S_ISUID] == []


@pytest.mark.parametrize("name", GREED)
@pytest.mark.parametrize("how", BACKENDS)
def test_greed_is_ended_with_all_that_it_started(how: Isolation, name: str) -> None:
    code, words = GREED[name]
    mark = f"autosre-greed-{os.getpid()}-{abs(hash((how, name)))}"
    with scratch_folder() as folder:
        before = time.monotonic()
        limits = msgspec.structs.replace(SMALL, seconds=2.0) if "2 s" in words else SMALL
        found = attack(how, f"# {mark}\n{code}", folder, limits)
        assert re.search(words, found.ended_for), found
        assert time.monotonic() - before < 60
    left = [one for one in Path("/proc").glob("[0-9]*") if mark in _command(one)]
    assert left == []


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


@pytest.mark.parametrize("name", LEFTOVERS)
@pytest.mark.parametrize("how", BACKENDS)
def test_whatever_is_left_is_read_without_trust_and_removed(how: Isolation, name: str) -> None:
    with scratch_folder() as folder:
        (folder / "program.py").write_text("x = 1\n", "utf-8")
        found = attack(how, f"print('before', flush=True)\n{LEFTOVERS[name]}", folder, LIMITS)
        assert (found.exit_code, found.ended_for, found.output[:7]) == (0, "", "before\n")
    assert not folder.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="these tests run as an ordinary user already")
def test_an_ordinary_user_has_the_same_sandbox(tmp_path: Path) -> None:
    """The table once more without rights; this Python may be user 0's alone."""
    packages = [one for one in sys.path if one.endswith("site-packages")]
    repository = Path(__file__).parents[2]
    python = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    with scratch_folder() as folder:
        folder.chmod(0o777)
        done = subprocess.run(
            [
                *("setpriv", "--reuid=61000", "--regid=61000", "--clear-groups"),
                *(python, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *(
                    f"--basetemp={folder}/t",
                    "-k",
                    "not (greed and bubblewrap)",
                    str(Path(__file__)),
                ),
            ],
            cwd=repository,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "PYTHONPATH": os.pathsep.join([str(repository), *packages]),
            },
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
