"""Knobs that are deferred: what they promise, why no recipe turns them yet, how to find out.

Each is an experiment that can be started. Its correctness gate cannot be left out, and lint still
refuses the combinations that are known to corrupt answers, so such a trial is never served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autosre_lab.errors import AutosreError, ConfigError
from autosre_lab.recipe import Recipe, load_recipe
from autosre_lab.tuning.knobs import Knob, Value, apply_knobs, combinations, lint_faults
from autosre_lab.tuning.suggestion import suggested_experiment

__all__ = ["DEFERRED", "Deferred", "deferred_experiment", "deferred_rows"]

_SPEC = "engine.args.speculative-config"
_CACHE = "engine.args.enable-prefix-caching"
_MOE = "engine.args.moe-backend"

GATE = (
    "protocol, and tool calls and needles out of the prefix cache, twice warm against cold; what "
    "fails is not measured and never promoted"
)
"""What every trial has to pass before its speed counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """A knob that waits.

    Attributes:
        name: What to call it.
        what: What it is.
        reason: Why no recipe of ours turns it.
        sources: Where that is reported.
        kinds: Kinds of models that it is for.
        drafter: Model to the drafter that was published for it; empty where none is needed.
        quant: The only quantization of weights that it fits; empty for any.
        tokens: Drafted tokens to try.
        values: Of the knob, where it is a single one.
        path: The knob.
    """

    name: str
    what: str
    reason: str
    sources: tuple[str, ...]
    kinds: tuple[str, ...] = ("dense", "moe", "hybrid_gdn")
    drafter: tuple[tuple[str, str], ...] = ()
    quant: str = ""
    tokens: tuple[int, ...] = ()
    path: str = ""
    values: tuple[Value, ...] = ()

    def unfit(self, recipe: Recipe) -> str:
        """Return why the experiment cannot be made of a recipe; "" where it can."""
        if recipe.model.kind not in self.kinds:
            return f"it is for {' and '.join(self.kinds)} models, not {recipe.model.kind}"
        if self.drafter and self._drafter(recipe) is None:
            return f"no drafter is known for {recipe.model.repo}"
        if self.quant and self.quant not in (recipe.model.quant or "").lower().replace("-", "_"):
            return (
                f"the weights are {recipe.model.quant or 'not quantized'}: it needs weights that "
                f"were made with {self.quant}"
            )
        if recipe.runtime is not None and recipe.runtime.device == "cpu" and self.path == _MOE:
            return "a CPU has none of these kernels"
        return ""

    def knobs(self, recipe: Recipe) -> tuple[Knob, ...]:
        """Return what is turned, beginning with what is riskiest."""
        if self.path:
            return (Knob(path=self.path, values=self.values),)
        found = [
            Knob(path=f"{_SPEC}.method", values=(self.name,)),
            Knob(path=f"{_SPEC}.num_speculative_tokens", values=self.tokens),
        ]
        if drafter := self._drafter(recipe):
            found.append(Knob(path=f"{_SPEC}.model", values=(drafter,)))
        if recipe.model.kind == "hybrid_gdn":
            # With the cache lint refuses it; both are listed, so that the refusal is on record.
            found.append(Knob(path=_CACHE, values=(True, False)))
        return tuple(found)

    def _drafter(self, recipe: Recipe) -> str | None:
        repo = recipe.model.repo.rpartition("/")[2]
        return next((found for model, found in self.drafter if repo.startswith(model)), None)


_CORRUPTS = (
    "on hybrid models speculative decoding with prefix caching corrupts the recurrent state when "
    "the cache hits, without an error; without the cache it may be right, and every turn of an "
    "agent is then prefilled again"
)

DEFERRED: tuple[Deferred, ...] = (
    Deferred(
        name="mtp",
        what="speculative decoding with the checkpoint's own MTP head",
        reason=_CORRUPTS,
        sources=(
            "https://github.com/NVIDIA/dgx-spark-playbooks/issues/89",
            "https://github.com/vllm-project/vllm/issues/53912",
        ),
        tokens=(1, 2, 3),
    ),
    Deferred(
        name="dflash",
        what="speculative decoding with a DFlash drafter, a model of its own",
        reason=f"{_CORRUPTS}. The drafter takes memory from the KV cache",
        sources=(
            "https://github.com/vllm-project/vllm/issues/53912",
            "https://github.com/vllm-project/recipes/blob/015a26cb06e8cd628a4b56433e05c34a1782b920/models/Qwen/Qwen3.8-27B.yaml",
            "https://github.com/spark-arena/recipe-registry/blob/5a19453f99c7654a7e4c81787f7eb43f334ca3d2/experimental-recipes/eugr-vllm/qwen3.6-35b-a3b-fp8-dflash-vllm.yaml",
        ),
        # The Qwen3.8 drafter has blocks of 8, so it drafts 7.
        drafter=(
            ("Qwen3.8-27B", "incoai/Qwen3.8-27B-DFlash2"),
            ("Qwen3.6-35B-A3B", "z-lab/Qwen3.6-35B-A3B-DFlash"),
        ),
        tokens=(7,),
    ),
    Deferred(
        name="moe-flashinfer",
        what="--moe-backend flashinfer_cutlass and flashinfer_trtllm",
        reason=(
            "on GB10 (SM121) FlashInfer's kernels for experts were switched off, crashed or gave "
            "wrong output in several versions; the published settings for this box say marlin"
        ),
        sources=(
            "https://github.com/vllm-project/vllm/pull/39825",
            "https://github.com/flashinfer-ai/flashinfer/issues/2723",
        ),
        kinds=("moe", "hybrid_gdn"),
        path=_MOE,
        values=("flashinfer_cutlass", "flashinfer_trtllm"),
    ),
    Deferred(
        name="moe-cutlass",
        what="--moe-backend cutlass",
        reason=(
            "on consumer Blackwell CUTLASS' grouped FP4 kernels gave garbage, and on GB10 an "
            "illegal instruction until vLLM's own fix; nobody has published answers checked on it"
        ),
        sources=(
            "https://github.com/NVIDIA/cutlass/issues/3096",
            "https://github.com/vllm-project/vllm/pull/38423",
        ),
        kinds=("moe", "hybrid_gdn"),
        path=_MOE,
        values=("cutlass",),
    ),
    Deferred(
        name="auto-round",
        what="--quantization auto_round, 4-bit weights made with AutoRound",
        reason=(
            "these are other weights, so other answers; the published recipe patches vLLM first, "
            "and with some checkpoints vLLM's inference failed"
        ),
        sources=(
            "https://github.com/spark-arena/recipe-registry/blob/130dba055083f14b448db6e2f9942ef5a3dd9102/official-recipes/qwen3-coder-next/vllm/qwen3-coder-next-int4-autoround-vllm.yaml",
            "https://github.com/intel/auto-round/issues/1499",
        ),
        quant="auto_round",
        path="engine.args.quantization",
        values=("auto_round",),
    ),
)
"""All of them."""


def deferred_experiment(name: str, recipe: Recipe | str) -> dict[str, Any]:
    """Return the experiment that tries a deferred knob on a recipe, as a tree.

    Args:
        name: The knob's, such as ``mtp``.
        recipe: The incumbent; its name or path is what the experiment will name.

    Raises:
        ConfigError: There is no such knob, it does not fit the recipe, or lint refuses all of it.
        RecipeError: There is no such recipe.
    """
    knob = next((one for one in DEFERRED if one.name == name), None)
    if knob is None:
        raise ConfigError(
            f"{name!r} is no deferred knob",
            remedy=f"they are {', '.join(one.name for one in DEFERRED)}: autosre tune deferred",
        )
    loaded = load_recipe(recipe) if isinstance(recipe, str) else recipe
    if why := knob.unfit(loaded):
        raise ConfigError(
            f"{name} cannot be tried with {loaded.name}: {why}",
            remedy="choose another recipe: autosre tune deferred RECIPE says what fits it",
        )
    faults = _faults(knob, loaded)
    if all(faults.values()):
        raise ConfigError(
            f"{name} cannot be tried with {loaded.name}: {next(iter(faults.values()))}",
            remedy="choose another recipe, or another vLLM",
        )
    tree = suggested_experiment(recipe)
    tree["notes"] = f"{name} is deferred: {knob.reason}. Gate: {GATE}. {' '.join(knob.sources)}"
    tree["knobs"] = [{"path": one.path, "values": list(one.values)} for one in knob.knobs(loaded)]
    return tree | {"strategy": "grid", "gate": True}


def _faults(knob: Deferred, recipe: Recipe) -> dict[str, str]:
    """Return each combination, and why lint refuses it or ""."""
    found = {}
    for values in combinations(knob.knobs(recipe)):
        try:
            refused = lint_faults(apply_knobs(recipe, values))
        except AutosreError as error:
            refused = [error.message]
        found[str(values)] = "; ".join(refused)
    return found


def deferred_rows(recipe: Recipe | str | None = None) -> list[dict[str, Any]]:
    """Return what is deferred and why, and whether it can be tried with a recipe.

    Raises:
        RecipeError: There is no such recipe.
    """
    loaded = load_recipe(recipe) if isinstance(recipe, str) else recipe
    rows = []
    for one in DEFERRED:
        row: dict[str, Any] = {
            "name": one.name,
            "what": one.what,
            "reason": one.reason,
            "gate": GATE,
            "sources": list(one.sources),
        }
        if loaded is not None:
            unfit = one.unfit(loaded)
            faults = {} if unfit else _faults(one, loaded)
            refused = {values: why for values, why in faults.items() if why}
            row["unfit"] = unfit
            row["trials"] = len(faults) - len(refused)
            row["refused"] = refused
        rows.append(row)
    return rows
