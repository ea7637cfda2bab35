"""The same streams timed by our client, by vLLM's and by aiperf, in turns.

    autosre study agreement [--server paced|engine] [--rounds N] [--json FILE]

On the paced server every stream is the same, so that a difference is a client's: medians are
compared. On the real engine each client has requests of its own, and on few cores it also slows
them down by its own work. What is compared there is what each client says beyond the engine's own
mean over the very same requests; the medians are shown too, the machine's noise in them. Clients
take turns, and nobody's prompt is in the prefix cache.

Our clock starts when the request's bytes go to the socket, that of the two others before the
request is built and a connection opened: their TTFT is longer by their own work, some 0.5 to 2 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from autosre_lab.bench.card_text import duration_text, text_table
from autosre_lab.bench.processes import free_port, running
from autosre_lab.bench.statistics import mean, median
from autosre_lab.local import start, stop
from autosre_lab.provision.provisioning import provision
from autosre_lab.recipe import load_recipe
from autosre_lab.settings import paths
from autosre_lab.studies.agreement.paced_server import MODEL
from autosre_lab.studies.agreement.tools import (
    AIPERF_VERSION,
    Times,
    ToolLoad,
    aiperf_times,
    beside_engine,
    install_aiperf,
    install_pandas,
    own_times,
    vllm_bench_times,
)

__all__ = ["Agreement", "agreement_rows", "beyond_engine_rows", "main"]

OURS, VLLM, AIPERF = "autosre", "vllm bench serve", f"aiperf {AIPERF_VERSION}"
SHARE, ABSOLUTE_S = 0.02, 1e-3
"""Two medians agree within 2 % or a millisecond."""

RECIPE = "smollm2-135m-cpu"

_PACED = "autosre_lab.studies.agreement.paced_server"
_PACE = ("--ttft-ms", "200", "--interval-ms", "20")


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of our client beside another's.

    Attributes:
        metric: ``ttft`` or ``tpot``.
        other: The other client.
        figure: ``median``, or ``beyond the engine's``: the mean less the engine's own mean.
        requests: Of each.
        ours_s: Ours.
        theirs_s: Theirs.
        difference_s: Ours less theirs.
        agree: Within a millisecond or 2 %, of the engine's own mean where that is compared with.
    """

    metric: str
    other: str
    requests: int
    ours_s: float
    theirs_s: float
    difference_s: float
    agree: bool
    figure: str = "median"


def agreement_rows(times: Mapping[str, Sequence[Times]]) -> list[Agreement]:
    """Compare pooled medians.

    Args:
        times: Rounds by client; ours is among them.
    """
    rows = []
    for metric in ("ttft", "tpot"):
        pooled = {
            name: [one for each in rounds for one in getattr(each, f"{metric}_s")]
            for name, rounds in times.items()
        }
        ours = median(pooled[OURS])
        for name, samples in pooled.items():
            theirs = median(samples)
            if name == OURS or ours is None or not theirs:
                continue
            difference = ours - theirs
            rows.append(
                Agreement(
                    metric=metric,
                    other=name,
                    requests=len(samples),
                    ours_s=ours,
                    theirs_s=theirs,
                    difference_s=difference,
                    agree=abs(difference) <= max(ABSOLUTE_S, SHARE * theirs),
                )
            )
    return rows


def beyond_engine_rows(times: Mapping[str, Sequence[Times]]) -> list[Agreement]:
    """Compare what clients say beyond the engine's own means over the same requests.

    Args:
        times: Rounds by client, with the engine's figures; ours is among them.
    """
    rows = []
    for metric in ("ttft", "tpot"):
        beyond = {name: _beyond(rounds, metric) for name, rounds in times.items()}
        ours = beyond[OURS]
        for name, theirs in beyond.items():
            if name == OURS or ours is None or theirs is None:
                continue
            difference = ours[0] - theirs[0]
            rows.append(
                Agreement(
                    metric=metric,
                    other=name,
                    figure="beyond the engine's",
                    requests=sum(len(one.ttft_s) for one in times[name]),
                    ours_s=ours[0],
                    theirs_s=theirs[0],
                    difference_s=difference,
                    agree=abs(difference) <= max(ABSOLUTE_S, SHARE * theirs[1]),
                )
            )
    return rows


def _beyond(rounds: Sequence[Times], metric: str) -> tuple[float, float] | None:
    """A client's mean less the engine's, and the engine's; rounds that it did not count left out.

    Each round weighs the same: it has as many requests as another.
    """
    pairs = [
        (mean(getattr(one, f"{metric}_s")), getattr(one, f"engine_{metric}_s")) for one in rounds
    ]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    beyond, engine = mean([a - b for a, b in known]), mean([b for _, b in known])
    return None if beyond is None or engine is None else (beyond, engine)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and return 0 if all agree, 1 if not."""
    options = _options(arguments)
    recipe = load_recipe(RECIPE)
    provisioned = provision(recipe)
    engine, tokenizer = provisioned.engine_python.parents[1], provisioned.model_path
    pandas = install_pandas(paths().data, engine)
    aiperf = install_aiperf(paths().data)
    times: dict[str, list[Times]] = {OURS: [], VLLM: [], AIPERF: []}
    with _server(options) as (url, model, key), tempfile.TemporaryDirectory() as scratch:
        for number in range(options.rounds):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            vllm = partial(
                vllm_bench_times, engine=engine, pandas=pandas, tokenizer=tokenizer, folder=folder
            )
            other = partial(aiperf_times, environment=aiperf, tokenizer=tokenizer, folder=folder)
            clients: list[tuple[str, Callable[[ToolLoad], Times]]] = [
                (OURS, own_times),
                (VLLM, vllm),
                (AIPERF, other),
            ]
            # Whoever comes first in a round is another each time.
            if key is not None:
                # It takes a key on its command line only, where every user could read it.
                del clients[2]
            turn = number % len(clients)
            for name, client in clients[turn:] + clients[:turn]:
                load = ToolLoad(
                    url=url,
                    model=model,
                    prompts=_prompts(name, number, options.requests),
                    tokens=options.tokens,
                    users=options.users,
                    key=key,
                )
                real = options.server == "engine"
                times[name].append(beside_engine(client, load) if real else client(load))
                sys.stderr.write(f"round {number + 1}: {name}\n")
    rounds = {name: tuple(each) for name, each in times.items()}
    rows = agreement_rows(rounds)
    judged = rows if options.server == "paced" else beyond_engine_rows(rounds)
    rows += [row for row in judged if row not in rows]
    sys.stdout.write(_table(rows, judged) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(msgspec.to_builtins(rows), indent=1), "utf-8")
    return 0 if judged and all(row.agree for row in judged) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="autosre study agreement", description=__doc__)
    parser.add_argument("--server", choices=["paced", "engine"], default="paced")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=24, help="of each client and round")
    parser.add_argument("--tokens", type=int, default=64, help="of each answer")
    parser.add_argument("--users", type=int, default=2, help="requests under way")
    parser.add_argument("--json", type=Path, help="write the rows here")
    return parser.parse_args(arguments)


@contextmanager
def _server(options: argparse.Namespace) -> Iterator[tuple[str, str, str | None]]:
    if options.server == "engine":
        stack = start(load_recipe(RECIPE))
        try:
            yield stack.engine_url, stack.model, stack.engine_key
        finally:
            stop()
        return
    port = free_port()
    command = [sys.executable, "-m", _PACED, str(port), *_PACE]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with running("the paced server", command, env=None, log=log, port=port, ready_path="/"):
            yield f"http://127.0.0.1:{port}", MODEL, None


def _prompts(client: str, number: int, requests: int) -> tuple[str, ...]:
    """Prompts of one length that differ from their first words on."""
    story = "Then tell at length what the river sees on its way to the sea, town by town. " * 4
    mark = {OURS: "one", VLLM: "two", AIPERF: "six"}[client]
    return tuple(f"{mark} {100 + number} {100 + request}: {story}" for request in range(requests))


def _table(rows: Sequence[Agreement], judged: Sequence[Agreement]) -> str:
    return text_table(
        ["figure", "requests each", "ours", "theirs", "difference", "agree"],
        [
            [
                f"{row.metric} {row.figure}, {row.other}",
                str(row.requests),
                duration_text(row.ours_s),
                duration_text(row.theirs_s),
                duration_text(row.difference_s),
                ("yes" if row.agree else "NO") if row in judged else "not judged",
            ]
            for row in rows
        ],
    )
