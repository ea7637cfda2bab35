"""The command line and the environment of a recipe: the single source of truth for both.

Whoever runs the engine, a local process, a chart or a parity check, asks here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from autosre_lab.errors import RecipeError
from autosre_lab.recipe.flags import Flag, FlagTable, load_flag_table
from autosre_lab.recipe.schema import HuggingFaceSource, LocalSource, Recipe

__all__ = [
    "HOOK_FOLDER",
    "HOOK_MODULE",
    "HOOK_VERSIONS",
    "build_runtime_env",
    "build_vllm_serve_cmd",
    "model_argument",
    "serve_args",
]

HOOK_MODULE = "autosre_priority_preempt"
"""The module with the scheduler class of `scheduler.preemption`, as vLLM imports it."""

HOOK_VERSIONS = ("0.24.0", "0.32.0")
"""The versions of vLLM whose scheduler it knows, by the digests of its source."""

HOOK_FOLDER = "/opt/autosre"
"""Where a Pod has it."""


def build_vllm_serve_cmd(
    recipe: Recipe,
    *,
    host: str = "127.0.0.1",
    port: int = 8010,
    model_path: str | os.PathLike[str] | None = None,
    executable: Sequence[str] | None = None,
) -> list[str]:
    """Return the argument list that serves a recipe.

    Args:
        recipe: What to serve.
        host: The address to listen on; this machine's own by default.
        port: The port to listen on; by default the one that a start takes where it is free.
        model_path: A local folder with the weights, in place of the model's name.
        executable: What to run instead of the image's entrypoint (``vllm serve``); the model and
            the flags are appended.

    Raises:
        RecipeError: A flag cannot be expressed for this recipe's vLLM.
    """
    table = load_flag_table(recipe.vllm_version)
    argv = [str(part) for part in (executable or _entrypoint(recipe))]
    argv += [model_argument(recipe) if model_path is None else os.fspath(model_path)]
    argv += ["--host", host, "--port", str(port)]
    args = serve_args(recipe)
    if model_path is not None:
        args.pop("revision", None)  # a folder has none
    for name, value in args.items():
        argv += _render(f"--{name}", value, table)
    for extra in recipe.engine.extra_args:
        argv += extra.argv
    return argv


def build_runtime_env(
    recipe: Recipe,
    *,
    secrets: Mapping[str, str] | None = None,
    hook_folder: str | os.PathLike[str] = HOOK_FOLDER,
) -> dict[str, str]:
    """Return the variables that a recipe sets.

    Args:
        recipe: What to serve.
        hook_folder: Where the module of `scheduler.preemption` is; a Pod's by default.
        secrets: What the operator has, for example ``{"HF_TOKEN": …}``. Only names that the
            recipe declares are taken from it, and only if they are not empty.

    Raises:
        RecipeError: A required secret is not there.
    """
    environment = {name: entry.value for name, entry in recipe.env.set.items()}
    if recipe.scheduler.preemption.mode == "hook":
        already = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(
            [os.fspath(hook_folder), *([already] if already else [])]
        )
    for name, secret in recipe.env.secret.items():
        if value := (secrets or {}).get(name):
            environment[name] = value
        elif secret.required:
            raise RecipeError(
                f"recipe {recipe.name} needs the secret {name}: {secret.reason}",
                remedy=f"set {name} in your environment",
            )
    return environment


def model_argument(recipe: Recipe) -> str:
    """Return what vLLM is told to load where no local folder is given."""
    source = recipe.model.source
    return source.path if isinstance(source, LocalSource) else recipe.model.repo


def serve_args(recipe: Recipe) -> dict[str, JsonValue]:
    """Return every flag of a recipe but host and port: those that other keys decide come first."""
    model, derived = recipe.model, dict[str, JsonValue]()
    if model.revision is not None and isinstance(model.source, HuggingFaceSource):
        derived["revision"] = model.revision
    derived["served-model-name"] = list(model.served_names)
    derived["max-model-len"] = model.context
    derived["scheduling-policy"] = recipe.scheduler.policy
    if recipe.latency.max_step_tokens is not None:
        derived["max-num-batched-tokens"] = recipe.latency.max_step_tokens
    args = {**derived, **recipe.engine.args}
    if recipe.scheduler.preemption.mode == "hook":
        args |= _hook_args(recipe)
    return args


def _hook_args(recipe: Recipe) -> dict[str, JsonValue]:
    args: dict[str, JsonValue] = {"scheduler-cls": f"{HOOK_MODULE}.make_scheduler"}
    options = recipe.scheduler.preemption.options.model_dump(exclude_none=True)
    if options:
        others = recipe.engine.args.get("additional-config")
        args["additional-config"] = {
            **(others if isinstance(others, dict) else {}),
            "autosre_preempt": options,
        }
    return args


def _entrypoint(recipe: Recipe) -> tuple[str, ...]:
    return recipe.image.entrypoint if recipe.image is not None else ("vllm", "serve")


def _render(option: str, value: JsonValue, table: FlagTable | None) -> list[str]:
    if value is None:
        return []
    found = table.find(option) if table is not None else None
    flag = found[0] if found else None
    if value is True:
        return [option]
    if value is False:
        if flag is not None and flag.kind != "pair":
            raise RecipeError(
                f"engine.args.{option[2:]}: vLLM {table.version if table else ''} has no "
                f"--no-{option[2:]}",
                remedy="leave the key out, or write null to undo an inherited true",
            )
        return [f"--no-{option[2:]}"]
    if isinstance(value, list):
        return _render_list(option, value, flag)
    return _option(option, _text(value))


def _render_list(option: str, values: list[JsonValue], flag: Flag | None) -> list[str]:
    if flag is not None and flag.kind == "append":
        return [part for value in values for part in _option(option, _text(value))]
    if flag is not None and flag.type in ("json", "json_or_str") and flag.nargs is None:
        return _option(option, _text(values))
    return [option, *(_text(value) for value in values)]


def _option(option: str, text: str) -> list[str]:
    # argparse takes a separate text that starts with a dash for another option.
    return [f"{option}={text}"] if text.startswith("-") else [option, text]


def _text(value: JsonValue) -> str:
    if isinstance(value, str):
        return value
    # One spelling per value, so that two renderings compare as texts.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
