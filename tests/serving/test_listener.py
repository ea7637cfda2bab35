from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from autosre_lab.errors import ConfigError, PortTakenError
from autosre_lab.serving.listener import allow_descriptors, listen, url_of


@pytest.fixture(autouse=True)
def restored_limit() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_low_limit_of_open_files_is_raised() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))

    allow_descriptors(400)

    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (400, hard)


def test_it_is_raised_no_further_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (300, 350))
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: raised.append(limits))

    allow_descriptors(400)
    monkeypatch.undo()

    assert raised == [(350, 350)]


def test_a_higher_limit_stays() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))

    allow_descriptors(300)

    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (400, hard)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_free_port_is_found_and_shown(host: str) -> None:
    with listen(host, 0) as listener:
        shown = url_of(listener)
    assert shown.startswith("http://[::1]:" if ":" in host else "http://127.0.0.1:")
    assert not shown.endswith(":0")


def test_a_port_in_use_is_named() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)) as caught:
            listen("127.0.0.1", port)
    assert f":{port}" in caught.value.remedy


@pytest.mark.parametrize(
    ("host", "port"), [("no.such.name.invalid", 0), ("127.0.0.1", 70_000), ("ä" * 70, 0)]
)
def test_no_address_of_this_machine_is_told(host: str, port: int) -> None:
    with pytest.raises(ConfigError, match="is no"):
        listen(host, port)
