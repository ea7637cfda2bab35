"""Server-sent events, however their bytes are cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autosre_lab.proxy import server_events
from autosre_lab.proxy.server_events import EventTooLargeError, ServerEvents

STREAM = (
    b'\xef\xbb\xbf: hello\n\nevent: a\nid: 1\ndata: {"a":1}\n\ndata:{"b":2}\ndata: {"c":3}\n'
    b'data: {\ndata: }\n\ndata:\n\ndata: text\n\ndata: [DONE]\n\ndata: {"late":1}\n\n'
)
FOUND = [b'{"a":1}', b'{"b":2}', b'{"c":3}', b"{\n}", b"text", b"[DONE]"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 10_000])
def test_the_same_is_found_however_it_is_cut(size: int, end: bytes) -> None:
    raw = STREAM.replace(b"\n", end)
    events = ServerEvents()
    found = [one for at in range(0, len(raw), size) for one in events.feed(raw[at : at + size])]
    assert found == FOUND
    assert events.done
    assert events.feed(b"data: {}\n\n") == events.flush() == []


@pytest.mark.parametrize("tail", [b'data: {"x":1}', b'data: {"x":1}\n', b'data: {"x":1}\r'])
def test_the_last_line_counts_without_its_end(tail: bytes) -> None:
    events = ServerEvents()
    assert [*events.feed(tail), *events.flush()] == [b'{"x":1}']


def test_an_event_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_events, "MAX_EVENT_BYTES", 100)
    for pieces in (
        [b"data: " + b"x" * 101],
        [b"x" * 60] * 2,
        [b"data: x\n"] * 101,
        [b"data:\n"] * 101,
        [b"data: x\nda", b"ta: y\n"] * 10,
    ):
        events = ServerEvents()
        with pytest.raises(EventTooLargeError):
            for piece in pieces:
                events.feed(piece)
    events = ServerEvents()
    for _ in range(50):  # many small events are none
        assert events.feed(b"data: " + b"x" * 60 + b"\n\n") == [b"x" * 60]


def test_lines_of_an_event_that_does_not_end_cost_the_same_each() -> None:
    class Counted(list[bytes]):
        walks = 0

        def __iter__(self) -> Iterator[bytes]:
            Counted.walks += 1
            return super().__iter__()

    events = ServerEvents()
    events._data = Counted()
    for _ in range(1000):
        events.feed(b"data: x\n")
    assert Counted.walks == 0  # walked at every read, 100,000 lines took minutes


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b'error: {"code":500}\n\n', [b'{"code":500}']),
        (b'data: "[DONE]"\n\ndata: 1\n\n', [b"[DONE]"]),
        (b"data:\t[DONE] \n\n", [b"[DONE]"]),
    ],
)
def test_what_engines_write_in_their_own_way_is_read(raw: bytes, found: list[bytes]) -> None:
    assert ServerEvents().feed(raw) == found


def test_a_line_in_pieces_is_put_together_once() -> None:
    events = ServerEvents()
    for _ in range(1000):
        events.feed(b"x" * 100)
    assert len(events._rest) == 1000  # copied at every read, 50 MB took 24 s
