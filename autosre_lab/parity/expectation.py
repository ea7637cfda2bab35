"""What a recipe's engine should look like, here or in a Pod: command line and environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autosre_lab.chart.from_recipe import ENGINE_KEY
from autosre_lab.parity.environment import ExpectedEnvironment
from autosre_lab.preemption import STATUS_VARIABLE

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["Expectation", "expected_here", "expected_in_pod"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """How an engine should have been started.

    Attributes:
        argv: Its command line.
        environment: Its variables.
    """

    argv: tuple[str, ...]
    environment: ExpectedEnvironment


def expected_in_pod(recipe: Recipe) -> Expectation:
    """Return how the chart starts a recipe's engine.

    Raises:
        RecipeError: The recipe cannot be run as a Pod.
    """
    from autosre_lab.chart import chart_values

    vllm = chart_values(recipe).vllm
    plain = {entry["name"]: str(entry["value"]) for entry in vllm.env if "value" in entry}
    return Expectation(
        argv=tuple(vllm.command), environment=_environment(recipe, plain, allowed=())
    )


def expected_here(recipe: Recipe, *, port: int) -> Expectation:
    """Return how a recipe's engine is started on this machine: a process, or its image.

    Args:
        recipe: What to serve.
        port: Where it listens.

    Raises:
        RecipeError: The recipe says nothing about running as a local process.
    """
    from autosre_lab.errors import RecipeError
    from autosre_lab.local.commands import engine_command, engine_environ, engine_python_path
    from autosre_lab.local.container import (
        container_tool,
        serve_in_container,
        variables_in_container,
    )
    from autosre_lab.provision.engine_environment import engine_python
    from autosre_lab.provision.model_folder import model_folder
    from autosre_lab.recipe import build_runtime_env
    from autosre_lab.settings import paths

    if container_tool(recipe) is not None:
        return Expectation(
            argv=tuple(serve_in_container(recipe, port=port)),
            environment=_environment(recipe, variables_in_container(recipe), allowed=()),
        )
    if recipe.runtime is None:
        raise RecipeError(
            f"recipe {recipe.name} says nothing about running as a local process",
            remedy="compare it with a cluster: --place cluster",
        )
    python = engine_python(recipe)
    secrets = _required(recipe)
    whole = engine_environ(recipe, paths(), python=python, environ={**os.environ, **secrets})
    plain = build_runtime_env(recipe, secrets=secrets)
    # The hook's folder and its status file are elsewhere here than in a Pod.
    here = {**engine_python_path(recipe), STATUS_VARIABLE: whole.get(STATUS_VARIABLE)}
    plain = {name: value for name, value in plain.items() if name not in here}
    plain |= {name: value for name, value in here.items() if value is not None}
    allowed = tuple(name for name in whole if name not in here)
    return Expectation(
        argv=tuple(engine_command(recipe, python=python, model=model_folder(recipe), port=port)),
        environment=_environment(recipe, plain, allowed=allowed),
    )


def _environment(
    recipe: Recipe, plain: dict[str, str], *, allowed: Sequence[str]
) -> ExpectedEnvironment:
    return ExpectedEnvironment(
        set={name: value for name, value in plain.items() if name not in recipe.env.secret},
        secrets={
            # Whoever starts the engine gives it a key of its own making; no recipe knows it.
            ENGINE_KEY: False,
            **{name: secret.required for name, secret in recipe.env.secret.items()},
        },
        unset=recipe.env.unset,
        allowed=allowed,
        ignored=recipe.parity.ignore_env,
    )


def _required(recipe: Recipe) -> dict[str, str]:
    """Return stand-ins: only that a secret is there is compared, never its value."""
    return {name: "-" for name, secret in recipe.env.secret.items() if secret.required}
