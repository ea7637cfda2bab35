from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable

from autosre_lab.bench.processes import free_port
from autosre_lab.studies.proxy_overhead.load import (
    Connection,
    LoadTarget,
    TimedAnswer,
    http_request,
    read_answer,
)
from autosre_lab.studies.proxy_overhead.phases import Lane, turning_order

END = b'"message_stop"'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ask(serve: Serve, *, times: int = 1, timeout_s: float = 5.0) -> list[TimedAnswer]:
    """Send requests over one connection to a server that answers as `serve` does."""

    async def run() -> list[TimedAnswer]:
        served = asyncio.get_running_loop().create_future()

        async def serve_and_close(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await serve(reader, writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            served.set_result(None)

        server = await asyncio.start_server(serve_and_close, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection = Connection(LoadTarget(port=port, path="/", headers={}, end=END))
        answers = [await connection.stream(b"{}", timeout_s=timeout_s) for _ in range(times)]
        connection.close()
        await served
        server.close()
        return answers

    return asyncio.run(run())


async def read_request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"{}")


def test_a_request_states_its_length_and_headers() -> None:
    target = LoadTarget(port=80, path="/v1?beta=true", headers={"x-app": "cli"}, end=b"")

    head, _, body = http_request(target, b"hello").partition(b"\r\n\r\n")

    assert body == b"hello"
    assert head.startswith(b"POST /v1?beta=true HTTP/1.1\r\n")
    assert b"\r\ncontent-length: 5\r\n" in head
    assert head.endswith(b"\r\nx-app: cli")


def test_a_good_answer_has_its_chunks_counted() -> None:
    raw = HEAD + b'data: "zqx01"\n\ndata: "zqx02"\n\ndata: {"type":"message_stop"}\n\n'

    assert read_answer(raw, end=END) == (200, 2, None)


def test_an_answer_without_its_last_event_is_a_fault() -> None:
    status, chunks, fault = read_answer(HEAD + b'data: "zqx01"\n\n', end=END)

    assert (status, chunks) == (200, 1)
    assert fault == "the stream ended without its last event"


def test_an_http_error_is_a_fault_with_its_text() -> None:
    status, _, fault = read_answer(b"HTTP/1.1 529 Overloaded\r\n\r\nbusy", end=END)

    assert status == 529
    assert fault == "HTTP 529: busy"


def test_bytes_that_are_no_answer_have_status_zero() -> None:
    assert read_answer(b"", end=END)[0] == 0


def test_the_first_text_is_found_although_it_arrives_in_two_pieces() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await read_request(reader)
            for piece in (HEAD[:30], HEAD[30:], b"6\r\n zq", b"x01\r\n", b"e\r\n", END):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(b"\r\n0\r\n")
            await writer.drain()
            writer.write(b"\r\n")

    answers = ask(serve, times=2)

    assert [(answer.chunks, answer.fault) for answer in answers] == [(1, None)] * 2
    assert all(a.first_ns is not None and a.sent_ns < a.first_ns < a.ended_ns for a in answers)


def test_an_answer_of_known_length_ends_at_that_length() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\noops")
        await writer.drain()
        await reader.read()  # until the client closes

    (answer,) = ask(serve)

    assert (answer.status, answer.fault) == (400, "HTTP 400: oops")


def test_a_connection_that_breaks_is_a_fault_and_not_an_exception() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b"5\r\nzqx01\r\n")

    (answer,) = ask(serve)

    assert answer.chunks == 1
    assert answer.fault is not None


def test_an_answer_that_never_ends_is_given_up() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD)
        await reader.read()

    (answer,) = ask(serve, timeout_s=0.2)

    assert answer.fault is not None
    assert answer.ttft_ms is None


def test_nobody_listening_is_a_fault() -> None:
    async def run() -> TimedAnswer:
        target = LoadTarget(port=free_port(), path="/", headers={}, end=END)
        return await Connection(target).stream(b"{}", timeout_s=5)

    answer = asyncio.run(run())

    assert answer.status == 0
    assert answer.fault is not None
    assert "Connect" in answer.fault


def test_every_contender_stands_equally_often_in_every_place() -> None:
    target = LoadTarget(port=1, path="/", headers={}, end=b"")
    lanes = [Lane(name, target, None, direct=False) for name in "abc"]  # type: ignore[arg-type]

    orders = [tuple(lane.name for lane in order) for order in turning_order(lanes, 12)]

    for place in range(3):
        assert Counter(order[place] for order in orders) == {"a": 4, "b": 4, "c": 4}
    after_a = Counter(order[order.index("a") + 1] for order in orders if order[-1] != "a")
    assert set(after_a) == {"b", "c"}
