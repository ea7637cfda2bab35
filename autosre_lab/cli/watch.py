"""`autosre watch` and `autosre metrics`: the running stack, live."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autosre_lab.cli.explained import explained
from autosre_lab.cli.options import place_option
from autosre_lab.cli.output import Format, output_option, show

if TYPE_CHECKING:
    from autosre_lab.metrics import Sources

__all__ = ["metrics", "watch"]

_TAIL_BYTES = 16 << 10
_ONCE_PATIENCE_S = 10.0


@click.command()
@place_option
@click.option("--engine", metavar="URL", help="A vLLM, instead of the stack's.")
@click.option(
    "--request-log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A proxy's request log, instead of the stack's.",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    metavar="S",
    help="Seconds between polls.",
)
@click.option(
    "--window",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    metavar="S",
    help="Seconds that the rates on the screen cover.",
)
@click.option("--once", is_flag=True, help="Poll twice, print, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print samples as JSON, one line each.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append each sample to a file as well.",
)
@click.option(
    "--bandwidth", type=float, metavar="GB/S", help="The memory's bandwidth, for its utilisation."
)
@click.option(
    "--step-bytes",
    type=float,
    metavar="GB",
    help="GB read per decode step; with --bandwidth it gives memory-bandwidth utilisation.",
)
@click.option("--seconds", type=float, metavar="S", help="End after that time.")
@explained
def watch(
    *,
    place: str | None,
    engine: str | None,
    request_log: Path | None,
    interval: float,
    window: float,
    once: bool,
    as_json: bool,
    record: Path | None,
    bandwidth: float | None,
    step_bytes: float | None,
    seconds: float | None,
) -> None:
    """Watch the stack: engine, requests, GPU, host, and the bottleneck.

    Where the output is no terminal, a line is printed for each poll.

    Example: autosre watch --once --json
    """
    from rich.console import Console

    from autosre_lab.metrics import Feed, Recorder
    from autosre_lab.metrics.watch import StackView, watch_live, watch_once

    other: dict[str, Any] = {"request_tail_bytes": _TAIL_BYTES}
    if once:
        # Nothing else is waiting to be shown: a busy engine gets its time.
        other["patience_s"] = _ONCE_PATIENCE_S
    if bandwidth is not None:
        other["bandwidth_bytes_per_s"] = bandwidth * 1e9
    if step_bytes is not None:
        other["step_bytes"] = step_bytes * 1e9
    sources = _sources(place, engine, request_log, other)
    recorder = Recorder(record, facts={"command": "autosre watch"}) if record else None
    with recorder if recorder is not None else nullcontext():
        feed = Feed(sources, interval_s=interval, recorder=recorder)
        view = StackView(feed, window_s=window, recording=str(record or ""))
        try:
            if once:
                sample = watch_once(feed, interval_s=interval)
                if as_json:
                    _print_sample(sample, indent=2)
                else:
                    for one in feed.history():
                        view.take(one)
                    console = Console()
                    console.print(view.screen(console.width))
            elif as_json:
                with feed:
                    for sample in feed.stream(seconds=seconds):
                        _print_sample(sample)
            else:
                watch_live(feed, view, seconds=seconds)
        except KeyboardInterrupt:
            click.echo()
        finally:
            feed.stop()


@click.group()
def metrics() -> None:
    """Show what is measured, or export it.

    Example: autosre metrics grafana --out dashboard.json
    """


@metrics.command("list")
@output_option
@explained
def list_metrics(*, output: Format) -> None:
    """List all metrics: what they mean and how they are computed.

    Example: autosre metrics list
    """
    from autosre_lab.metrics import CATALOGUE

    def text() -> str:
        lines = []
        section = ""
        for metric in CATALOGUE:
            if metric.section != section:
                section = metric.section
                lines.append(f"\n{section}")
            unit = f" [{metric.unit}]" if metric.unit else ""
            lines.append(f"  {metric.key}{unit}: {metric.title}")
            lines.append(f"      {metric.meaning}")
            lines.append(f"      = {metric.source}")
        return "\n".join(lines)

    show(list(CATALOGUE), output=output, text=text)


@metrics.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file.")
@click.option(
    "--bandwidth",
    type=float,
    default=273.0,
    show_default=True,
    metavar="GB/S",
    help="The memory's bandwidth.",
)
@explained
def grafana(*, out: Path | None, bandwidth: float) -> None:
    """Print a dashboard for Grafana 11 or later, made from the same list.

    Example: autosre metrics grafana --out dashboard.json
    """
    from autosre_lab.metrics import grafana_dashboard
    from autosre_lab.private_files import write_whole

    text = json.dumps(grafana_dashboard(bandwidth_bytes_per_s=bandwidth * 1e9), indent=2)
    if out is None:
        click.echo(text)
        return
    write_whole(out, text + "\n")
    click.echo(f"{out}: in Grafana, Dashboards > New > Import")


def _sources(
    place: str | None, engine: str | None, request_log: Path | None, other: dict[str, Any]
) -> Sources:
    from autosre_lab.lifecycle import stack_sources
    from autosre_lab.metrics import Sources

    if request_log is not None:
        other["request_log"] = request_log
    if engine is not None:
        from autosre_lab.metrics import Limits

        # Another engine's limits are not those of the stack's recipe.
        return Sources.of_local_stack(
            **other, engine_url=engine, engine_key=_key_of_environment, limits=Limits
        )
    return stack_sources(place=place, **other)


def _print_sample(sample: Any, *, indent: int = 0) -> None:
    import msgspec

    encoded = msgspec.json.encode(sample)
    click.echo(msgspec.json.format(encoded, indent=indent) if indent else encoded)


def _key_of_environment() -> str | None:
    import os

    return os.environ.get("AUTOSRE_ENGINE_KEY")
