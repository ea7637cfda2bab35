"""Options and arguments that several commands share, and what a shell completes for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

__all__ = ["NOTEBOOK", "PORT", "RECIPE", "SECONDS", "WORKLOAD", "place_option"]

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


def _recipes() -> Iterable[str]:
    from autosre_lab.recipe import recipe_names

    return recipe_names()


def _notebooks() -> Iterable[str]:
    from autosre_lab.notebooks.shipped import notebook_names

    return [name.partition("_")[2] or name for name in notebook_names()]


def _workloads() -> Iterable[str]:
    from autosre_lab.bench.synthetic import WORKLOADS

    return WORKLOADS


RECIPE = _Named("recipe", _recipes)
NOTEBOOK = _Named("notebook", _notebooks)
WORKLOAD = _Named("workload", _workloads)
