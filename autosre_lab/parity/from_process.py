"""A recipe out of a command line and an environment: the fastest way to adopt what runs."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue, ValidationError

from autosre_lab.chart.from_recipe import ENGINE_KEY
from autosre_lab.engine.guard import guard_folder
from autosre_lab.errors import RecipeError
from autosre_lab.local.commands import ENGINE_GUARD
from autosre_lab.parity.command_line import SECRET_FLAGS, VLLM_PORT, CommandLine, read_command_line
from autosre_lab.parity.environment import is_of_the_engine
from autosre_lab.parity.process_probe import is_secret
from autosre_lab.preemption import hook_file
from autosre_lab.recipe import Recipe, load_flag_table, parse_recipe
from autosre_lab.recipe.command import HOOK_FOLDER, HOOK_MODULE
from autosre_lab.recipe.load import SCHEMA
from autosre_lab.recipe.merge import deep_merge
from autosre_lab.recipe.schema import PreemptionOptions

__all__ = [
    "FROM_IMAGE",
    "TAKEN_OVER",
    "Draft",
    "draft_from_process",
    "recipe_from_process",
    "recipe_name_for",
    "without_hook",
]

TAKEN_OVER = "taken over from what ran; nobody has written down why"
"""The reason of everything whose reason nobody has written down yet."""

FROM_IMAGE = "comes with the container's image"

_HOOK_CLASS = f"{HOOK_MODULE}.make_scheduler"
_HOOK_KEY = "autosre_preempt"
_SNAPSHOT = re.compile(r"models--([^/]+?)--([^/]+)/snapshots/([0-9a-f]{40})/?$")
_HYBRID = re.compile(r"qwen3\.[56]|qwen3-next|qwen3next", re.IGNORECASE)
_MOE = re.compile(r"\bA\d+(\.\d+)?B\b|moe|mixtral", re.IGNORECASE)
_USUAL_HOSTS = (None, "0.0.0.0", "127.0.0.1")  # noqa: S104 - a Pod's, and this machine's
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class Draft:
    """A recipe that is being written.

    Attributes:
        tree: As YAML would give it.
        notes: What a person should know or decide.
    """

    tree: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def recipe_from_process(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    vllm_version: str,
    name: str | None = None,
    context: int | None = None,
    sections: Mapping[str, Any] | None = None,
    secrets: Collection[str] = (),
) -> Recipe:
    """Return a recipe that runs the same.

    Args:
        argv: Of the API server.
        environ: Of the API server. Values of secrets are not used, only their names.
        vllm_version: What runs; it says how the flags are read.
        name: The recipe's name; absent: made from the served name.
        context: The window, where the command line does not say it.
        sections: What else is known, for example ``runtime`` or ``image``.
        secrets: Names of variables whose values are secret, besides the usual ones.

    Raises:
        ConfigError: It is no command line of vLLM.
        RecipeError: No recipe can say this.
    """
    draft = draft_from_process(
        argv, environ, vllm_version=vllm_version, context=context, secrets=secrets
    )
    tree = deep_merge(draft.tree, sections or {})
    if name is not None:
        tree["name"] = name
    return parse_recipe(tree, where="the running process")


def draft_from_process(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    vllm_version: str,
    context: int | None = None,
    secrets: Collection[str] = (),
) -> Draft:
    """Return what a command line and an environment say of a recipe, and what they leave open.

    Raises:
        ConfigError: It is no command line of vLLM.
        RecipeError: The window is neither on the command line nor given.
    """
    line = read_command_line(argv, load_flag_table(vllm_version))
    flags = dict(line.flags)
    draft = Draft({"schema": SCHEMA})
    model = _model(line, flags, draft, context)
    draft.tree["name"] = recipe_name_for(model["served_names"][0])
    draft.tree["meta"] = {"description": f"{line.model}, taken over from a running process"}
    draft.tree["model"] = model
    scheduler = _scheduler(flags)
    if scheduler:
        draft.tree["scheduler"] = scheduler
    step = flags.pop("--max-num-batched-tokens", None)
    if isinstance(step, int):
        draft.tree["latency"] = {"max_step_tokens": step}
    port = flags.pop("--port", VLLM_PORT)
    if isinstance(port, int):
        draft.tree["network"] = {"port": port}
    host = flags.pop("--host", None)
    if host not in _USUAL_HOSTS:
        draft.notes.append(f"it listens on {host}; a recipe does not say where")
    for flag in SECRET_FLAGS & flags.keys():
        del flags[flag]
        draft.notes.append(f"the value of {flag} was not taken over: declare it in env.secret")
    engine = _engine(flags, line, draft)
    if engine:
        draft.tree["engine"] = engine
    hooked = "preemption" in scheduler
    draft.tree["env"] = _environment(environ, secrets, draft, hooked=hooked)
    return draft


def recipe_name_for(text: str) -> str:
    """Return a name that a recipe may have, near to a text."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.rpartition("/")[2].lower()).lstrip("._-")
    return name or "taken-over"


def _model(
    line: CommandLine, flags: dict[str, JsonValue], draft: Draft, context: int | None
) -> dict[str, Any]:
    named = line.model or ""
    model: dict[str, Any] = {"repo": named}
    if named.startswith(("/", "./", "~")):
        model["source"] = {"kind": "local", "path": named}
        if found := _SNAPSHOT.search(named):
            model["repo"] = "/".join(found.groups()[:2])
            draft.notes.append(f"the folder is the hub's commit {found[3]}")
        else:
            model["repo"] = named.rstrip("/").rpartition("/")[2] or named
            draft.notes.append("model.repo is the folder's name: write the model's own")
    else:
        revision = flags.get("--revision")
        if isinstance(revision, str) and re.fullmatch(r"[0-9a-f]{40}", revision):
            model["revision"] = flags.pop("--revision")
        else:
            draft.notes.append("model.revision is not pinned: write the commit on the hub")
    served = flags.pop("--served-model-name", None)
    names = [str(name) for name in served] if isinstance(served, list) and served else [named]
    usable = [name for name in names if name and not name.lower().startswith("claude")]
    if usable != names:
        draft.notes.append("served names that begin with claude were left out")
    model["served_names"] = usable or [recipe_name_for(str(model["repo"])).replace("claude", "x")]
    length = flags.get("--max-model-len", context)
    if isinstance(length, int) and length > 0:
        flags.pop("--max-model-len", None)
        model["context"] = length
    elif context is not None:
        flags.pop("--max-model-len", None)
        model["context"] = context
    else:
        raise RecipeError(
            "the command line does not say how long the window is (--max-model-len)",
            remedy="give it as `context`: the engine tells it at /v1/models as max_model_len",
        )
    kind = "hybrid_gdn" if _HYBRID.search(named) else "moe" if _MOE.search(named) else "dense"
    model["kind"] = kind
    draft.notes.append(f"model.kind {kind} is a guess from the name")
    return model


def _scheduler(flags: dict[str, JsonValue]) -> dict[str, Any]:
    scheduler: dict[str, Any] = {}
    policy = flags.pop("--scheduling-policy", None)
    if policy is not None:
        scheduler["policy"] = policy
    more = flags.get("--additional-config")
    if flags.get("--middleware") in (ENGINE_GUARD, [ENGINE_GUARD]):
        del flags["--middleware"]
    if flags.get("--scheduler-cls") == _HOOK_CLASS:
        del flags["--scheduler-cls"]
        preemption: dict[str, Any] = {"mode": "hook"}
        if isinstance(more, dict) and _fits(more.get(_HOOK_KEY)):
            rest = {key: value for key, value in more.items() if key != _HOOK_KEY}
            del flags["--additional-config"]
            if rest:
                flags["--additional-config"] = rest
            preemption["options"] = more[_HOOK_KEY]
        scheduler["preemption"] = preemption
    return scheduler


def _fits(options: object) -> bool:
    """Tell whether a recipe can say these options; others stay in the flag as they are."""
    try:
        PreemptionOptions.model_validate(options)
    except ValidationError:
        return False
    return True


def without_hook(python_path: str) -> str:
    """Return a PYTHONPATH without the hook's folder, which the recipe adds by itself."""
    first, _, rest = python_path.partition(":")
    return rest if first in (HOOK_FOLDER, str(hook_file().parent)) else python_path


def _without_guard(python_path: str) -> str:
    """Return a PYTHONPATH without the folder of the guard that every local start adds."""
    folders = [folder for folder in python_path.split(":") if folder != str(guard_folder())]
    return ":".join(folders)


def _engine(flags: Mapping[str, JsonValue], line: CommandLine, draft: Draft) -> dict[str, Any]:
    args: dict[str, JsonValue] = {}
    extra: list[dict[str, Any]] = []
    for name, value in flags.items():
        if name == "--revision":
            extra.append({"argv": [name, str(value)], "reason": TAKEN_OVER})
        elif value is None:
            # A null in a recipe is an absent key; vLLM reads this word as none.
            args[name[2:]] = "None"
        elif isinstance(value, list) and not any(isinstance(one, dict) for one in value):
            args[name[2:]] = ["None" if one is None else one for one in value]
        elif _has_null(value):
            args[name[2:]] = json.dumps(value, sort_keys=True)
        else:
            args[name[2:]] = value
    for option, values in line.unknown.items():
        extra.append({"argv": [option, *values], "reason": TAKEN_OVER})
        draft.notes.append(f"the flag table does not know {option}")
    if line.stray:
        draft.notes.append(f"words that belong to no flag were left out: {' '.join(line.stray)}")
    engine: dict[str, Any] = {}
    if args:
        engine["args"] = args
    if extra:
        engine["extra_args"] = extra
    return engine


def _has_null(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return any(one is None or _has_null(one) for one in value.values())
    return isinstance(value, list) and any(one is None or _has_null(one) for one in value)


def _environment(
    environ: Mapping[str, str], secrets: Collection[str], draft: Draft, *, hooked: bool
) -> dict[str, Any]:
    found: dict[str, Any] = {"set": {}, "secret": {}}
    for name, value in environ.items():
        if hooked and name == "PYTHONPATH":
            value = without_hook(value)
        if name == "PYTHONPATH":
            value = _without_guard(value)
        if not is_of_the_engine(name) or (name == "PYTHONPATH" and not value):
            continue
        if not _VARIABLE.fullmatch(name):
            draft.notes.append(f"{name!r} is not a variable that a recipe can set")
        elif name == ENGINE_KEY:
            continue  # whoever starts the engine gives it one
        elif is_secret(name, list(secrets)):
            found["secret"][name] = {"reason": TAKEN_OVER}
        else:
            found["set"][name] = {"value": value, "reason": TAKEN_OVER}
    return {key: entries for key, entries in found.items() if entries}
