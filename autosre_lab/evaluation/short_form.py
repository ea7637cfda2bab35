"""The gate before any speed counts: L0 and L1 in their short form, within a minute."""

from __future__ import annotations

import time

import msgspec

from autosre_lab.bench.target import Target
from autosre_lab.errors import AutosreError
from autosre_lab.evaluation.cache_path import check_cache_path
from autosre_lab.evaluation.check import CheckResult, verdict
from autosre_lab.evaluation.protocol import check_protocol
from autosre_lab.metrics.vllm_text import read_engine_metrics

__all__ = ["GateResult", "cache_block_tokens", "gate"]


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an engine may be measured.

    Attributes:
        passed: None where something could not be told, such as a cache that was never hit.
        reasons: What failed, or could not be told.
        checks: Every check.
        seconds: How long it took.
    """

    passed: bool | None
    reasons: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    seconds: float


def cache_block_tokens(target: Target) -> int:
    """Return the tokens of a block of the prefix cache: shorter prompts are never hit.

    Hybrid models cache their recurrent state every thousand tokens and more. 128 where the engine
    does not say.
    """
    if target.engine_url is None:
        return 128
    try:
        labels = read_engine_metrics(target.engine_url, key=target.engine_key).cache_config
    except AutosreError:
        return 128
    sizes = [
        int(value)
        for one in labels
        for name in ("block_size", "mamba_block_size")
        if (value := one.get(name, "")).isdigit()
    ]
    return max(sizes, default=128)


def gate(target: Target, *, cache: bool = True) -> GateResult:
    """Check that an engine's answers are right, also those out of its prefix cache.

    Args:
        target: Of the protocol ``messages``.
        cache: Check the cache path; leave it out only where the prefix cache is off.

    Raises:
        EvaluationError: It does not answer at all.
    """
    started = time.perf_counter()
    checks = check_protocol(target)
    if cache:
        tokens = 2 * cache_block_tokens(target)
        checks += check_cache_path(
            target, turns=2, depths=(max(300, tokens),), filler=max(200, tokens)
        )
    return GateResult(
        passed=verdict(checks),
        reasons=tuple(
            f"{one.level} {one.name}: {one.detail or 'failed'}"
            for one in checks
            if one.passed is not True
        ),
        checks=tuple(checks),
        seconds=time.perf_counter() - started,
    )
