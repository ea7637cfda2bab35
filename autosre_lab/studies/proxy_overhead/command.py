"""What a proxy adds between an agent and the engine: ours, its rivals, and no proxy at all.

    autosre study proxy-overhead [--rivals litellm,ccr] [--install-rivals]
                                               [--api responses] [--against FOLDER]
                                               [--quick] [--json FILE]

All contenders run at the same time, in front of one scripted upstream, and are visited in turns;
only one is loaded at any moment. Latency is the paired difference against asking the upstream
directly. CPU time is that of the contender's process tree, so it holds on a busy machine, where
latencies do not. Everything listens on loopback and is ended with the benchmark.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from autosre_lab.errors import AutosreError
from autosre_lab.private_files import in_words
from autosre_lab.settings import paths
from autosre_lab.studies.proxy_overhead.bodies import BODIES
from autosre_lab.studies.proxy_overhead.rivals import RIVAL_NAMES, install_rival, rival_folder
from autosre_lab.studies.proxy_overhead.run import (
    DEFAULT,
    DIRECT,
    OURS,
    QUICK,
    Measured,
    Results,
    run_benchmark,
)
from autosre_lab.studies.proxy_overhead.stats import Added, added_latency, median, per_chunk_us
from autosre_lab.studies.proxy_overhead.table import Figures, missed_targets, render_table

__all__ = ["figures", "main", "report"]

_SHOWN_FAULTS = 5


def figures(results: Results) -> list[Figures]:
    """Condense a run to one row a contender, in the order in which they were started.

    The direct way has no proxy, so its CPU time and memory are the upstream's own.
    """
    return [_row(name, raw, results) for name, raw in results.contenders.items()]


def report(results: Results) -> str:
    """Return what a person reads: the machine, the table, how sure it is, what was missed."""
    rows = figures(results)
    plan, machine = results.plan, results.machine
    direct = results.contenders[DIRECT]
    lines = [
        f"Proxy overhead, {results.date}: {machine['cores']} cores, {machine['cpu']}, "
        f"{machine['system']}, Python {machine['python']}, Node {machine['node']}, "
        f"load average {machine['load_average'][0]:.1f} before, "
        f"{machine['load_average_after'][0]:.1f} after (a busy machine lengthens latencies)",
        f"TTFT: one request at a time, n = {plan.ttft_rounds} after {plan.ttft_warm_up} warm-ups. "
        f"CPU: one request at a time, {plan.burst.concurrency} streams in the burst, "
        f"{plan.paced.concurrency} at "
        f"{plan.pace_ms} ms; {plan.burst.chunks} chunks a request. "
        f"At the end {plan.streams.concurrency} streams of {plan.streams.chunks} chunks, "
        f"{plan.streams_pace_ms} ms apart.",
        "",
        render_table(rows, ours=OURS, baseline=DIRECT),
        "",
        "TTFT without a proxy: "
        + ", ".join(f"{name} {median(ms):.2f} ms" for name, ms in direct.ttft_ms.items() if ms)
        + f". CPU and RSS in the row {DIRECT} are the upstream's own.",
    ]
    lines += [
        f"{row.name}: added TTFT with the agent's first request {row.claude.p50_ms:.2f} ms, "
        f"95 % interval of the median {row.claude.low_ms:.2f} to {row.claude.high_ms:.2f}, "
        f"largest {row.claude.max_ms:.1f} (n = {row.claude.n})"
        for row in rows
        if row.claude is not None
    ]
    lines += [f"fault: {fault}" for fault in _faults(results)]
    own = next(row for row in rows if row.name == OURS)
    missed = missed_targets(own)
    lines += [f"target missed: {miss}" for miss in missed]
    if not missed:
        lines.append(f"{OURS} met every target.")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line.

    Returns:
        The exit code: 0 also where a target was missed, which the report says; 1 where nothing
        could be measured.
    """
    options = _parse(argv)
    names = [name for name in options.rivals.split(",") if name]
    try:
        data = paths().data
        for name in names:
            rival_folder(data, name)
            if options.install_rivals:
                install_rival(data, name)
        with tempfile.TemporaryDirectory(prefix="autosre-bench-") as folder:
            results = run_benchmark(
                replace(QUICK if options.quick else DEFAULT, api=options.api),
                rivals=names,
                against=options.against,
                data=data,
                run_folder=Path(folder),
            )
    except (AutosreError, OSError) as error:
        sys.stderr.write(f"error: {in_words(error)}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("stopped; everything that was started has ended\n")
        return 130
    sys.stdout.write(report(results) + "\n")
    if not names:
        sys.stdout.write(
            f"Rivals took no part; to compare: --install-rivals --rivals {','.join(RIVAL_NAMES)}\n"
        )
    if options.json:
        options.json.write_text(results.to_json() + "\n", encoding="utf-8")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="autosre study proxy-overhead",
        description="What a proxy adds between Claude Code and the engine.",
    )
    parser.add_argument(
        "--rivals",
        default="",
        metavar="NAMES",
        help=f"who else takes part, separated by commas: {', '.join(RIVAL_NAMES)}",
    )
    parser.add_argument(
        "--install-rivals",
        action="store_true",
        help="install them first, each into its own environment below the data folder",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="FOLDER",
        help="another checkout of this project (git worktree add), whose proxy takes part too",
    )
    parser.add_argument(
        "--api",
        choices=sorted(BODIES),
        default="messages",
        help="whose client asks: Claude Code's (messages, the default) or Codex's (responses)",
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: no p99, wider errors")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every raw sample here")
    return parser.parse_args(argv)


def _row(name: str, raw: Measured, results: Results) -> Figures:
    added: dict[str, Added] = {}
    if name != DIRECT:
        direct = results.contenders[DIRECT]
        added = {
            body: added_latency(samples, direct.ttft_ms[body])
            for body, samples in raw.ttft_ms.items()
            if samples
        }
    cpu = {
        phase: per_chunk_us(rounds.cpu_s, rounds.chunks)
        for phase, rounds in raw.cpu.items()
        if sum(rounds.chunks)
    }
    run = raw.streams
    small, large = BODIES[results.plan.api]
    return Figures(
        name=name,
        version=raw.version,
        small=added.get(small),
        claude=added.get(large),
        small_us=cpu.get("small"),
        agent_us=cpu.get("agent"),
        burst_us=cpu.get("burst"),
        paced_us=cpu.get("paced"),
        rss_mb=max(raw.rss_mb.values(), default=None),
        streams=(run.asked, run.completed) if run else None,
        streams_wall_s=run.wall_s if run else None,
        streams_ms=run.cpu_s / run.asked * 1e3 if run else None,
        streams_rss_mb=run.rss_mb if run else None,
    )


def _faults(results: Results) -> list[str]:
    found = list(results.ttft_faults)
    for name, raw in results.contenders.items():
        every = [fault for rounds in raw.cpu.values() for fault in rounds.faults]
        every += raw.streams.faults if raw.streams else []
        found += [f"{name}: {fault}" for fault in every]
    if len(found) > _SHOWN_FAULTS:
        return [*found[:_SHOWN_FAULTS], f"and {len(found) - _SHOWN_FAULTS} more"]
    return found
