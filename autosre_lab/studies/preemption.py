"""How long a request that matters waits while others keep the engine busy: stock against ours.

    autosre study preemption

A real vLLM on this machine's CPU, once with its own scheduler and once with the hook, same flags
otherwise. Three ways of being busy: every slot is taken; a free slot, but no KV blocks; one long
prefill that takes the whole budget of every step. TTFT is measured on this machine's clock from
before the request is sent until its first token has come.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from autosre_lab.local import start, stop
from autosre_lab.recipe import Recipe, load_recipe, parse_recipe
from autosre_lab.stack import Stack

__all__ = [
    "HIGH",
    "LOW",
    "SCENARIOS",
    "BusyLoad",
    "MeasuredTtft",
    "busy_recipe",
    "client_of",
    "main",
    "measure",
    "measure_on",
    "state_apart",
    "table",
]

HIGH, LOW = -10, 10
SLOTS = 4
STEP_TOKENS = 256
BLOCKS = 26
"""KV blocks of 128 tokens: three long requests leave a slot free, and four blocks at most."""
SETTLE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BusyLoad:
    """What keeps the engine busy.

    Attributes:
        name: In the table.
        requests: How many that matter less.
        prompt_words: Of each.
        output_tokens: Of each.
        high_words: Of the prompt that must not wait.
    """

    name: str
    requests: int
    prompt_words: int
    output_tokens: int
    high_words: int


SCENARIOS = (
    BusyLoad(name="slots", requests=SLOTS, prompt_words=30, output_tokens=220, high_words=50),
    BusyLoad(name="blocks", requests=3, prompt_words=850, output_tokens=160, high_words=600),
    BusyLoad(name="budget", requests=1, prompt_words=1900, output_tokens=10, high_words=50),
)


@dataclass(slots=True, kw_only=True)
class MeasuredTtft:
    """Seconds, one entry a try.

    Attributes:
        kind: ``stock`` or ``hook``.
        idle_s: TTFT of the same prompt on the idle engine, by scenario.
        busy_s: TTFT by scenario.
        step_s: How long a step of the others takes, by scenario: nobody can come in between.
        low_s: From start to end of the slowest of the others, by scenario.
    """

    kind: str
    idle_s: dict[str, list[float]] = field(default_factory=dict)
    step_s: dict[str, list[float]] = field(default_factory=dict)
    busy_s: dict[str, list[float]] = field(default_factory=dict)
    low_s: dict[str, list[float]] = field(default_factory=dict)


def busy_recipe(kind: str) -> Recipe:
    """Return the embedded recipe with few slots, few blocks and small steps."""
    tree = load_recipe("smollm2-135m-cpu").model_dump(by_alias=True, exclude_defaults=True)
    tree |= {"schema": "autosre.recipe/v1", "name": f"preemption-{kind}"}
    tree["model"] = {**tree["model"], "context": 2048}
    tree["claude"] = {"profile": "lean"}
    tree["latency"] = {"max_step_tokens": STEP_TOKENS}
    args = {"max-num-seqs": SLOTS, "num-gpu-blocks-override": BLOCKS}
    tree["engine"] = {"args": {**tree["engine"]["args"], **args}}
    mode = {"mode": "hook" if kind == "hook" else "off"}
    tree["scheduler"] = {**tree["scheduler"], "preemption": mode}
    return parse_recipe(tree)


def measure(kind: str, *, tries: int, tell: Callable[[str], None]) -> MeasuredTtft:
    """Start an engine of one kind, measure every scenario, stop it."""
    with (
        tempfile.TemporaryDirectory(prefix="autosre-preemption-") as state,
        state_apart(Path(state)),
    ):
        try:
            stack = start(busy_recipe(kind))
            return measure_on(stack, kind, SCENARIOS, tries=tries, tell=tell)
        finally:
            stop()


def measure_on(
    stack: Stack,
    kind: str,
    scenarios: Sequence[BusyLoad],
    *,
    tries: int,
    tell: Callable[[str], None],
    step_tokens: int = STEP_TOKENS,
) -> MeasuredTtft:
    """Measure scenarios on a stack that runs.

    Args:
        stack: It.
        kind: ``stock`` or ``hook``.
        scenarios: What keeps it busy.
        tries: Of each.
        tell: Gets a line a try.
        step_tokens: Of a step of that engine.
    """
    found = MeasuredTtft(kind=kind)
    with client_of(stack) as client:
        _ttft(client, stack, 50)  # the first request of an engine is no measure
        for load in scenarios:
            lists = (found.idle_s, found.busy_s, found.step_s, found.low_s)
            for number in range(tries):
                idle_s = _ttft(client, stack, load.high_words)
                high_s, step_s, low_s = _one_try(client, stack, load, f"{number}", step_tokens)
                for values, value in zip(lists, (idle_s, high_s, step_s, low_s), strict=True):
                    values.setdefault(load.name, []).append(value)
                tell(f"{kind} {load.name}: idle {idle_s:.3f} s, busy {high_s:.3f} s")
    return found


def table(
    stock: MeasuredTtft, hook: MeasuredTtft, *, scenarios: Sequence[BusyLoad] = SCENARIOS
) -> str:
    """Return the medians as Markdown, with the worst try in brackets."""
    lines = [
        "| TTFT of priority -10, others at 10 | idle engine | busy, vLLM's scheduler "
        "| busy, with the hook | 1.5 × idle + a step | the others take, stock → hook |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    words = {
        "slots": "all slots taken",
        "blocks": "a slot free, no KV blocks",
        "budget": "behind a long prefill",
    }
    for load in scenarios:
        name = load.name
        # With the hook the others pause, so that their steps look longer than they are.
        idle, step = (statistics.median(one[name]) for one in (hook.idle_s, stock.step_s))
        others = (statistics.median(one.low_s[name]) for one in (stock, hook))
        lines.append(
            f"| {words[name]} | {_seconds(hook.idle_s[name])} | {_seconds(stock.busy_s[name])} "
            f"| {_seconds(hook.busy_s[name])} | {1.5 * idle + step:.2f} s "
            f"| {' → '.join(f'{seconds:.1f} s' for seconds in others)} |"
        )
    return "\n".join(lines)


def _seconds(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} s ({max(values):.2f})"


def _one_try(
    client: httpx.Client, stack: Stack, load: BusyLoad, salt: str, step_tokens: int
) -> tuple[float, float, float]:
    """Return the TTFT of the one that matters, a step's length, and how long the others took."""
    others = [_Other(stack, load, f"{salt}-{at}") for at in range(load.requests)]
    started = time.perf_counter()
    for other in others:
        other.thread.start()
    if load.name == "budget":
        _until_running(client, 1)
    else:
        for other in others:
            if not other.first_token.wait(SETTLE_S):
                raise TimeoutError(f"{load.name}: the load does not start")
    high_s = _ttft(client, stack, load.high_words)
    for other in others:
        other.thread.join()
        if other.error is not None:
            raise other.error
    if load.name == "budget":
        # Its whole prefill, in steps of the full budget.
        steps = math.ceil(load.prompt_words / step_tokens)
        step_s = (others[0].first_s - started) / steps
    else:
        step_s = statistics.median(other.gap_s for other in others)
    return high_s, step_s, max(other.ended_s for other in others) - started


class _Other:
    """A request that matters less, streamed in a thread."""

    def __init__(self, stack: Stack, load: BusyLoad, salt: str) -> None:
        self._stack, self._load, self._salt = stack, load, salt
        self.first_token = threading.Event()
        self.first_s = self.ended_s = self.gap_s = 0.0
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        words = f"{self._salt} " + "word " * self._load.prompt_words
        body = _body(self._stack, words, self._load.output_tokens, LOW)
        try:
            with client_of(self._stack) as client:
                times = []
                for _ in _tokens(client, body):
                    times.append(time.perf_counter())
                    self.first_token.set()
                self.first_s = times[0]
                self.gap_s = statistics.median(b - a for a, b in pairwise(times))
        except httpx.HTTPError as error:
            self.error = error
        self.ended_s = time.perf_counter()


def client_of(stack: Stack) -> httpx.Client:
    """Return a client of a stack's engine, with the key that it wants."""
    headers = {"authorization": f"Bearer {stack.engine_key}"} if stack.engine_key else {}
    return httpx.Client(base_url=stack.engine_url, headers=headers, timeout=600, trust_env=False)


def _ttft(client: httpx.Client, stack: Stack, words: int) -> float:
    # Another text each time, or the prefix cache would answer.
    body = _body(stack, f"{time.time_ns()} " + "word " * words, 4, HIGH)
    started = time.perf_counter()
    first = 0.0
    for _ in _tokens(client, body):
        first = first or time.perf_counter() - started
    return first


def _tokens(client: httpx.Client, body: dict[str, Any]) -> Iterator[str]:
    with client.stream("POST", "/v1/completions", json=body) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                yield str(json.loads(line[6:])["choices"][0]["text"])


def _body(stack: Stack, prompt: str, output_tokens: int, priority: int) -> dict[str, Any]:
    return {
        "model": stack.model,
        "prompt": prompt,
        "max_tokens": output_tokens,
        "ignore_eos": True,
        "stream": True,
        "priority": priority,
    }


def _until_running(client: httpx.Client, count: int) -> None:
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        for line in client.get("/metrics").text.splitlines():
            if line.startswith("vllm:num_requests_running") and float(line.split()[-1]) >= count:
                return
        time.sleep(0.02)
    raise TimeoutError("the long prefill does not start")


@contextmanager
def state_apart(state: Path) -> Iterator[None]:
    """Keep what is started meanwhile in a state folder of its own, beside a person's stack."""
    before = os.environ.get("AUTOSRE_STATE_DIR")
    os.environ["AUTOSRE_STATE_DIR"] = str(state)
    try:
        yield
    finally:
        if before is None:
            del os.environ["AUTOSRE_STATE_DIR"]
        else:
            os.environ["AUTOSRE_STATE_DIR"] = before


def main(argv: list[str] | None = None) -> int:
    """Measure both kinds, one after the other, and print the table."""
    parser = argparse.ArgumentParser(prog="autosre study preemption")
    parser.add_argument("--tries", type=int, default=5, help="of each scenario")
    parser.add_argument("--json", type=Path, help="also write every single measurement there")
    options = parser.parse_args(argv)

    def tell(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    stock, hook = (measure(kind, tries=options.tries, tell=tell) for kind in ("stock", "hook"))
    if options.json is not None:
        samples = [asdict(one) for one in (stock, hook)]
        options.json.write_text(json.dumps(samples, indent=1), encoding="utf-8")
    sys.stdout.write(table(stock, hook) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
