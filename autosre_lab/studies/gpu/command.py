"""Everything about a GPU in one command: start, facts, energy, loads, proxy, preemption, stop."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from autosre_lab.bench.target import badge_of
from autosre_lab.local import start, stop
from autosre_lab.recipe import Recipe, load_recipe, parse_recipe
from autosre_lab.stack import Stack
from autosre_lab.studies.gpu.equality import equality
from autosre_lab.studies.gpu.measuring import (
    check_spread,
    energies,
    facts,
    loads,
    proxy_rows,
)
from autosre_lab.studies.gpu.steps import Steps
from autosre_lab.studies.preemption import SCENARIOS, BusyLoad, measure_on, state_apart, table

__all__ = ["RECIPES", "main", "variant"]

RECIPES = Path(__file__).parent / "recipes"
STEPS = ("facts", "energy", "check", "load", "proxy", "preemption", "equality")
_STOCK, _HOOK, _SAME = "stock", "hook", "invariant"


def variant(recipe: Recipe, kind: str, *, slots: int, step_tokens: int | None) -> Recipe:
    """Return a recipe with few slots, with or without the preemption hook.

    Args:
        recipe: The one to change.
        kind: ``stock``, ``hook``, or ``invariant``: with the hook, and kernels whose results do not
            depend on the batch.
        slots: Requests that run at a time.
        step_tokens: Tokens of a step; the recipe's own by default.
    """
    tree: dict[str, Any] = recipe.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    tree |= {"schema": "autosre.recipe/v1", "name": f"{recipe.name}-{kind}"}
    args = {**tree.get("engine", {}).get("args", {}), "max-num-seqs": slots}
    if kind == _SAME:
        args["enforce-eager"] = True
        env = tree.setdefault("env", {}).setdefault("set", {})
        env["VLLM_BATCH_INVARIANT"] = {"value": "1", "reason": "answers are compared"}
    tree["engine"] = {**tree.get("engine", {}), "args": args}
    if step_tokens is not None:
        tree["latency"] = {**tree.get("latency", {}), "max_step_tokens": step_tokens}
    mode = {"mode": "off" if kind == _STOCK else "hook"}
    tree["scheduler"] = {**tree.get("scheduler", {}), "preemption": mode}
    return parse_recipe(tree)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps, print the preemption table; 0 if none failed."""
    options = _options(arguments)
    recipe = load_recipe(options.recipe)
    steps = Steps(options.out, options.seconds)
    wanted = [one for one in STEPS if one in options.steps.split(",")]
    with _served(steps, recipe, "start") as stack:
        if stack is not None:
            _on_one_stack(steps, stack, recipe, wanted, options)
    if "preemption" in wanted and steps.left_s > 0:
        _preemption(steps, recipe, options)
    if "equality" in wanted and steps.left_s > 0:
        same = variant(recipe, _SAME, slots=options.slots, step_tokens=None)
        with _served(steps, same, "equality-start") as stack:
            if stack is not None:
                with steps.step("equality") as found:
                    found |= equality(stack, tokens=options.tokens)
    sys.stdout.write(f"{options.out / 'results.json'}\n")
    return 1 if steps.failed else 0


def _on_one_stack(
    steps: Steps, stack: Stack, recipe: Recipe, wanted: Sequence[str], options: argparse.Namespace
) -> None:
    badge = badge_of(recipe)
    work: dict[str, Callable[[], dict[str, Any]]] = {
        "facts": lambda: facts(stack, options.out),
        "energy": lambda: {"rows": energies(stack, recipe, tries=5)},
        "check": lambda: check_spread(stack, recipe, tries=options.checks),
        "load": lambda: loads(stack, recipe, options.out, seconds=options.load_seconds),
        "proxy": lambda: {"rows": proxy_rows(stack, badge, turns=3, streams=options.streams)},
    }
    for name in wanted:
        if name in work and steps.left_s > 0:
            with steps.step(name) as found:
                found |= work[name]()


def _preemption(steps: Steps, recipe: Recipe, options: argparse.Namespace) -> None:
    """Measure the same loads with vLLM's own scheduler and with the hook, one after the other."""
    measured = []
    for kind in (_STOCK, _HOOK):
        own = variant(recipe, kind, slots=options.slots, step_tokens=options.step_tokens)
        with _served(steps, own, f"preemption-{kind}-start") as stack:
            if stack is None:
                return
            with steps.step(f"preemption-{kind}") as found:
                one = measure_on(
                    stack,
                    kind,
                    _scenarios(options),
                    tries=options.tries,
                    step_tokens=options.step_tokens,
                    tell=_tell,
                )
                measured.append(one)
                found |= {"idle_s": one.idle_s, "busy_s": one.busy_s, "low_s": one.low_s}
    if len(measured) == 2:
        text = table(*measured, scenarios=_scenarios(options))
        (options.out / "preemption.md").write_text(text + "\n", "utf-8")
        sys.stdout.write(text + "\n")


def _scenarios(options: argparse.Namespace) -> tuple[BusyLoad, ...]:
    """The slots taken, and a long prefill before: blocks run out on small caches only."""
    busy = BusyLoad(
        name="slots",
        requests=options.slots,
        prompt_words=30,
        output_tokens=options.tokens,
        high_words=50,
    )
    return (busy, *(one for one in SCENARIOS if one.name == "budget"))


@contextmanager
def _served(steps: Steps, recipe: Recipe, name: str) -> Iterator[Stack | None]:
    """Serve a recipe with a state folder of its own, and stop it; None where it does not start."""
    with tempfile.TemporaryDirectory(prefix="autosre-gpu-") as state, state_apart(Path(state)):
        stack = None
        with steps.step(name) as found:
            stack = start(recipe)
            found |= {"recipe": recipe.name, "window": stack.max_model_len}
        try:
            yield stack
        finally:
            for log in Path(state).glob("logs/*.log"):
                (steps.folder / f"{recipe.name}-{log.name}").write_bytes(log.read_bytes())
            with suppress(OSError):
                stop()


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m autosre_lab.studies.gpu", description=__doc__)
    parser.add_argument("--recipe", default=str(RECIPES / "gpu-smollm2.yaml"), help="name or file")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="for what is kept")
    parser.add_argument("--seconds", type=float, default=3600.0, help="begin no step after these")
    parser.add_argument("--steps", default=",".join(STEPS), help="of these, with commas between")
    parser.add_argument("--load-seconds", type=float, default=20.0, help="of the sessions")
    parser.add_argument("--streams", type=int, default=64, help="through the proxy and beside it")
    parser.add_argument("--checks", type=int, default=4, help="machine checks of the idle engine")
    parser.add_argument("--tries", type=int, default=5, help="of each preemption")
    parser.add_argument("--slots", type=int, default=4, help="requests at a time, for preemption")
    parser.add_argument("--tokens", type=int, default=400, help="of each answer that waits")
    parser.add_argument("--step-tokens", type=int, default=256, help="of a step, for preemption")
    return parser.parse_args(arguments)
