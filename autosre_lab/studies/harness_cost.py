"""How late our own client is, and what it costs: `autosre study harness-cost`.

Many streams come from a server that writes the moment of writing into each token. The difference
to the moment at which the client says the token came is the client's error, the kernel's few
microseconds included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from autosre_lab.bench.card_text import duration_text, text_table
from autosre_lab.bench.processes import free_port, running
from autosre_lab.bench.request_body import request_body
from autosre_lab.bench.running import run_async
from autosre_lab.bench.statistics import percentile
from autosre_lab.bench.stream_client import open_http, stream_request
from autosre_lab.bench.target import Protocol, Target
from autosre_lab.bench.timing import RequestTiming
from autosre_lab.bench.workload import Session, SessionTurn
from autosre_lab.errors import BenchmarkError
from autosre_lab.studies.agreement.paced_server import MODEL

__all__ = ["HarnessCost", "main", "measure_harness"]

_Answer = tuple[RequestTiming, list[dict[str, Any]]]
PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses")


class HarnessCost(msgspec.Struct, frozen=True, kw_only=True):
    """The client's own error and cost.

    Attributes:
        protocol: The API.
        streams: At the same time.
        tokens_per_s: Of each.
        tokens: Received in all.
        lost: Tokens that did not come.
        error_p50_s: Lateness of the client's times, median.
        error_p99_s: 99th percentile.
        error_max_s: The worst.
        ttft_error_p50_s: Of the first tokens alone, median.
        ttft_error_max_s: The worst of them.
        cpu_us_per_token: CPU time of the client's process, microseconds a token.
        cpu_share: Of one core.
    """

    protocol: str
    streams: int
    tokens_per_s: float
    tokens: int
    lost: int
    error_p50_s: float
    error_p99_s: float
    error_max_s: float
    ttft_error_p50_s: float
    ttft_error_max_s: float
    cpu_us_per_token: float
    cpu_share: float


def measure_harness(
    *,
    protocol: Protocol = "messages",
    streams: int = 64,
    tokens_per_s: float = 100.0,
    seconds: float = 5.0,
) -> HarnessCost:
    """Measure the client against a server that tells when it wrote each token.

    Args:
        protocol: The API.
        streams: At the same time.
        tokens_per_s: Of each.
        seconds: How long each stream is.

    Raises:
        BenchmarkError: A stream was not whole.
        EngineError: The server did not start.
    """
    tokens = max(2, round(tokens_per_s * seconds))
    port = free_port()
    server = [
        *(sys.executable, "-m", "autosre_lab.studies.agreement.paced_server", str(port)),
        *("--ttft-ms", "200", "--interval-ms", str(1000 / tokens_per_s), "--spread"),
    ]
    target = Target(
        url=f"http://127.0.0.1:{port}", protocol=protocol, model=MODEL, badge="scripted"
    )
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with running("the paced server", server, env=None, log=log, port=port, ready_path="/"):
            # Connections and the first pass through every branch are not the client's usual cost.
            run_async(_streams(target, streams, 4))
            started, cpu = time.perf_counter(), time.process_time()
            answers = run_async(_streams(target, streams, tokens))
            wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    errors, first = _errors(answers)
    received = len(errors)
    figures = (percentile(errors, 0.5), percentile(errors, 0.99), percentile(first, 0.5))
    p50, p99, ttft = (0.0 if one is None else one for one in figures)
    return HarnessCost(
        protocol=protocol,
        streams=streams,
        tokens_per_s=tokens_per_s,
        tokens=received,
        lost=streams * tokens - received,
        error_p50_s=p50,
        error_p99_s=p99,
        error_max_s=max(errors),
        ttft_error_p50_s=ttft,
        ttft_error_max_s=max(first),
        cpu_us_per_token=cpu_s / received * 1e6,
        cpu_share=cpu_s / wall_s,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the client's error and cost in all three APIs."""
    parser = argparse.ArgumentParser(prog="autosre study harness-cost", description=__doc__)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--tokens-per-s", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = [
        measure_harness(
            protocol=protocol,
            streams=options.streams,
            tokens_per_s=options.tokens_per_s,
            seconds=options.seconds,
        )
        for protocol in PROTOCOLS
    ]
    text = json.dumps(msgspec.to_builtins(found), indent=1) if options.json else harness_text(found)
    sys.stdout.write(text + "\n")
    return 0


def harness_text(found: Sequence[HarnessCost]) -> str:
    """Return the figures as a table."""
    rows = [
        [
            one.protocol,
            f"{one.streams} × {one.tokens_per_s:g}/s",
            f"{one.tokens} ({one.lost} lost)",
            duration_text(one.error_p50_s),
            duration_text(one.error_p99_s),
            duration_text(one.error_max_s),
            duration_text(one.ttft_error_p50_s),
            f"{one.cpu_us_per_token:.1f} µs",
            f"{one.cpu_share:.0%}",
        ]
        for one in found
    ]
    head = ["API", "streams", "tokens", "error p50", "p99", "max", "of TTFT p50"]
    return text_table([*head, "CPU a token", "of a core"], rows)


async def _streams(target: Target, streams: int, tokens: int) -> list[_Answer]:
    turn = SessionTurn(text="Count.", max_tokens=tokens)
    session = Session(id="harness", system="You count.", turns=(turn,))
    body = msgspec.json.encode(
        request_body(target, session, [{"role": "user", "content": turn.text}], turn)
    )
    async with open_http() as http:
        answers: list[_Answer] = await asyncio.gather(
            *(
                stream_request(http, target, body, session=str(number), turn=0)
                for number in range(streams)
            )
        )
    return answers


def _errors(
    answers: Sequence[_Answer],
) -> tuple[list[float], list[float]]:
    """Seconds between writing and reading: of all tokens, and of the first ones."""
    errors: list[float] = []
    first: list[float] = []
    for timing, blocks in answers:
        written = [int(one) for one in blocks[0]["text"].split()] if blocks else []
        if timing.failed or len(written) != len(timing.chunk_ns):
            raise BenchmarkError(
                f"a stream was not whole: {timing.error or 'tokens are missing'}",
                remedy="try again on a quieter machine, or with fewer streams",
            )
        late = [(read - wrote) / 1e9 for read, wrote in zip(timing.chunk_ns, written, strict=True)]
        errors += late
        first.append(late[0])
    return errors, first


if __name__ == "__main__":
    sys.exit(main())
