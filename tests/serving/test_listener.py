from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from autosre_lab.serving.listener import allow_descriptors


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
