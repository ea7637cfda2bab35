"""One run of the proxy benchmark: start every contender, measure in turns, end them all."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autosre_lab import __version__
from autosre_lab.bench.processes import free_port, running
from autosre_lab.errors import ConfigError
from autosre_lab.progress import step
from autosre_lab.settings import paths
from autosre_lab.studies.proxy_overhead.bodies import BODIES, body_named
from autosre_lab.studies.proxy_overhead.load import LoadTarget
from autosre_lab.studies.proxy_overhead.phases import (
    Burst,
    Lane,
    StreamRun,
    Throughput,
    measure_cpu,
    measure_streams,
    measure_ttft,
)
from autosre_lab.studies.proxy_overhead.rivals import (
    Contender,
    as_responses,
    clean_environment,
    own_proxy,
    rival,
)

__all__ = [
    "DEFAULT",
    "DIRECT",
    "OURS",
    "QUICK",
    "Measured",
    "Results",
    "StudyPlan",
    "run_benchmark",
]

DIRECT = "direct"
"""Name of the way without a proxy; its process is the upstream itself."""

OURS = "autosre"
BEFORE = "before"
SCHEMA = "autosre.proxy-overhead/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """How much is measured.

    Attributes:
        ttft_rounds: Requests of each body through each contender; a p99 needs 1,000.
        ttft_warm_up: Rounds before them.
        ttft_chunks: Chunks of these answers; one is enough for a first token.
        cpu_rounds: Rounds of each of the four CPU phases, beyond a warm-up.
        requests: One round of answers of one chunk, one request at a time.
        burst: One round of chunks as fast as they are taken.
        paced: One round of chunks at a fixed pace.
        pace_ms: That pace.
        streams: Streams at the same time, at the end.
        streams_pace_ms: Their pace.
        api: The API that is asked: messages or responses.
    """

    ttft_rounds: int
    ttft_warm_up: int
    ttft_chunks: int
    cpu_rounds: int
    requests: Burst
    burst: Burst
    paced: Burst
    pace_ms: int
    streams: Burst
    streams_pace_ms: int
    api: str = "messages"


DEFAULT = StudyPlan(
    ttft_rounds=1000,
    ttft_warm_up=50,
    ttft_chunks=3,
    cpu_rounds=5,
    requests=Burst(requests=100, concurrency=1, chunks=1),
    burst=Burst(requests=32, concurrency=8, chunks=200),
    paced=Burst(requests=32, concurrency=16, chunks=200),
    pace_ms=10,
    streams=Burst(requests=500, concurrency=500, chunks=50),
    streams_pace_ms=100,
)
QUICK = StudyPlan(
    ttft_rounds=100,
    ttft_warm_up=10,
    ttft_chunks=3,
    cpu_rounds=4,
    requests=Burst(requests=50, concurrency=1, chunks=1),
    burst=Burst(requests=16, concurrency=8, chunks=200),
    paced=Burst(requests=16, concurrency=16, chunks=200),
    pace_ms=10,
    streams=Burst(requests=500, concurrency=500, chunks=20),
    streams_pace_ms=100,
)


@dataclass(slots=True, kw_only=True)
class Measured:
    """Everything raw about one contender.

    Attributes:
        version: Of it.
        ttft_ms: Times to first text by body, one a round, the same rounds for all contenders.
        cpu: Rounds of the CPU phases: "small", "agent", "burst" and "paced".
        rss_mb: Resident memory by the phase it was read after.
        streams: What came of the concurrent streams.
    """

    version: str
    ttft_ms: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, Throughput] = field(default_factory=dict)
    rss_mb: dict[str, float] = field(default_factory=dict)
    streams: StreamRun | None = None


@dataclass(slots=True, kw_only=True)
class Results:
    """A whole run: when, where, how much, and what came out."""

    date: str
    machine: dict[str, Any]
    plan: StudyPlan
    contenders: dict[str, Measured]
    ttft_faults: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """Return everything, raw samples included, as JSON."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1)


def run_benchmark(
    plan: StudyPlan,
    *,
    rivals: Sequence[str] = (),
    against: Path | None = None,
    data: Path | None = None,
    run_folder: Path,
) -> Results:
    """Start everything, measure, and end everything.

    Args:
        plan: How much is measured.
        rivals: Which rivals take part besides our proxy; they must be installed.
        against: Another checkout of this project, whose proxy takes part too.
        data: The data folder; the configured one when None.
        run_folder: Where logs, configurations and request logs of this run go.

    Raises:
        ConfigError: A rival is unknown or not installed, or `against` is no checkout.
        ServiceCrashedError: A contender ended instead of serving.
        EngineError: A contender does not serve in time.
    """
    import uvloop

    with contextlib.ExitStack() as stack:
        contenders = _contenders(rivals, against, data or paths().data, run_folder)
        lanes = _start(contenders, plan.api, run_folder, stack)
        results = Results(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=_machine(),
            plan=plan,
            contenders={
                lane.name: Measured(version=contender.version)
                for lane, contender in zip(lanes, contenders, strict=True)
            },
        )
        uvloop.run(_measure(plan, lanes, results))
        results.machine["load_average_after"] = os.getloadavg()
    return results


def _contenders(
    rivals: Sequence[str], against: Path | None, data: Path, run_folder: Path
) -> list[Contender]:
    upstream_port = free_port()
    found = [
        Contender(
            name=DIRECT,
            version="",
            argv=[
                *(sys.executable, "-m", "autosre_lab.studies.proxy_overhead.load_engine"),
                str(upstream_port),
            ],
            env=clean_environment(run_folder, PYTHONPATH=str(Path(__file__).resolve().parents[3])),
            files={},
            target=LoadTarget(
                port=upstream_port, path="/v1/chat/completions", headers={}, end=b"data: [DONE]"
            ),
            ready_path="/health",
        ),
        own_proxy(
            version=__version__,
            run_folder=run_folder,
            port=free_port(),
            upstream_port=upstream_port,
        ),
    ]
    if against is not None:
        if not (against / "autosre_lab" / "proxy" / "__main__.py").is_file():
            raise ConfigError(
                f"{against} holds no checkout of this project",
                remedy="make one: git worktree add FOLDER COMMIT",
            )
        found.append(
            own_proxy(
                name=BEFORE,
                version=f"({against.name})",
                checkout=against.resolve(),
                run_folder=run_folder,
                port=free_port(),
                upstream_port=upstream_port,
            )
        )
    for name in rivals:
        home = run_folder / name
        home.mkdir(parents=True, exist_ok=True)
        found.append(
            rival(name, data=data, run_folder=home, port=free_port(), upstream_port=upstream_port)
        )
    return found


def _start(
    contenders: Sequence[Contender], api: str, run_folder: Path, stack: contextlib.ExitStack
) -> list[Lane]:
    # 500 streams are 500 descriptors here and 1,000 in a proxy; children inherit the limit.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
    lanes = []
    for contender in contenders:
        for file, text in contender.files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        process = stack.enter_context(
            running(
                contender.name,
                contender.argv,
                env=contender.env,
                log=run_folder / f"{contender.name}.log",
                port=contender.target.port,
                ready_path=contender.ready_path,
            )
        )
        direct = contender.name == DIRECT
        target = contender.target
        if api == "responses" and not direct:
            target = as_responses(target)
        lanes.append(Lane(contender.name, target, process, direct=direct))
    return lanes


async def _measure(plan: StudyPlan, lanes: Sequence[Lane], results: Results) -> None:
    small, large = BODIES[plan.api]
    for name in (small, large):
        body = body_named(name, chunks=plan.ttft_chunks, interval_ms=0)
        rounds = plan.ttft_warm_up + plan.ttft_rounds
        with step(f"Added TTFT, {name} body", total=rounds, unit="round") as bar:
            samples, faults = await measure_ttft(
                lanes,
                body,
                rounds=plan.ttft_rounds,
                warm_up=plan.ttft_warm_up,
                progress=bar.advance,
            )
        results.ttft_faults += faults
        for lane in lanes:
            results.contenders[lane.name].ttft_ms[name] = samples[lane.name]
    _weigh(lanes, results, "ttft")
    for name, of, burst, pace_ms in (
        ("small", small, plan.requests, 0),
        ("agent", large, plan.requests, 0),
        ("burst", small, plan.burst, 0),
        ("paced", small, plan.paced, plan.pace_ms),
    ):
        body = body_named(of, chunks=burst.chunks, interval_ms=pace_ms)
        with step(f"CPU time, {name}", total=plan.cpu_rounds + 1, unit="round") as bar:
            found = await measure_cpu(
                lanes, body, burst, rounds=plan.cpu_rounds, progress=bar.advance
            )
        for lane in lanes:
            results.contenders[lane.name].cpu[name] = found[lane.name]
        _weigh(lanes, results, name)
    body = body_named(small, chunks=plan.streams.chunks, interval_ms=plan.streams_pace_ms)
    with step(f"{plan.streams.concurrency} streams at once", total=len(lanes)) as bar:
        for lane in lanes:
            bar.note(lane.name)
            results.contenders[lane.name].streams = await measure_streams(lane, body, plan.streams)
            bar.advance()


def _weigh(lanes: Sequence[Lane], results: Results, phase: str) -> None:
    for lane in lanes:
        results.contenders[lane.name].rss_mb[phase] = lane.process.rss_mb()


def _machine() -> dict[str, Any]:
    node = shutil.which("node")
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "cpu": _cpu_model(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "node": _first_line([node, "--version"]) if node else None,
        "load_average": os.getloadavg(),
    }


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line)
    return next(names, platform.machine())


def _first_line(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=10)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "unknown"
