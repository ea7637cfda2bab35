"""Seconds to the first token of a session's first turn, with and without warming.

``python -m tests.agents.claude.first_token --runs 5`` starts a stack of its own (the CPU engine
with a window that holds the full profile), then sessions of the real Claude Code with that
profile, in turns with and without what the launcher has computed ahead; before each the engine's
prefix cache is emptied. A session that is not counted comes first: the proxy learns from it how
such sessions begin.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from autosre_lab.agents import session
from autosre_lab.agents.claude.agent import CLAUDE
from autosre_lab.agents.options import OwnOptions
from autosre_lab.agents.trial import wait_until
from autosre_lab.stack import Stack
from tests.support.long_window import forget_prompts, long_window

WINDOW = 40_960
ARGUMENTS = (
    *("-p", "What is the capital of France?"),
    *("--output-format", "stream-json", "--include-partial-messages", "--verbose"),
)


@dataclass(frozen=True, kw_only=True)
class FirstTurn:
    """One session, until its first token.

    Attributes:
        planned_s: From the launcher's start until Claude Code's.
        shown_s: From the launcher's start to the first token on Claude Code's standard output,
            without the pause.
        ttft_s: From the request's arrival at the proxy to its first token.
        bytes_in: The request.
    """

    planned_s: float
    shown_s: float
    ttft_s: float
    bytes_in: int


def first_turn(
    stack: Stack,
    cwd: Path,
    *,
    warms: bool,
    profile: str,
    pause_s: float = 0.0,
    learns: bool = False,
) -> FirstTurn:
    """Start a session as the launcher does, and end it behind its first token.

    Args:
        stack: Where it is asked.
        cwd: Where it runs.
        warms: Have the launcher compute ahead.
        profile: How much of Claude Code.
        pause_s: Seconds before Claude Code is started, as if a person typed the question meanwhile.
        learns: End it as soon as the proxy knows how it begins.
    """
    forget_prompts(stack)
    before = len(_turns(stack))
    started_s = time.perf_counter()
    own = OwnOptions(profile=profile)
    if warms:
        launch = session.prepare_launch(CLAUDE, own, ARGUMENTS, cwd=cwd, stack=stack)
    else:
        with mock.patch.object(session, "warm"):
            launch = session.prepare_launch(CLAUDE, own, ARGUMENTS, cwd=cwd, stack=stack)
    planned_s = time.perf_counter() - started_s
    time.sleep(pause_s)
    with subprocess.Popen(
        launch.argv,
        env=launch.env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        try:
            _read_to_first_token(process.stdout, or_sign_of_life=learns)
            shown_s = time.perf_counter() - started_s - pause_s
        finally:
            process.terminate()
    wait_until(lambda: len(_turns(stack)) > before, "the request log's line")
    record = _turns(stack)[before]
    return FirstTurn(
        planned_s=planned_s,
        shown_s=shown_s,
        ttft_s=(record["ttft_ms"] or math.nan) / 1e3,
        bytes_in=record["bytes_in"],
    )


def _read_to_first_token(lines: Iterable[str], *, or_sign_of_life: bool) -> None:
    for line in lines:
        told = json.loads(line)
        if told["type"] != "stream_event":
            continue
        delta = told["event"].get("delta", {})
        # Those without a text are the proxy's signs of life.
        if delta.get("text") or delta.get("thinking") or or_sign_of_life:
            return
    raise SystemExit("Claude Code ended without a token")


def _turns(stack: Stack) -> list[dict[str, Any]]:
    log = stack.request_log
    if log is None or not log.exists():
        return []
    records = (json.loads(line) for line in log.read_text("utf-8").splitlines())
    return [one for one in records if one["kind"] == "main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print each run and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="sessions of each kind")
    parser.add_argument("--profile", default="full")
    parser.add_argument(
        "--pause", type=float, default=0, metavar="S", help="a person types so long"
    )
    given = parser.parse_args(argv)
    kinds = {False: "without", True: "with"}
    runs: dict[bool, list[FirstTurn]] = {False: [], True: []}
    with long_window(WINDOW) as stack, tempfile.TemporaryDirectory() as folder:
        cwd = Path(folder)
        first_turn(stack, cwd, warms=False, profile=given.profile, learns=True)
        print("| warming | launcher, s | first token shown, s | TTFT of the request, s | bytes |")
        print("|---|--:|--:|--:|--:|", flush=True)
        for number in range(given.runs):
            for warms in sorted(kinds, reverse=bool(number % 2)):
                one = first_turn(
                    stack, cwd, warms=warms, profile=given.profile, pause_s=given.pause
                )
                runs[warms].append(one)
                print(
                    f"| {kinds[warms]} | {one.planned_s:.2f} | {one.shown_s:.2f} | "
                    f"{one.ttft_s:.2f} | {one.bytes_in} |",
                    flush=True,
                )
    for warms, name in kinds.items():
        shown = statistics.median(one.shown_s for one in runs[warms])
        ttft = statistics.median(one.ttft_s for one in runs[warms])
        print(f"| median, {name} | | {shown:.2f} | {ttft:.2f} | |")


if __name__ == "__main__":
    main(sys.argv[1:])
