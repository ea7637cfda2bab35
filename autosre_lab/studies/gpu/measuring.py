"""What is measured on a GPU: its facts, energy, the machine check, loads, the way by the proxy."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec

from autosre_lab.bench.card_text import result_text
from autosre_lab.bench.machine_check import run_machine_check
from autosre_lab.bench.measure import run_benchmark
from autosre_lab.bench.plan import Plan
from autosre_lab.bench.result import Result, save_result
from autosre_lab.bench.slo import parse_slo
from autosre_lab.bench.synthetic import make_workload
from autosre_lab.bench.target import Badge, Protocol, badge_of, target_of
from autosre_lab.metrics import Feed, GpuReader, PowerMeter, Recorder, Sources
from autosre_lab.recipe import Recipe
from autosre_lab.stack import Stack

__all__ = ["check_spread", "energies", "facts", "loads", "proxy_rows"]

_SMI = ("--query-gpu=memory.used,memory.total,power.draw,clocks.sm,utilization.gpu,pstate",)


def facts(stack: Stack, folder: Path) -> dict[str, Any]:
    """Return what NVML says, and nvidia-smi beside it; keep the engine's metrics."""
    headers = {"authorization": f"Bearer {stack.engine_key}"} if stack.engine_key else {}
    text = httpx.get(f"{stack.engine_url}/metrics", headers=headers, trust_env=False).text
    (folder / "metrics.txt").write_text(text, "utf-8")
    reader = GpuReader()
    try:
        found = {
            "reading": msgspec.to_builtins(reader.read()),
            "capabilities": reader.capabilities,
            "driver": reader.driver_version(),
            "nvidia_smi": _smi(*_SMI, "--format=csv"),
        }
    finally:
        reader.close()
    (folder / "nvidia-smi-q.txt").write_text(_smi("-q"), "utf-8")
    return found


def energies(stack: Stack, recipe: Recipe, *, tries: int) -> list[dict[str, float | None]]:
    """Return the energy of the same work several times: by power, and by the GPU's counter."""
    rows: list[dict[str, float | None]] = []
    reader = GpuReader()
    try:
        for _ in range(tries):
            with PowerMeter(reader.power_w, energy_j=reader.energy_j) as meter:
                begin = time.perf_counter_ns()
                run_machine_check(target_of(stack, badge=badge_of(recipe)), tokens=512)
                used = meter.energy(begin, time.perf_counter_ns())
            rows.append(
                {
                    "joules": used.joules if used is not None else None,
                    "counter_j": used.counter_j if used is not None else None,
                    "mean_w": used.mean_w if used is not None else None,
                }
            )
    finally:
        reader.close()
    return rows


def check_spread(stack: Stack, recipe: Recipe, *, tries: int) -> dict[str, Any]:
    """Return the machine check several times on the idle engine, and how often it is suspect."""
    target = target_of(stack, badge=badge_of(recipe))
    checks = [run_machine_check(target) for _ in range(tries)]
    pairs = [(a, b) for at, a in enumerate(checks) for b in checks[at + 1 :]]
    return {
        "step_ms": [round(one.step_s * 1e3, 3) for one in checks],
        "passes_ms": [[round(1e3 * step, 3) for step in one.passes] for one in checks],
        "suspect": sum(b.suspect_after(a) for a, b in pairs),
        "of": len(pairs),
    }


def loads(stack: Stack, recipe: Recipe, folder: Path, *, seconds: float) -> dict[str, Any]:
    """Run a decode and sessions like Claude Code's; keep their cards and a recording.

    Args:
        stack: What runs.
        recipe: What it serves.
        folder: For the cards.
        seconds: Of the sessions.
    """
    window = stack.max_model_len
    sessions = make_workload(
        "cc-session",
        sessions=max(2, int(seconds * 4)),
        scale=0.1,
        context=window,
        turns=12,
        waits=0.0,
    )
    decode = make_workload("decode", requests=4, output_tokens=min(512, window // 4))
    plans = {
        "decode": (decode, Plan()),
        "sessions": (
            sessions,
            Plan(arrivals="closed:8", duration_s=seconds, limits=parse_slo("ttft=2s,tpot=100ms")),
        ),
    }
    found: dict[str, Any] = {}
    recorder = Recorder(
        folder / "recording.jsonl", facts={"command": "python -m autosre_lab.studies.gpu"}
    )
    with recorder, Feed(Sources.of_local_stack(), interval_s=0.5, recorder=recorder):
        for name, (work, plan) in plans.items():
            target = target_of(stack, badge=badge_of(recipe))
            result = run_benchmark(work, target, plan, recipe=recipe)
            save_result(result, folder / f"{name}.json.gz")
            (folder / f"{name}.txt").write_text(result_text(result) + "\n", "utf-8")
            found[name] = _short(result)
    return found


def proxy_rows(stack: Stack, badge: Badge, *, turns: int, streams: int) -> list[dict[str, Any]]:
    """Send the same load to the engine and through the proxy, in turns that change places.

    Args:
        stack: What runs.
        badge: What its numbers are marked with.
        turns: Pairs.
        streams: At the same time.
    """
    rows: list[dict[str, Any]] = []
    orders: tuple[tuple[Protocol, Protocol], ...] = (("chat", "messages"), ("messages", "chat"))
    for turn in range(turns):
        for protocol in orders[turn % 2]:
            work = make_workload(
                "decode", requests=4 * streams, input_tokens=64, output_tokens=256, seed=turn
            )
            plan = Plan(arrivals=f"closed:{streams}", check_tokens=0)
            result = run_benchmark(work, target_of(stack, protocol=protocol, badge=badge), plan)
            rows.append({"protocol": protocol, "streams": streams, **_short(result)})
    return rows


def _short(result: Result) -> dict[str, Any]:
    summary, latency = result.summary, result.summary.latency
    ceiling, server = result.roofline, result.server
    return {
        "requests": summary.requests,
        "failed": summary.failed,
        "good": summary.good_fraction,
        "tok_s": summary.output_tps,
        **{f"{name}_ms": 1e3 * latency[name].p50 for name in ("ttft", "tpot") if name in latency},
        "utilisation": ceiling.utilisation if ceiling is not None else None,
        "frontend_cpu": server.frontend_cpu if server is not None else None,
        "warnings": "; ".join(result.warnings),
    }


def _smi(*arguments: str) -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "nvidia-smi is not here"
    done = subprocess.run(
        [tool, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout or done.stderr
