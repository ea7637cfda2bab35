"""What makes a result doubtful, in words."""

from __future__ import annotations

from autosre_lab.bench.result import Result
from autosre_lab.bench.summary import Summary
from autosre_lab.metrics.rates import WindowRates

__all__ = ["doubts_about"]

_BUSY_CLIENT = 0.8


def doubts_about(result: Result) -> tuple[str, ...]:
    """Return the warnings of a result card."""
    summary = result.summary
    found = _machine(result)
    if result.roofline is not None and result.roofline.above:
        found.append("above roofline: check how tokens are counted, or for a repeated prompt")
    if summary.failed:
        found.append(f"{summary.failed} of {summary.requests} requests failed")
    if summary.unsent:
        found.append(f"{summary.unsent} turns were not sent, since one before them failed")
    if summary.hit_rate is None:
        found.append("the server does not say what came from the prefix cache")
    if result.harness.cpu_share > _BUSY_CLIENT:
        found.append(f"the client itself used {result.harness.cpu_share:.0%} of a core")
    return tuple(found + _disagreement(summary, result.server))


def _machine(result: Result) -> list[str]:
    found = []
    before, after = result.check_before, result.check_after
    if before is not None and after is not None:
        if after.suspect_after(before):
            found.append(
                f"machine suspect: the machine check's step took {after.drift_from(before):+.0%} "
                f"after the run ({before.step_s * 1e3:.1f} ms before, {after.step_s * 1e3:.1f} ms "
                f"after), by itself it varies by {after.limit_with(before) or 0.0:.0%}"
            )
        if before.answer_sha256 != after.answer_sha256:
            found.append("the machine check's greedy answer was another after the run than before")
    if result.gpu is not None and result.gpu.use.slowed_by:
        found.append(f"the GPU was slowed by: {', '.join(result.gpu.use.slowed_by)}")
    return found


def _disagreement(summary: Summary, server: WindowRates | None) -> list[str]:
    """Name what client and engine see differently: somebody else was served meanwhile."""
    if server is None:
        return []
    if server.dropped is not None:
        return [f"the engine's own figures are missing: {server.dropped}"]
    if server.gen_tps is None or not summary.output_tokens:
        return []
    told = server.gen_tps * server.duration_s
    if told > summary.output_tokens * 1.02 + 5:
        return [
            f"the engine generated {told:.0f} tokens, this run {summary.output_tokens}: "
            "others were served meanwhile"
        ]
    return []
