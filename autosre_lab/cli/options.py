"""Options and arguments that several commands share, and what a shell completes for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

__all__ = [
    "LEVELS",
    "NOTEBOOK",
    "PORT",
    "RECIPE",
    "SECONDS",
    "SETTING",
    "WORKLOAD",
    "dry_run_option",
    "place_option",
]

PORT = click.IntRange(0, 65535)
SECONDS = click.FloatRange(min=0, min_open=True)
AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def place_option(command: AnyFunction) -> AnyFunction:
    """Give a command ``--place``."""
    return click.option(
        "--place",
        type=click.Choice(["local", "cluster"]),
        help="Where the stack is: processes of this machine, or Pods of the cluster that "
        "KUBECONFIG names. By default where the last stack was started.",
    )(command)


def dry_run_option(command: AnyFunction) -> AnyFunction:
    """Give a command ``--dry-run``."""
    return click.option(
        "--dry-run", is_flag=True, help="Say what would be changed, change nothing."
    )(command)


class _Named(click.ParamType[str]):
    """A name of something that a shell can complete; a path is one as well."""

    def __init__(self, name: str, names: Callable[[], Iterable[str]]) -> None:
        self.name = name
        self._names = names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that begin like what was typed, then files."""
        found = [CompletionItem(one) for one in self._names() if one.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]


class _Levels(click.ParamType[tuple[str, ...]]):
    """Levels of the evaluation, with commas or spaces between; empty for none."""

    name = "levels"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return them, each a level that there is."""
        from autosre_lab.evaluation import LEVELS as KNOWN

        if isinstance(value, tuple):
            return value
        wanted = tuple(str(value).upper().replace(",", " ").split())
        for one in wanted:
            if one not in KNOWN:
                self.fail(f"{one!r} is no level; there are {', '.join(KNOWN)}", param, ctx)
        return wanted


def _recipes() -> Iterable[str]:
    from autosre_lab.recipe import recipe_names

    return recipe_names()


def _notebooks() -> Iterable[str]:
    from autosre_lab.notebooks.shipped import notebook_names

    return [name.partition("_")[2] or name for name in notebook_names()]


def _workloads() -> Iterable[str]:
    from autosre_lab.bench.synthetic import WORKLOADS

    return WORKLOADS


def _settings() -> Iterable[str]:
    from dataclasses import fields

    from autosre_lab.settings import Settings

    return [field.name for field in fields(Settings)]


LEVELS = _Levels()
SETTING = _Named("setting", _settings)
RECIPE = _Named("recipe", _recipes)
NOTEBOOK = _Named("notebook", _notebooks)
WORKLOAD = _Named("workload", _workloads)
