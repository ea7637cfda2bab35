"""L2: does the model choose the right tools, and stop when it should? tool-eval-bench asks.

Its scenarios are conversations of several turns with tools that answer the same each time, judged
by rules, not by a model. They go through the Messages API, the way Claude Code's requests go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from autosre_lab.bench.running import run_async
from autosre_lab.bench.target import Target
from autosre_lab.errors import EvaluationError, MissingExtraError
from autosre_lab.evaluation.check import CheckResult

if TYPE_CHECKING:
    from tool_eval_bench.domain.scenarios import ScenarioDefinition, ScenarioResult

__all__ = ["CORE", "check_tool_use", "scenario_names", "tool_use_note"]

CORE = 15
"""Scenarios of its short form, which come first."""

_REQUEST_S = 300.0


def scenario_names(limit: int | None = None) -> list[str]:
    """Return the scenarios' names in their order.

    Args:
        limit: So many; the 15 of the short form by default.

    Raises:
        MissingExtraError: tool-eval-bench is not installed.
    """
    return [_name(one) for one in _scenarios()[: CORE if limit is None else limit]]


def tool_use_note() -> str:
    """Return which version asked, for the record."""
    _scenarios()
    import tool_eval_bench

    return f"L2: tool-eval-bench {tool_eval_bench.__version__}, each scenario once, greedy"


def check_tool_use(
    target: Target,
    *,
    limit: int | None = None,
    done: Collection[str] = (),
    seen: Callable[[CheckResult], None] | None = None,
) -> list[CheckResult]:
    """Have tool-eval-bench ask a live target.

    Args:
        target: Of the protocol ``messages``.
        limit: So many scenarios; the 15 of the short form by default.
        done: Names of scenarios to leave out.
        seen: Called with each result as it comes.

    Returns:
        One result a scenario. Half a solution is none; what the server failed at is not told.

    Raises:
        MissingExtraError: tool-eval-bench is not installed.
        EvaluationError: The target speaks another API, or does not answer at all.
    """
    if target.protocol != "messages":
        raise EvaluationError(
            f"{target.url} is asked through the {target.protocol} API",
            remedy="evaluate through the proxy, which speaks the Messages API",
        )
    chosen = [
        one for one in _scenarios()[: CORE if limit is None else limit] if _name(one) not in done
    ]
    results: list[CheckResult] = []

    async def keep(
        scenario: ScenarioDefinition, result: ScenarioResult, at: int, total: int
    ) -> None:
        found = _check(scenario, result)
        results.append(found)
        if seen is not None:
            seen(found)

    if chosen:
        run_async(_ask(target, chosen, keep))
    if results and all(one.passed is None for one in results):
        raise EvaluationError(
            f"{target.url} answered none of {len(results)} scenarios: {results[0].detail}",
            remedy="`autosre status` says whether the stack runs and why not",
        )
    return results


async def _ask(target: Target, scenarios: list[ScenarioDefinition], keep: Any) -> None:
    from tool_eval_bench.api import run_benchmark

    await run_benchmark(
        model=target.model,
        base_url=target.url,
        backend="vllm",
        api_key=target.token,
        wire_format="anthropic",
        scenarios=scenarios,
        timeout_seconds=_REQUEST_S,
        persist=False,
        # It would ask for what the proxy does not serve.
        probe_engine=False,
        on_scenario_result=keep,
    )


def _scenarios() -> list[ScenarioDefinition]:
    try:
        from tool_eval_bench.evals.scenarios import ALL_SCENARIOS
    except ImportError as error:
        raise MissingExtraError("L2, tool-eval-bench,", extra="eval") from error
    return list(ALL_SCENARIOS)


def _name(scenario: ScenarioDefinition) -> str:
    return f"{scenario.id} {scenario.title}"


def _check(scenario: ScenarioDefinition, result: ScenarioResult) -> CheckResult:
    passed = None if result.is_infrastructure_failure else result.status.value == "pass"
    said = " ".join(part for part in (result.summary, result.note) if part)
    half = "half: " if result.status.value == "partial" else ""
    return CheckResult(
        level="L2", name=_name(scenario), passed=passed, detail=f"{half}{said}"[:300]
    )
