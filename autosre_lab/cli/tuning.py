"""`autosre tune`: which settings are faster and still give correct answers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
@explained
def suggest(*, recipe: str) -> None:
    """Print an experiment for RECIPE to start from.

    Example: autosre tune suggest smollm2-135m-cpu > experiment.yaml
    """
    from autosre_lab.recipe.yaml_text import yaml_text
    from autosre_lab.tuning import suggested_experiment

    click.echo(yaml_text(suggested_experiment(recipe)), nl=False)


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
