"""Lint a recipe: what its own vLLM would refuse, ignore or do wrong, told before it is started."""

from __future__ import annotations

import re
from collections.abc import Iterator

from autosre_lab.recipe.command import HOOK_VERSIONS, serve_args
from autosre_lab.recipe.finding import Finding
from autosre_lab.recipe.flag_values import close_to
from autosre_lab.recipe.flags import FlagTable, flag_table_versions, load_flag_table
from autosre_lab.recipe.lint_flags import lint_args, lint_extra_args
from autosre_lab.recipe.schema import HuggingFaceSource, Recipe
from autosre_lab.settings import paths

__all__ = ["lint_recipe"]

_DERIVED = {
    "revision": "model.revision",
    "served-model-name": "model.served_names",
    "max-model-len": "model.context",
    "scheduling-policy": "scheduler.policy",
    "max-num-batched-tokens": "latency.max_step_tokens",
}
_SECRET = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|CREDENTIALS?)$")


def lint_recipe(recipe: Recipe, *, table: FlagTable | None = None) -> list[Finding]:
    """Return everything that is wrong with a recipe, errors first.

    Args:
        recipe: The recipe.
        table: The flags to check against; those of the recipe's own vLLM when not given.
    """
    table = table or load_flag_table(recipe.vllm_version)
    findings = [*_pins(recipe), *_scheduling(recipe), *_preemption(recipe)]
    findings += [
        *_tools(recipe),
        *_environment(recipe, table),
        *_known_hazards(recipe),
        *_windows(recipe),
    ]
    if table is None:
        findings.append(_no_table(recipe))
    else:
        args = serve_args(recipe)
        findings += lint_args(args, table, _DERIVED)
        given = {found[0].name for name in args if (found := table.find(f"--{name}"))}
        entries = [entry.argv for entry in recipe.engine.extra_args]
        findings += lint_extra_args(entries, given, table)
    return sorted(findings, key=lambda finding: finding.severity != "error")


def _no_table(recipe: Recipe) -> Finding:
    key = "image.vllm_version" if recipe.image else "runtime.version"
    return Finding.warning(
        key,
        f"there is no flag table of vLLM {recipe.vllm_version}, so no flag was checked; there are "
        f"tables of {', '.join(flag_table_versions())}",
        f"make one: `python -m autosre_lab.recipe.flag_table --out {paths().config / 'flags'}`, "
        "run by a Python that has this vLLM",
    )


def _pins(recipe: Recipe) -> Iterator[Finding]:
    if recipe.model.revision is None and isinstance(recipe.model.source, HuggingFaceSource):
        yield Finding.warning(
            "model.revision",
            "the model is not pinned: what is served changes when its repository does",
            "write the commit, 40 hexadecimal digits, as the hub or the cache's refs/main shows it",
        )
    image = recipe.image
    if image is None:
        return
    if image.digest is None:
        yield Finding.warning(
            "image.digest",
            f"the image is not pinned: the tag of {image.ref} may move",
            "write the sha256 digest that the registry or the running Pod shows",
        )
    tag = re.search(r":v?(\d+\.\d+\.\d+)[^/]*$", image.ref)
    if tag and tag[1] != image.vllm_version.split("+", 1)[0]:
        yield Finding.error(
            "image.vllm_version",
            f"{image.ref} is tagged {tag[1]}, and vllm_version says {image.vllm_version}",
            "make them agree: the flags are checked against vllm_version",
        )


def _scheduling(recipe: Recipe) -> Iterator[Finding]:
    classes, policy = recipe.scheduler.classes, recipe.scheduler.policy
    if policy == "fcfs" and any(classes.values()):
        yield Finding.error(
            "scheduler.classes",
            "with policy fcfs vLLM ignores every request's priority and does not say so",
            "write `policy: priority`, or take the classes out",
        )
    if policy == "priority" and classes and len(set(classes.values())) == 1 and len(classes) > 1:
        yield Finding.warning(
            "scheduler.classes",
            "all classes have the same priority",
            "give those that should wait a higher number",
        )


def _preemption(recipe: Recipe) -> Iterator[Finding]:
    if recipe.scheduler.preemption.mode != "hook":
        return
    key = "scheduler.preemption"
    if recipe.scheduler.policy != "priority":
        yield Finding.error(
            key, "with policy fcfs there is nobody to give way to", "write `policy: priority`"
        )
    if recipe.engine.args.get("scheduler-cls") is not None:
        yield Finding.error(
            "engine.args.scheduler-cls",
            "scheduler.preemption decides it",
            "take one of the two out",
        )
    if recipe.vllm_version.split("+", 1)[0] not in HOOK_VERSIONS:
        # `required` says which it is where the hook refuses the vLLM that runs, too.
        found = Finding.error if recipe.scheduler.preemption.required else Finding.warning
        yield found(
            key,
            f"the hook was not tried with vLLM {recipe.vllm_version} and will refuse it; it knows "
            f"{', '.join(HOOK_VERSIONS)}",
            "choose one of these, or leave preemption off",
        )


def _tools(recipe: Recipe) -> Iterator[Finding]:
    args = recipe.engine.args
    extra = [word for entry in recipe.engine.extra_args for word in entry.argv]
    has_parser = args.get("tool-call-parser") or "--tool-call-parser" in extra
    if args.get("enable-auto-tool-choice") is True and not has_parser:
        yield Finding.error(
            "engine.args.enable-auto-tool-choice",
            "vLLM does not start with it unless a tool parser is named",
            "add tool-call-parser",
        )
    if has_parser and args.get("enable-auto-tool-choice") is not True:
        yield Finding.warning(
            "engine.args.tool-call-parser",
            "without enable-auto-tool-choice the model's own tool calls are refused",
            "add `enable-auto-tool-choice: true`",
        )


def _environment(recipe: Recipe, table: FlagTable | None) -> Iterator[Finding]:
    for name in recipe.env.set:
        key = f"env.set.{name}"
        if _SECRET.search(name):
            yield Finding.error(
                key, "a secret's value stands in a file that is shared", "declare it in env.secret"
            )
        if name == "VLLM_PORT":
            yield Finding.error(
                key,
                "VLLM_PORT is the first port of vLLM's internal connections, not where it serves",
                "take it out; whoever starts the engine decides where it listens",
            )
        if table and name.startswith("VLLM_") and name not in table.env:
            yield Finding.warning(
                key,
                f"vLLM {table.version} does not read {name}",
                f"{close_to(name, table.env)}or take it out",
            )


def _known_hazards(recipe: Recipe) -> Iterator[Finding]:
    args = recipe.engine.args
    extra = [word for entry in recipe.engine.extra_args for word in entry.argv]
    speculates = any(args.get(name) for name in ("speculative-config", "spec-method")) or any(
        word.startswith(("--spec", "-sc")) for word in extra
    )
    if (
        recipe.model.kind == "hybrid_gdn"
        and speculates
        and args.get("enable-prefix-caching") is not False
    ):
        yield Finding.error(
            "engine.args.speculative-config",
            "on a hybrid model, speculative decoding with prefix caching corrupts the recurrent "
            "state when the cache hits: tool calls come out malformed, without an error "
            "(NVIDIA/dgx-spark-playbooks#89)",
            "drop it; the prefix cache is worth more to an agent than the drafts",
        )


def _windows(recipe: Recipe) -> Iterator[Finding]:
    most = recipe.claude.max_output_tokens
    if most is not None and most >= recipe.model.context:
        yield Finding.error(
            "claude.max_output_tokens",
            f"{most} leaves no room for a prompt in a window of {recipe.model.context}",
            "write an eighth of model.context, or leave it out",
        )
