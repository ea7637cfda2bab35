"""`autosre bench`: measure, look, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autosre_lab.cli.explained import explained
from autosre_lab.cli.options import WORKLOAD, place_option
from autosre_lab.cli.output import Format, output_option, show
from autosre_lab.errors import ConfigError

if TYPE_CHECKING:
    from autosre_lab.bench.result import Result
    from autosre_lab.bench.running_stack import Served
    from autosre_lab.bench.workload import Workload

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure a running stack, with all that is needed to measure it again.

    Example: autosre bench run decode --out a.json
    """


@bench.command()
@output_option
@explained
def workloads(*, output: Format) -> None:
    """List the workloads and their parameters.

    Example: autosre bench workloads
    """
    from autosre_lab.bench.synthetic import describe_workloads, workload_rows

    show(workload_rows(), output=output, text=describe_workloads)


@bench.command()
@click.argument("workload", default="smoke", type=WORKLOAD)
@click.option(
    "-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="Of the workload."
)
@click.option("--seed", default=0, show_default=True, help="What the workload is drawn from.")
@click.option(
    "--arrivals",
    default="closed:1",
    show_default=True,
    help="closed:USERS, constant:RATE, poisson:RATE, gamma:RATE:BURSTINESS, "
    "ramp:RATE:RATE:SECONDS or recorded.",
)
@click.option("--concurrency", type=click.IntRange(min=1), help="Short for --arrivals closed:N.")
@click.option(
    "--request-rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Short for --arrivals poisson:RATE, in sessions a second.",
)
@click.option(
    "--cache",
    type=click.Choice(["cold", "warm"]),
    default="cold",
    show_default=True,
    help="Prefix cache as a session begins.",
)
@click.option(
    "--api",
    type=click.Choice(["messages", "chat", "responses"]),
    default="messages",
    show_default=True,
    help="Messages goes through the proxy, the others to the engine.",
)
@click.option("--url", help="Measure this address instead of the running stack.")
@click.option("--model", help="With --url: the model's name.")
@click.option("--token-env", help="With --url: the environment variable that holds its token.")
@click.option("--engine-url", help="With --url: the vLLM behind it, whose /metrics are read.")
@click.option("--gpu", "gpu_name", help="The GPU's name, for the roofline; found by itself here.")
@click.option("--slo", default="", help="Limits of a good request, like ttft=2s,tpot=50ms.")
@click.option("--warmup", "warmup_s", default=0.0, help="Leave out the first seconds.")
@click.option("--duration", "duration_s", type=float, help="Start nothing after these seconds.")
@click.option("--no-machine-check", is_flag=True, help="Skip the fixed work before and after.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the result card here."
)
@place_option
@output_option
@explained
def run(
    *, workload: str, parameters: tuple[str, ...], seed: int, output: Format, **options: Any
) -> None:
    """Measure WORKLOAD: a name, a saved workload, a weka trace, or Claude Code's transcript.

    Example: autosre bench run cc-session -p scale=0.05 --arrivals closed:2 --out a.json
    """
    from autosre_lab.bench.card_text import result_text
    from autosre_lab.bench.plan import Plan
    from autosre_lab.bench.result import save_result
    from autosre_lab.bench.running_stack import measure
    from autosre_lab.bench.slo import parse_slo
    from autosre_lab.bench.synthetic import named_parameters

    plan = Plan(
        arrivals=_arrivals(options),
        cache=options["cache"],
        warmup_s=options["warmup_s"],
        duration_s=options["duration_s"],
        limits=parse_slo(options["slo"]),
        check_tokens=0 if options["no_machine_check"] else None,
        gpu=options["gpu_name"],
    )
    _ = plan.parsed_arrivals  # a slip of the finger is told before anything is waited for
    work = _workload(workload, seed, named_parameters(parameters))
    result = measure(work, plan, of=_served(options))
    if options["out"] is not None:
        save_result(result, options["out"])
    show(result, output=output, text=lambda: result_text(result), rows=[result.summary])
    if result.summary.failed == result.summary.requests:
        raise click.exceptions.Exit(1)


@bench.command()
@click.argument("transcript", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--session", help="A session's id in the request log; the last one by default.")
@click.option(
    "--log", type=click.Path(dir_okay=False, path_type=Path), help="Another stack's request log."
)
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The trace."
)
@explained
def export(*, transcript: Path | None, session: str | None, log: Path | None, out: Path) -> None:
    """Write a session as a weka v1 trace: sizes and times, no contents.

    The session is Claude Code's TRANSCRIPT, or one of the proxy's request log. `autosre bench run`
    sends the trace again, and so does aiperf.

    Example: autosre bench export --out session.json
    """
    from autosre_lab.bench.recorded import (
        read_transcript,
        sessions_in_request_log,
        weka_trace,
        write_weka,
    )

    if transcript is not None:
        recorded = read_transcript(transcript)
    else:
        sessions = sessions_in_request_log(log or _request_log())
        wanted = [one for one in sessions if session is None or one.id == session]
        if not wanted:
            known = ", ".join(one.id for one in sessions)
            raise ConfigError(f"no session {session!r}", remedy=f"the log has {known}")
        recorded = wanted[-1]
    write_weka(weka_trace(recorded), out)
    click.echo(f"{out}: session {recorded.id}, {len(recorded.requests)} requests")


@bench.command("show")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@output_option
@explained
def show_result(*, file: Path, output: Format) -> None:
    """Show the result card in FILE.

    Example: autosre bench show a.json
    """
    from autosre_lab.bench.card_text import result_text

    result = _load(file)
    show(result, output=output, text=lambda: result_text(result), rows=[result.summary])


@bench.command()
@click.argument("a", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("b", type=click.Path(dir_okay=False, path_type=Path))
@output_option
@explained
def compare(*, a: Path, b: Path, output: Format) -> None:
    """Compare two results of the same work: what differs first, then the figures.

    Example: autosre bench compare a.json b.json
    """
    from autosre_lab.bench.card_text import comparison_text
    from autosre_lab.bench.comparison import compare_results

    found = compare_results(_load(a), _load(b))
    show(found, output=output, text=lambda: comparison_text(found), rows=found.rows)


def _arrivals(options: dict[str, Any]) -> str:
    short = {
        "--concurrency": ("closed", options["concurrency"]),
        "--request-rate": ("poisson", options["request_rate"]),
    }
    given = [f"{kind}:{value:g}" for kind, value in short.values() if value is not None]
    if options["arrivals"] != "closed:1":
        given.append(options["arrivals"])
    if len(given) > 1:
        raise ConfigError(
            f"{' and '.join(given)} are two ways for sessions to arrive",
            remedy=f"give one of --arrivals, {' and '.join(short)}",
        )
    return given[0] if given else "closed:1"


def _load(file: Path) -> Result:
    from autosre_lab.bench.result import load_result

    return load_result(file)


def _request_log() -> Path:
    from autosre_lab.lifecycle import wait_ready

    stack = wait_ready()
    if stack.request_log is None:
        raise ConfigError(
            "the proxy of a cluster keeps its request log in its Pod",
            remedy="copy it from there and name it with --log, or give a transcript",
        )
    return stack.request_log


def _workload(name: str, seed: int, parameters: dict[str, Any]) -> Workload:
    import json

    from autosre_lab.bench.recorded import (
        read_weka,
        workload_from_transcript,
        workload_from_weka,
    )
    from autosre_lab.bench.synthetic import load_workload, make_workload

    file = Path(name)
    if file.suffix == ".jsonl":
        return workload_from_transcript(file, seed=seed)
    if file.suffix != ".json":
        return make_workload(name, seed=seed, **parameters)
    try:
        trace = "hash_id_scope" in json.loads(file.read_bytes())
    except (OSError, ValueError):
        trace = False
    if not trace:
        return load_workload(file)
    scale = float(parameters.pop("scale", 1.0))
    return workload_from_weka(read_weka(file), scale=scale)


def _served(options: dict[str, Any]) -> Served:
    import os

    from autosre_lab.bench.running_stack import Served, what_runs
    from autosre_lab.bench.target import Target

    if not options["url"]:
        return what_runs(options["api"], place=options["place"])
    if not options["model"]:
        raise ConfigError("--url needs a model's name", remedy="add --model NAME")
    variable = options["token_env"]
    if variable and variable not in os.environ:
        raise ConfigError(f"${variable} is not set", remedy=f"export {variable}=…")
    return Served(
        Target(
            url=options["url"],
            protocol=options["api"],
            model=options["model"],
            token=os.environ[variable] if variable else None,
            engine_url=options["engine_url"],
            engine_key=os.environ.get("AUTOSRE_ENGINE_KEY"),
            badge="gpu" if options["gpu_name"] else "unknown",
        )
    )
