"""Run the attack and print its counts: `python -m tests.proxy.attack [--seed S] [--share F]`.

The same seed makes the same inputs. A try that does not come out right ends the run with its
number; `--share 0.01` is a quick look, 1 is what the table in docs/safety.md was made with.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.proxy.attack.bodies import DIALECTS, try_body, valid_bodies
from tests.proxy.attack.crowds import requests_and_memory, silent_sockets, streams_at_once
from tests.proxy.attack.over_http import try_answers, try_requests
from tests.proxy.attack.streams import try_stream

__all__ = ["main"]


def in_process(try_one: Callable[[Random], str], count: int, seed: str) -> Counter[str]:
    """Try `count` times; each try has a generator of its own, so that it can be run alone."""
    found: Counter[str] = Counter()
    for number in range(count):
        try:
            found[try_one(Random(f"{seed} {number}"))] += 1
        except Exception as error:
            raise AssertionError(f"try {number} of {seed}: {error!r}") from error
    return found


Run = Callable[[int], Counter[str] | str]


def kinds(seed: str) -> dict[str, tuple[int, Run]]:
    """Return what is tried, how often, and by what."""
    bodies, found = valid_bodies(), dict[str, tuple[int, Run]]()
    for name, dialect in DIALECTS.items():
        found[f"bodies of requests, {name}"] = (
            100_000,
            _tried(
                lambda random, dialect=dialect, name=name: try_body(
                    dialect, random.choice(bodies[name]), random
                ),
                f"{seed} bodies {name}",
            ),
        )
        found[f"streams of an engine, {name}"] = (
            100_000,
            _tried(lambda random, name=name: try_stream(name, random), f"{seed} streams {name}"),
        )
    return found | {
        "HTTP requests to a proxy": (
            20_000,
            lambda count: asyncio.run(try_requests(count, f"{seed} requests")),
        ),
        "HTTP answers of an engine": (
            40_000,
            lambda count: asyncio.run(try_answers(count, f"{seed} answers")),
        ),
        "requests, memory": (20_000, lambda count: asyncio.run(requests_and_memory(count))),
        "silent sockets": (4_600, lambda count: asyncio.run(silent_sockets(count))),
        "streams at once": (500, lambda count: asyncio.run(streams_at_once(count))),
    }


def _tried(try_one: Callable[..., str], seed: str) -> Run:
    return lambda count: in_process(try_one, count, seed)


def _row(what: str, tries: int, run: Run) -> None:
    began_s = time.monotonic()
    found = run(tries)
    said = (
        found
        if isinstance(found, str)
        else ", ".join(f"{kind} {times:,}" for kind, times in found.most_common())
    )
    took_s = time.monotonic() - began_s
    sys.stdout.write(f"| {what} | {tries:,} | {said} | {took_s:.0f} s |\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and attack."""
    parser = argparse.ArgumentParser(prog="python -m tests.proxy.attack", description=__doc__)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--share", type=float, default=1.0, help="of the tries; 1 is all")
    parser.add_argument("--only", default="", metavar="WORDS", help="kinds whose name has them")
    options = parser.parse_args(argv)
    logging.disable(logging.CRITICAL)
    for what, (count, run) in kinds(options.seed).items():
        if options.only in what:
            _row(what, max(1, round(count * options.share)), run)


if __name__ == "__main__":
    main()
