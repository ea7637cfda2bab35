"""What `import autosre_lab` promises: names, their documentation, and how little it costs."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest

import autosre_lab

PACKAGES = [
    "autosre_lab",
    "autosre_lab.claude",
    "autosre_lab.engine",
    "autosre_lab.errors",
    "autosre_lab.lab",
    "autosre_lab.progress",
    "autosre_lab.proxy",
    "autosre_lab.recipe",
    "autosre_lab.settings",
]
HEAVY = {
    "IPython",
    "aiohttp",
    "httpx",
    "ipywidgets",
    "jupyterlab",
    "kubernetes",
    "pandas",
    "plotly",
    "pydantic",
    "torch",
    "vllm",
    "yaml",
}
IMPORT_LIMIT_US = 100_000


def in_a_new_process(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there_and_explained(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert module.__doc__
    for public in module.__all__:
        value = getattr(module, public)
        # A constant's documentation stands beside it in the source.
        if callable(value):
            assert value.__doc__, f"{name}.{public} has no docstring"


def test_the_lazy_names_are_the_public_ones() -> None:
    assert set(autosre_lab._HOME) | {"__version__"} == set(autosre_lab.__all__)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        autosre_lab.nothing_of_the_kind  # noqa: B018
    assert "start" in dir(autosre_lab)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import autosre_lab, sys; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in in_a_new_process(code).stdout.split()}
    assert not loaded & HEAVY


def test_importing_the_package_takes_less_than_a_tenth_of_a_second() -> None:
    # The smallest of five: what it costs, not what else the machine was doing.
    times = []
    for _ in range(5):
        said = in_a_new_process("import autosre_lab", "-X", "importtime").stderr
        found = re.search(r"\|\s+(\d+) \|\s+autosre_lab$", said, re.MULTILINE)
        assert found is not None
        times.append(int(found[1]))
    assert min(times) < IMPORT_LIMIT_US


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("autosre_lab.cli", HEAVY),
        ("autosre_lab.proxy", HEAVY),
        ("autosre_lab.engine.supervisor", HEAVY | {"psutil", "asyncio"}),
        ("autosre_lab.proxy.listening", HEAVY - {"aiohttp"}),
    ],
)
def test_what_runs_for_long_or_starts_often_stays_light(module: str, unwanted: set[str]) -> None:
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in in_a_new_process(code).stdout.split()}
    assert not loaded & unwanted
