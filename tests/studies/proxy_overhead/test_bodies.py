from __future__ import annotations

import json

import pytest

from autosre_lab.studies.proxy_overhead.bodies import body_named
from autosre_lab.studies.proxy_overhead.load_engine import read_directive


@pytest.mark.parametrize("name", ["small", "claude"])
@pytest.mark.parametrize("direct", [True, False])
def test_no_two_requests_are_alike_and_all_are_of_one_size(name: str, direct: bool) -> None:
    body = body_named(name, chunks=3, interval_ms=0)

    requests = {body.salted(number, direct=direct) for number in (1, 2, 4_000_000_000)}

    assert len(requests) == 3
    assert len({len(request) for request in requests}) == 1


@pytest.mark.parametrize("name", ["small", "claude"])
def test_the_upstream_reads_its_directive_in_both_forms(name: str) -> None:
    body = body_named(name, chunks=200, interval_ms=10)

    for direct in (True, False):
        directive = read_directive(body.salted(7, direct=direct))
        assert (directive.chunks, directive.interval_s, directive.stream) == (200, 0.01, True)


def test_the_claude_body_is_as_large_as_claude_codes_first_request() -> None:
    body = body_named("claude", chunks=1, interval_ms=0)

    assert 70_000 < len(body.messages) < 90_000
    assert len(json.loads(body.messages)["tools"]) > 20


def test_the_direct_form_carries_the_same_tools() -> None:
    body = body_named("claude", chunks=1, interval_ms=0)

    sent = [tool["name"] for tool in json.loads(body.messages)["tools"]]
    assert [tool["function"]["name"] for tool in json.loads(body.chat)["tools"]] == sent


def test_a_request_that_says_nothing_gets_one_chunk_at_once() -> None:
    directive = read_directive(b'{"messages":[]}')

    assert (directive.chunks, directive.interval_s, directive.stream) == (1, 0.0, False)
