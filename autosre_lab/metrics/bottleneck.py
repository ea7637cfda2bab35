"""What holds a serving engine back right now, in one word and one sentence."""

from __future__ import annotations

from typing import Literal

import msgspec

from autosre_lab.metrics.engine_sample import EngineSample
from autosre_lab.metrics.rates import WindowRates

__all__ = ["IN_WORDS", "Bottleneck", "Label", "find_bottleneck"]

Label = Literal[
    "KV_PRESSURE",
    "SEQ_CAP",
    "TOKEN_BUDGET",
    "DEFERRED",
    "PREEMPTING",
    "QUEUED",
    "IDLE",
    "NO_STEPS",
    "FRONTEND_BOUND",
    "CACHE_MISS",
    "BANDWIDTH_BOUND",
    "UNDERLOADED",
    "UNKNOWN",
]

IN_WORDS: dict[Label, tuple[str, str]] = {
    "KV_PRESSURE": (
        "KV cache full",
        "a shorter `model.context`, an fp8 KV cache, or more memory for the engine",
    ),
    "SEQ_CAP": ("All slots taken", "raise `engine.args.max-num-seqs`, if the KV cache has room"),
    "TOKEN_BUDGET": (
        "Step budget used up",
        "raise `latency.max_step_tokens`; each running answer then waits longer for its next token",
    ),
    "DEFERRED": ("Waiting for something else", "look into the engine's log: `autosre logs -f`"),
    "PREEMPTING": (
        "Requests are evicted and computed again",
        "fewer slots (`max-num-seqs`) or more KV cache; one eviction for a person's turn is meant",
    ),
    "QUEUED": ("Requests wait", "give the engine's limits, by starting it from a recipe"),
    "IDLE": ("Idle", ""),
    "NO_STEPS": (
        "No step ends",
        "wait out a long prefill; if it stays, `autosre status` and `autosre logs -f`",
    ),
    "FRONTEND_BOUND": (
        "The API server's process is full",
        "give the engine `api-server-count: 2` in `engine.args`",
    ),
    "CACHE_MISS": (
        "Prompts are computed again",
        "see why in the notebook `7_sessions`: each turn's miss has a cause",
    ),
    "BANDWIDTH_BOUND": (
        "As fast as the memory allows",
        "a smaller quantisation, or speculative decoding: `autosre tune deferred`",
    ),
    "UNDERLOADED": ("No limit reached", ""),
    "UNKNOWN": ("Not known", ""),
}
"""What each label says to a person, and what to do about it; empty where nothing is to be done."""

_KV_FULL = 0.95
_BUDGET_NEAR = 0.9
_HIT_LOW = 0.5
_BANDWIDTH_HIGH = 0.8
_FRONTEND_HIGH = 0.8
"""Of one core: vLLM's API server tokenises, parses and writes streams in one thread."""


class Bottleneck(msgspec.Struct, frozen=True, kw_only=True):
    """A label with its reason.

    Attributes:
        label: The word.
        reason: Why it was given, with the numbers it rests on.
        not_judged: Labels that could not be considered, because something was not known.
    """

    label: Label
    reason: str
    not_judged: tuple[Label, ...] = ()


def find_bottleneck(
    sample: EngineSample | None,
    rates: WindowRates | None,
    *,
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
    multi_turn: bool = True,
) -> Bottleneck:
    """Name what holds the engine back, the first that applies.

    Args:
        sample: The scrape at the window's end.
        rates: The window's derived metrics.
        max_num_seqs: The engine's slots; without it SEQ_CAP cannot be told.
        max_num_batched_tokens: The engine's token budget a step; without it TOKEN_BUDGET cannot.
        multi_turn: The load has sessions of more than one turn, whose prefixes ought to hit.
    """
    if sample is None or sample.running is None or sample.waiting is None:
        return Bottleneck(label="UNKNOWN", reason="the engine does not tell its queue")
    if rates is None or rates.dropped is not None:
        why = "there is only one scrape yet" if rates is None else str(rates.dropped)
        return Bottleneck(label="UNKNOWN", reason=why)
    not_judged = _not_judged(sample, rates, max_num_seqs, max_num_batched_tokens)
    found = (
        _while_waiting(sample, rates, max_num_seqs, max_num_batched_tokens)
        or _while_still(sample, rates)
        or _while_running(rates, multi_turn=multi_turn)
    )
    label, reason = found
    return Bottleneck(label=label, reason=reason, not_judged=not_judged)


def _not_judged(
    sample: EngineSample,
    rates: WindowRates,
    max_num_seqs: int | None,
    max_num_batched_tokens: int | None,
) -> tuple[Label, ...]:
    unknown: dict[Label, bool] = {
        "KV_PRESSURE": sample.kv_usage is None,
        "SEQ_CAP": max_num_seqs is None,
        "TOKEN_BUDGET": max_num_batched_tokens is None,
        "DEFERRED": sample.waiting_deferred is None,
        "PREEMPTING": rates.preemptions_per_s is None,
        "FRONTEND_BOUND": rates.frontend_cpu is None,
        "BANDWIDTH_BOUND": rates.mbu is None,
    }
    return tuple(label for label, missing in unknown.items() if missing)


def _while_waiting(
    sample: EngineSample,
    rates: WindowRates,
    max_num_seqs: int | None,
    max_num_batched_tokens: int | None,
) -> tuple[Label, str] | None:
    running, waiting = sample.running or 0.0, sample.waiting or 0.0
    # 0.24 and later say why a request waits; a body without that is taken at its queue.
    capacity = waiting if sample.waiting_capacity is None else sample.waiting_capacity
    queue = f"{waiting:.0f} waiting, {running:.0f} running"
    if capacity > 0 and sample.kv_usage is not None and sample.kv_usage > _KV_FULL:
        return "KV_PRESSURE", f"{queue}, and {sample.kv_usage:.0%} of the KV blocks are in use"
    if waiting > 0 and max_num_seqs is not None and running >= max_num_seqs:
        return "SEQ_CAP", f"{queue}: all {max_num_seqs} slots (max_num_seqs) are taken"
    if (
        waiting > 0
        and max_num_batched_tokens is not None
        and rates.tokens_per_step is not None
        and rates.tokens_per_step >= _BUDGET_NEAR * max_num_batched_tokens
    ):
        return "TOKEN_BUDGET", (
            f"{queue}; a step carries {rates.tokens_per_step:.0f} tokens of the "
            f"{max_num_batched_tokens} allowed (max_num_batched_tokens)"
        )
    if sample.waiting_deferred:
        return "DEFERRED", (
            f"{sample.waiting_deferred:.0f} requests wait for a transfer, an adapter or the like"
        )
    if rates.preemptions_per_s:
        return "PREEMPTING", (
            f"{rates.preemptions_per_s:.2f} requests/s are thrown out of the batch and "
            "computed again"
        )
    if waiting > 0 and running > 0:
        return "QUEUED", f"{queue}; which limit holds them cannot be told from what is known"
    return None


def _while_still(sample: EngineSample, rates: WindowRates) -> tuple[Label, str] | None:
    running, waiting = sample.running or 0.0, sample.waiting or 0.0
    moved = bool(rates.steps_per_s or rates.gen_tps or rates.requests_per_s)
    if running == 0 and waiting == 0:
        if moved:
            return None
        return "IDLE", "nothing runs and nothing waits"
    if not moved and rates.steps_per_s is not None:
        # vLLM writes its gauges only in steps: after an abort they can stay up for ever.
        return "NO_STEPS", (
            f"{running:.0f} running and {waiting:.0f} waiting, but no step ended in "
            f"{rates.duration_s:.1f} s: a long prefill, or gauges left over from a cancelled "
            "request"
        )
    return None


def _while_running(rates: WindowRates, *, multi_turn: bool) -> tuple[Label, str]:
    if rates.frontend_cpu is not None and rates.frontend_cpu >= _FRONTEND_HIGH:
        return "FRONTEND_BOUND", (
            f"the API server's process uses {rates.frontend_cpu:.2f} of a core: it cannot feed the "
            "engine faster; --api-server-count gives it more processes"
        )
    if multi_turn and rates.prefix_hit is not None and rates.prefix_hit < _HIT_LOW:
        return "CACHE_MISS", (
            f"{rates.prefix_hit:.0%} of the prompt tokens came from the prefix cache"
        )
    if rates.mbu is not None and rates.mbu >= _BANDWIDTH_HIGH:
        return "BANDWIDTH_BOUND", f"{rates.mbu:.0%} of the memory's bandwidth is in use"
    return "UNDERLOADED", "no limit is reached of those that can be judged from here"
