"""`autosre eval`: does the running model still answer correctly?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autosre_lab.cli.explained import FAILED, explained
from autosre_lab.cli.options import LEVELS, place_option
from autosre_lab.cli.output import Format, output_option, show

if TYPE_CHECKING:
    from autosre_lab.evaluation import EvaluationResult
    from autosre_lab.evaluation.result import EvaluationComparison

__all__ = ["evaluation"]

_FILE = click.Path(dir_okay=False, path_type=Path)
_MARKS = {True: "passed", False: "FAILED", None: "not told"}


@click.group("eval")
def evaluation() -> None:
    """Evaluate the model that runs: API, cache path, code, tasks.

    Example: autosre eval run --levels L0,L1
    """


@evaluation.command()
@click.option(
    "--levels",
    type=LEVELS,
    metavar="LEVELS",
    default="L0,L1",
    show_default=True,
    help="Of L0, L1, L2, L3, with commas between.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="So many scenarios of L2 and problems of L3."
)
@click.option("--tasks", type=_FILE, help="L4: a file of your own tasks.")
@click.option("--out", type=_FILE, help="Write the evaluation here.")
@click.option("--journal", type=_FILE, help="Keep each case of L2 and L3 here, and go on from it.")
@click.option("--allow-unsafe", is_flag=True, help="Run a model's code without isolation.")
@place_option
@output_option
@explained
def run(
    *,
    place: str | None,
    output: Format,
    levels: tuple[str, ...],
    limit: int | None,
    tasks: Path | None,
    out: Path | None,
    journal: Path | None,
    allow_unsafe: bool,
) -> None:
    """Evaluate, and end with 1 if the protocol or the cache path fails.

    Example: autosre eval run --levels L0,L1,L3 --limit 20 --out before.json
    """
    import msgspec

    from autosre_lab.bench.target import badge_of, target_of
    from autosre_lab.evaluation import evaluate, evaluate_tasks, load_tasks, save_evaluation
    from autosre_lab.lifecycle import wait_ready
    from autosre_lab.recipe import load_recipe

    own = load_tasks(tasks) if tasks is not None else []
    stack = wait_ready(place=place)
    recipe = stack.recipe or load_recipe(stack.recipe_name)
    result = evaluate(
        target_of(stack, badge=badge_of(recipe)),
        levels=levels,
        limit=limit,
        recipe=recipe,
        window=stack.max_model_len,
        journal=journal,
        allow_unsafe=allow_unsafe,
    )
    if own:
        found = evaluate_tasks(own, stack, allow_unsafe=allow_unsafe)
        result = msgspec.structs.replace(result, checks=(*result.checks, *found))
    if out is not None:
        save_evaluation(result, out)
    show(result, output=output, text=lambda: evaluation_text(result), rows=result.checks)
    if any(one.passed is False and one.level in ("L0", "L1") for one in result.checks):
        raise click.exceptions.Exit(FAILED)


@evaluation.command("show")
@click.argument("file", type=_FILE)
@output_option
@explained
def show_evaluation(*, file: Path, output: Format) -> None:
    """Show the evaluation in FILE.

    Example: autosre eval show before.json
    """
    from autosre_lab.evaluation import load_evaluation

    result = load_evaluation(file)
    show(result, output=output, text=lambda: evaluation_text(result), rows=result.checks)


@evaluation.command()
@click.argument("a", type=_FILE)
@click.argument("b", type=_FILE)
@output_option
@explained
def compare(*, a: Path, b: Path, output: Format) -> None:
    """Compare two evaluations case by case, with McNemar's exact test.

    Example: autosre eval compare before.json after.json
    """
    from autosre_lab.evaluation import compare_evaluations, load_evaluation

    rows = compare_evaluations(load_evaluation(a), load_evaluation(b))
    show(rows, output=output, text=lambda: comparison_text(rows, a.name, b.name))


def comparison_text(rows: Sequence[EvaluationComparison], a: str, b: str) -> str:
    """Return two evaluations as a table, and the cases that only one of them passed."""
    from autosre_lab.bench.card_text import text_table

    head = ["level", "cases", a, b, "only first", "only second", "p", "second"]
    table = text_table(
        head,
        [
            [
                *(row.level, str(row.n), str(row.a), str(row.b)),
                *(str(len(row.only_a)), str(len(row.only_b)), f"{row.p:.3g}", row.verdict),
            ]
            for row in rows
        ],
    )
    only = [
        f"{row.level}, only the {name}: {_some(cases)}"
        for row in rows
        for name, cases in (("first", row.only_a), ("second", row.only_b))
        if cases
    ]
    return "\n".join([table, *only])


def evaluation_text(result: EvaluationResult) -> str:
    """Return an evaluation: each level's rate, then what did not pass."""
    from autosre_lab.badges import BADGES
    from autosre_lab.bench.card_text import text_table

    rows = []
    for level in result.levels:
        low_high = level.interval
        rate = "n/a" if not level.n else f"{level.passed / level.n:.0%}"
        interval = "n/a" if low_high is None else f"{low_high[0]:.0%} to {low_high[1]:.0%}"
        rows.append(
            [level.level, str(level.passed), str(level.n), str(level.untold), rate, interval]
        )
    shown = [
        f"{one.level} {_MARKS[one.passed]}: {one.name}" + (f" ({one.detail})" if one.detail else "")
        for one in result.checks
        if one.level != "L3" or one.passed is None
    ]
    notes = "; ".join([f"measured on: {BADGES[result.badge]}", *result.notes])
    table = text_table(["level", "passed", "of", "not told", "rate", "95 % interval"], rows)
    return f"{result.id}, {result.at}, {result.model}, {result.seconds:.0f} s; {notes}\n\n" + (
        "\n\n".join([table, "\n".join(shown)])
    )


def _some(cases: Sequence[str]) -> str:
    shown = ", ".join(cases[:8])
    return shown if len(cases) <= 8 else f"{shown} and {len(cases) - 8} more"
