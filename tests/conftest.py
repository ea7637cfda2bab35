"""Every test has a state and a config folder of its own; what was provisioned is shared."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from autosre_lab.lifecycle import start, stop
from autosre_lab.stack import Stack
from tests.slow import slow_files

# How long an example takes says more about the machine than about the code.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("mutants", settings.get_profile("steady"), max_examples=20)
settings.load_profile("steady")


SLOW = slow_files()
TOGETHER = ("notebooks", "browser", "local")
"""Folders whose tests share what is costly to start, so that one worker runs them all."""


def pytest_configure() -> None:
    """Heed signals again: `nohup` and shells that put us in the background have them ignored.

    Processes that are started inherit it, and some tests end theirs by Ctrl-C.
    """
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Say which tests one worker has to run, before xdist reads it; alone it changes nothing.

    The real engine takes both cores of a small machine, so never two of them run at once.
    """
    file = Path(str(item.path)).relative_to(Path(__file__).parent)
    folder = file.parts[0]
    if f"tests/{file.as_posix()}" in SLOW:
        item.add_marker(pytest.mark.slow)
    group = "engine" if item.get_closest_marker("engine") else folder
    if group == "engine" or group in TOGETHER:
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a case that is a whole page by its argument: an id of a megabyte tells nobody more."""
    return argname if isinstance(val, str | bytes) and len(val) > 200 else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest groups first."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.fixture(autouse=True)
def _own_folders(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep away from a person's own stack and settings.

    Provisioned engines, models and CLIs are costly and never changed, so the data folder is the
    usual one. A test of the real stack shares that stack's state folder.
    """
    monkeypatch.setenv("AUTOSRE_CONFIG_DIR", str(tmp_path / "config"))
    if "real_stack" in request.fixturenames:
        state = request.getfixturevalue("real_stack_state")
        monkeypatch.setenv("AUTOSRE_STATE_DIR", str(state))
    else:
        monkeypatch.setenv("AUTOSRE_STATE_DIR", str(tmp_path / "state"))
    for name in ("AUTOSRE_RECIPE", "AUTOSRE_ENGINE_PORT", "AUTOSRE_PROXY_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def real_stack_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of the stack that the tests share."""
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
def _started(real_stack_state: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOSRE_STATE_DIR", str(real_stack_state))
        patch.setenv("AUTOSRE_CONFIG_DIR", str(real_stack_state / "config"))
        start("smollm2-135m-cpu")
    yield
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOSRE_STATE_DIR", str(real_stack_state))
        stop()


@pytest.fixture
def real_stack(_started: None, _own_folders: None) -> Stack:
    """The embedded stack with the real vLLM, started once; started again if a test has ended it."""
    return start("smollm2-135m-cpu")
