"""A small share of the attack; `python -m tests.proxy.attack` is all of it (docs/safety.md)."""

from __future__ import annotations

import pytest

from tests.proxy.attack.__main__ import kinds

ANY = {name: run for name, (_, run) in kinds("ci").items()}
TRIES = {
    "bodies of requests, messages": 1000,
    "bodies of requests, responses": 150,
    "streams of an engine, messages": 500,
    "streams of an engine, responses": 500,
    "HTTP requests to a proxy": 100,
    "HTTP answers of an engine": 200,
}


@pytest.mark.parametrize("kind", TRIES)
def test_what_is_odd_is_answered_or_refused_in_words(kind: str) -> None:
    found = ANY[kind](TRIES[kind])
    assert not isinstance(found, str)
    assert found.total() == TRIES[kind]
    assert len(found) > 1  # some come right and some do not: it is no attack otherwise
