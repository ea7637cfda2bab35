"""`autosre tune`: which settings are faster and still give correct answers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from autosre_lab.cli.explained import explained
from autosre_lab.cli.options import RECIPE
from autosre_lab.cli.output import Format, output_option, show

__all__ = ["tune"]

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def tune() -> None:
    """Find settings that are faster and still give correct answers.

    Example: autosre tune suggest smollm2-135m-cpu > experiment.yaml
    """


@tune.command()
@click.argument("recipe", type=RECIPE)
@click.option("--deferred", metavar="KNOB", help="One that `autosre tune deferred` lists.")
@explained
def suggest(*, recipe: str, deferred: str | None) -> None:
    """Print an experiment for RECIPE to start from.

    Example: autosre tune suggest smollm2-135m-cpu > experiment.yaml
    """
    from autosre_lab.recipe.yaml_text import yaml_text
    from autosre_lab.tuning import deferred_experiment, suggested_experiment

    tree = deferred_experiment(deferred, recipe) if deferred else suggested_experiment(recipe)
    click.echo(yaml_text(tree), nl=False)


@tune.command("deferred")
@click.argument("recipe", type=RECIPE, required=False)
@output_option
@explained
def show_deferred(*, recipe: str | None, output: Format) -> None:
    """Show which knobs no recipe turns yet, why, and what it takes to try them with RECIPE.

    Example: autosre tune deferred qwen3.8-27b-nvfp4
    """
    from autosre_lab.tuning import deferred_rows

    rows = deferred_rows(recipe)
    show(rows, output=output, text=lambda: "\n\n".join(_deferred(one, recipe) for one in rows))


def _deferred(row: dict[str, Any], recipe: str | None) -> str:
    lines = [f"{row['name']}: {row['what']}", f"  why not yet: {row['reason']}"]
    lines += [f"    {one}" for one in row["sources"]]
    lines.append(f"  gate: {row['gate']}")
    if recipe is None:
        return "\n".join(lines)
    if row["unfit"]:
        return "\n".join([*lines, f"  not with {recipe}: {row['unfit']}"])
    lines += [f"  lint refuses {values}: {why}" for values, why in row["refused"].items()]
    if row["trials"]:
        lines.append(
            f"  {row['trials']} trials: autosre tune suggest {recipe} --deferred {row['name']} "
            "> experiment.yaml; autosre tune run experiment.yaml"
        )
    return "\n".join(lines)


@tune.command()
@click.argument("experiment", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--folder", type=_FOLDER, help="Journal and results; beside the file by default.")
@explained
def run(*, experiment: Path, folder: Path | None) -> None:
    """Run the EXPERIMENT, or continue it where it was interrupted.

    Example: autosre tune run experiment.yaml
    """
    from autosre_lab.tuning import (
        LiveBench,
        LiveOperator,
        experiment_in,
        experiment_text,
        live_gate,
        load_experiment,
        run_experiment,
    )

    loaded = load_experiment(experiment)
    where = folder or experiment.with_suffix("")
    with _put_back_when_told_to_end():
        run_experiment(
            loaded,
            where,
            LiveOperator(loaded, where),
            LiveBench(loaded),
            live_gate if loaded.gate else None,
        )
    click.echo(experiment_text(*experiment_in(where)))


@tune.command("show")
@click.argument("folder", type=_FOLDER)
@output_option
@explained
def show_trials(*, folder: Path, output: Format) -> None:
    """Show the trials in FOLDER.

    Example: autosre tune show experiment
    """
    from autosre_lab.tuning import experiment_in, experiment_text

    experiment, journal = experiment_in(folder)
    show(journal.trials, output=output, text=lambda: experiment_text(experiment, journal))


@tune.command("promote")
@click.argument("folder", type=_FOLDER)
@click.option("--name", help="Of the new recipe.")
@explained
def promote_winner(*, folder: Path, name: str | None) -> None:
    """Write the winner in FOLDER as a recipe, with its evidence.

    Example: autosre tune promote experiment --name faster
    """
    from autosre_lab.tuning import promote

    click.echo(str(promote(folder, name=name)))


@contextmanager
def _put_back_when_told_to_end() -> Iterator[None]:
    """Let SIGTERM, and a terminal that is closed, end an experiment as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # What is ignored, as under nohup, stays so.
    numbers = [
        one
        for one in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(one) is not signal.SIG_IGN
    ]
    before = {one: signal.signal(one, interrupt) for one in numbers}
    try:
        yield
    finally:
        for one, earlier in before.items():
            signal.signal(one, earlier)
