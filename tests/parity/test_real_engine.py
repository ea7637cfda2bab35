"""Against the real vLLM: its processes, and its own parser of command lines."""

from __future__ import annotations

import itertools
import json
import os
import random
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autosre_lab.errors import EngineError
from autosre_lab.parity import find_drift, recipe_from_process
from autosre_lab.parity.command_line import CommandLine, difference, read_command_line
from autosre_lab.parity.live import LiveEngine, read_local
from autosre_lab.provision import provision
from autosre_lab.recipe import Flag, FlagTable, load_flag_table, load_recipe
from autosre_lab.stack import Stack
from tests.parity import vllm_parser

pytestmark = pytest.mark.engine

REPOSITORY = Path(__file__).parents[2]
SMALL = "smollm2-135m-cpu"
VERSION = "0.32.0"


@contextmanager
def started_by_hand(argv: list[str], environ: dict[str, str]) -> Iterator[LiveEngine]:
    """Start an engine as somebody at a terminal would, and end all of it."""
    child = subprocess.Popen(
        argv,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield _read_when_there(child.pid)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _read_when_there(pid: int) -> LiveEngine:
    deadline = time.monotonic() + 10
    while True:
        try:
            return read_local(pid=pid)
        except EngineError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def test_the_real_stack_is_what_its_recipe_says(real_stack: Stack) -> None:
    report = find_drift(real_stack.recipe_name)
    assert report.rows == ()
    assert report.layers == ("process", "environment", "hook")


def test_an_engine_started_by_hand_with_another_flag_shows_it(real_stack: Stack) -> None:
    stack = read_local(pid=int(find_drift(SMALL).engine.removeprefix("pid ")))
    environ = dict(stack.process.environ or {})
    edited = [*stack.process.argv, "--max_num_seqs=3", "--no-enable-prefix-caching"]
    edited[edited.index("8192")] = "4k"
    environ |= {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "2"}
    with started_by_hand(edited, environ) as live:
        report = find_drift(SMALL, pid=live.process.pid)
        taken = recipe_from_process(
            live.process.argv,
            live.process.environ or {},
            vllm_version=str(live.process.vllm_version),
            sections={"runtime": {"device": "cpu", "distribution": "vllm-cpu", "version": VERSION}},
        )
        own = find_drift(taken, pid=live.process.pid)
    assert [(row.subject, row.expected, row.live) for row in report.rows] == [
        ("--max-model-len", "8192", "4000"),
        ("--enable-prefix-caching", "true", "false"),
        ("VLLM_CPU_KVCACHE_SPACE", "1", "2"),
        ("--max-num-seqs", None, "3"),
        ("OMP_NUM_THREADS", None, "1"),
    ]
    assert own.rows == ()
    assert find_drift(real_stack.recipe_name).rows == ()


def test_lines_are_equal_for_us_exactly_if_they_are_for_vllm_s_own_parser() -> None:
    table = load_flag_table(VERSION)
    assert table is not None
    lines = list(dict.fromkeys(_spelled_lines(table, random.Random(20))))
    meanings = _meanings_of_vllm(lines)
    read = {
        line: (read_command_line(["vllm", "serve", *shlex.split(line)], table), meaning)
        for line, meaning in zip(lines, meanings, strict=True)
        if meaning is not None
    }
    assert len(read) > 1000
    assert [line for line, (ours, _) in read.items() if ours.unknown or ours.stray] == []
    groups: dict[tuple[str, ...], list[tuple[str, CommandLine, str]]] = {}
    for line, (ours, meaning) in read.items():
        groups.setdefault(tuple(sorted(ours.flags)), []).append((line, ours, meaning))
    pairs = [pair for group in groups.values() for pair in itertools.combinations(group, 2)]
    equal = sum(one[2] == other[2] for one, other in pairs)
    assert min(equal, len(pairs) - equal) > 100
    wrong = [
        (one[0], other[0])
        for one, other in pairs
        if (not difference(one[1], other[1])) != (one[2] == other[2])
    ]
    assert wrong == []


def _meanings_of_vllm(lines: list[str]) -> list[str | None]:
    python = provision(load_recipe(SMALL)).engine_python
    done = subprocess.run(
        [str(python), str(vllm_parser.__file__)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "VLLM_LOGGING_LEVEL": "ERROR"},
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    meanings: list[str | None] = json.loads(done.stdout.splitlines()[-1])
    return meanings


def _spelled_lines(table: FlagTable, chance: random.Random) -> Iterator[str]:
    """Yield each flag with few values in many spellings."""
    # Secrets are equal for us whatever they are; a file is read by vLLM only.
    left_out = ("--config", "--model", "--api-key", "--hf-token")
    for flag in table.flags.values():
        if flag.name not in left_out:
            for _ in range(8):
                yield shlex.join(["m", *_spelled(flag, chance)])


def _spelled(flag: Flag, chance: random.Random) -> list[str]:
    name = chance.choice([flag.name, *flag.aliases])
    long = name.startswith("--")
    if flag.kind in ("pair", "switch"):
        if flag.kind == "pair" and long and chance.random() < 0.5:
            name = f"--no-{name[2:]}"
        return [_respelled(name, chance)]
    if flag.type == "json" and flag.keys and chance.random() < 0.4:
        # Text, because vLLM turns numbers into booleans and the like where it knows the key.
        return [f"{_respelled(name, chance)}.{flag.keys[0]}", "text"]
    values = [_value(flag, chance) for _ in range(chance.randint(1, 2) if flag.nargs == "+" else 1)]
    if len(values) == 1 and chance.random() < 0.3:
        return [f"{_respelled(name, chance)}={values[0]}"]
    return [_respelled(name, chance), *values]


def _respelled(name: str, chance: random.Random) -> str:
    if name.startswith("--") and chance.random() < 0.3:
        return f"--{name[2:].replace('-', '_')}"
    return name


def _value(flag: Flag, chance: random.Random) -> str:
    if flag.choices:
        return str(chance.choice(flag.choices))
    match flag.type:
        case "int":
            return chance.choice(["1", "2", "007", "7", "-1"])
        case "float":
            return chance.choice(["0.5", ".50", "1", "1.0", "1e-1"])
        case "human_int":
            return chance.choice(["1k", "1K", "1000", "1024"])
        case "human_int_or_auto":
            return chance.choice(["auto", "-1", "8k", "8000", "8K"])
        case "json" | "json_or_str":
            key = flag.keys[0] if flag.keys else "a"
            return chance.choice([f'{{"{key}":"text"}}', f'{{ "{key}" : "text" }}', "{}"])
    return chance.choice(["a", "b", "None", "x=y"])
