"""Tests that share what is costly run on one worker: CI starts several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.slow import measured, slow_files

TESTS = """
import os, pathlib, pytest

@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("number", range(6))
def test_one(number):
    pathlib.Path(__file__).with_name(f"{number}.{os.environ['PYTEST_XDIST_WORKER']}").touch()
"""


def test_a_group_of_tests_runs_on_one_worker(tmp_path: Path) -> None:
    (tmp_path / "test_group.py").write_text(TESTS, "utf-8")
    # This run may be a worker of another, with options of its own.
    environ = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup"]
    command += ["--rootdir", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, env=environ, check=True, timeout=120)
    ran = [one.suffix for one in tmp_path.glob("[0-9].gw*")]
    assert len(ran) == 6
    assert len(set(ran)) == 1


def test_what_is_left_out_of_the_inner_loop_exists() -> None:
    root = Path(__file__).parents[1]
    assert slow_files()
    assert not [name for name in slow_files() if not (root / name).exists()]


def test_a_file_is_as_slow_as_its_tests_together(tmp_path: Path) -> None:
    junit = tmp_path / "tests.xml"
    junit.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="tests.proxy.test_cases" name="a" time="1.5"/>'
        '<testcase classname="tests.proxy.test_cases.TestMore" name="b" time="0.75"/>'
        '<testcase classname="tests.test_words" name="c" time="0.25"/>'
        "</testsuite></testsuites>",
        "utf-8",
    )
    assert measured(junit) == {"tests/proxy/test_cases.py": 2.25, "tests/test_words.py": 0.25}
