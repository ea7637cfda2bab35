"""The ladder: protocol, cache path, tool use, code, own tasks; from cheap to dear."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from autosre_lab.bench.target import Target
from autosre_lab.errors import AutosreError, ConfigError, EvaluationError
from autosre_lab.evaluation.cache_path import check_cache_path
from autosre_lab.evaluation.check import CheckResult
from autosre_lab.evaluation.conversation import Conversation
from autosre_lab.evaluation.protocol import check_protocol
from autosre_lab.evaluation.result import EvaluationResult
from autosre_lab.evaluation.short_form import cache_block_tokens
from autosre_lab.evaluation.tool_use import check_tool_use, scenario_names, tool_use_note
from autosre_lab.progress import step
from autosre_lab.recipe import Recipe
from autosre_lab.sandbox import isolation

__all__ = ["LEVELS", "evaluate", "needle_depths"]

LEVELS = {
    "L0": "the API keeps its promises",
    "L1": "answers out of the prefix cache are right",
    "L2": "tool use: the 15 core scenarios of tool-eval-bench, or more with a higher limit",
    "L3": "HumanEval, 164 Python functions tested in a sandbox",
}
"""What `evaluate` knows; L4, the user's own tasks, is `evaluate_tasks`."""

_DEPTHS = (600, 8_000, 32_000, 100_000)


def evaluate(
    target: Target,
    *,
    levels: Sequence[str] = ("L0", "L1"),
    limit: int | None = None,
    recipe: Recipe | None = None,
    window: int | None = None,
    journal: Path | None = None,
    allow_unsafe: bool = False,
) -> EvaluationResult:
    """Evaluate a running model.

    Args:
        target: Of the protocol ``messages``.
        levels: Of `LEVELS`.
        limit: Scenarios of L2 (15 by default) and problems of L3 (all by default).
        recipe: What is served, for the record.
        window: Context window in tokens; bounds how deep needles lie.
        journal: Keep each case here as it is judged, and go on from there after a kill.
        allow_unsafe: As for `run_sandboxed`.

    Raises:
        ConfigError: There is no such level.
        MissingExtraError: L2 without the extra ``eval``.
        EvaluationError: The target does not answer at all.
    """
    for level in levels:
        if level not in LEVELS:
            raise ConfigError(f"no level {level!r}", remedy=f"there are {', '.join(LEVELS)}")
    at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    checks: list[CheckResult] = []
    notes: list[str] = []
    if "L2" in levels:
        scenario_names()  # a missing extra is told before minutes of other levels
    if "L0" in levels:
        with step("Check the protocol"):
            checks += check_protocol(target)
    if "L1" in levels:
        tokens = 2 * cache_block_tokens(target)
        with step("Check the cache path"):
            checks += check_cache_path(
                target, depths=needle_depths(window, tokens), filler=max(300, tokens)
            )
    if "L2" in levels:
        checks += _tool_use(target, limit, journal)
        notes.append(tool_use_note())
    if "L3" in levels:
        checks += _functions(target, limit, journal, allow_unsafe=allow_unsafe)
        notes.append(f"sandbox: {isolation()}")
    return EvaluationResult(
        id=secrets.token_hex(4),
        at=at,
        badge=target.badge,
        model=target.model,
        checks=tuple(checks),
        seconds=time.perf_counter() - started,
        recipe=recipe.name if recipe is not None else None,
        recipe_sha256=_digest(recipe),
        engine=_engine(target),
        notes=tuple(notes),
    )


def needle_depths(window: int | None, least: int) -> tuple[int, ...]:
    """Return how deep needles lie: as far as three quarters of the window, and below 100k."""
    most = (window or 8192) * 0.75
    fitting = tuple(depth for depth in _DEPTHS if least <= depth <= most)
    return fitting or (least,)


def _tool_use(target: Target, limit: int | None, journal: Path | None) -> list[CheckResult]:
    names = scenario_names(limit)
    found = {one.name: one for one in _read(journal) if one.level == "L2" and one.name in names}
    with step("Use tools", total=len(names), unit="scenario") as bar:
        bar.advance(len(found))

        def keep(result: CheckResult) -> None:
            found[result.name] = result
            # The server's failure is not the model's: asked again next time.
            if result.passed is not None:
                _append(journal, result)
            bar.advance()
            bar.note(f"{sum(one.passed is True for one in found.values())} passed")

        check_tool_use(target, limit=limit, done=tuple(found), seen=keep)
    return [found[name] for name in names if name in found]


def _functions(
    target: Target, limit: int | None, journal: Path | None, *, allow_unsafe: bool
) -> list[CheckResult]:
    from autosre_lab.evaluation.humaneval import problems, solve

    chosen = problems()[:limit]
    done = {one.name: one for one in _read(journal) if one.level == "L3"}
    results = []
    with (
        Conversation(target) as conversation,
        step("Solve HumanEval", total=len(chosen), unit="problem") as bar,
    ):
        for problem in chosen:
            result = done.get(problem.task_id)
            if result is None:
                result = solve(conversation, problem, allow_unsafe=allow_unsafe)
                _append(journal, result)
            results.append(result)
            bar.advance()
            bar.note(f"{sum(one.passed is True for one in results)} passed")
    return results


def _read(journal: Path | None) -> list[CheckResult]:
    if journal is None or not journal.exists():
        return []
    found = []
    for line in journal.read_bytes().splitlines():
        try:
            found.append(msgspec.json.decode(line, type=CheckResult))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # the line that a kill cut off
    return found


def _append(journal: Path | None, result: CheckResult) -> None:
    if journal is None:
        return
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("ab") as file:
            file.write(msgspec.json.encode(result) + b"\n")
    except OSError as error:
        raise EvaluationError(
            f"the journal {journal} cannot be written: {error.strerror}",
            remedy="give another file, or make its folder writable",
        ) from error


def _digest(recipe: Recipe | None) -> str | None:
    if recipe is None:
        return None
    from autosre_lab.recipe.dump import recipe_sha256

    return recipe_sha256(recipe)


def _engine(target: Target) -> str | None:
    if target.engine_url is None:
        return None
    from autosre_lab.engine import VllmBackend

    try:
        with VllmBackend(target.engine_url, api_key=target.engine_key) as backend:
            return backend.version()
    except AutosreError:
        return None
