"""An evaluation with everything that is needed to repeat it, its file, and two side by side."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from autosre_lab.badges import Badge
from autosre_lab.bench.statistics import mcnemar_p, wilson_interval
from autosre_lab.errors import EvaluationError, NotComparableError
from autosre_lab.evaluation.check import CheckResult
from autosre_lab.private_files import write_whole

__all__ = [
    "SCHEMA",
    "EvaluationComparison",
    "EvaluationResult",
    "LevelScore",
    "compare_evaluations",
    "load_evaluation",
    "save_evaluation",
]

SCHEMA = "autosre.evaluation/v1"
SIGNIFICANT = 0.05


class LevelScore(msgspec.Struct, frozen=True, kw_only=True):
    """One level in figures.

    Attributes:
        level: L0 to L4.
        n: Cases that could be judged.
        passed: Of them.
        untold: Cases that could not be judged.
        interval: 95 % Wilson interval of the pass rate; None without cases.
    """

    level: str
    n: int
    passed: int
    untold: int
    interval: tuple[float, float] | None


class EvaluationResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        id: Short, unique.
        at: When it began, ISO 8601, UTC.
        badge: What produced it.
        model: The name asked for.
        recipe: The recipe's name, where it is known.
        recipe_sha256: Its digest.
        engine: vLLM's version, where it is known.
        temperature: Of every request.
        seconds: How long it took.
        checks: Every case, in order.
        notes: How it was made, such as the sandbox's isolation.
        schema: The file's kind.
    """

    id: str
    at: str
    badge: Badge
    model: str
    checks: tuple[CheckResult, ...]
    seconds: float
    recipe: str | None = None
    recipe_sha256: str | None = None
    engine: str | None = None
    temperature: float = 0.0
    notes: tuple[str, ...] = ()
    schema: str = SCHEMA

    @property
    def levels(self) -> list[LevelScore]:
        """Figures, level by level."""
        found = []
        for level in sorted({one.level for one in self.checks}):
            count = Counter(one.passed for one in self.checks if one.level == level)
            judged = count[True] + count[False]
            found.append(
                LevelScore(
                    level=level,
                    n=judged,
                    passed=count[True],
                    untold=count[None],
                    interval=wilson_interval(count[True], judged),
                )
            )
        return found

    def __repr__(self) -> str:
        rates = ", ".join(f"{one.level} {one.passed}/{one.n}" for one in self.levels)
        return f"<EvaluationResult {self.id}, {self.model}, {self.badge}: {rates}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from autosre_lab.evaluation.result_card import evaluation_card

        return evaluation_card(self).mimebundle()


class EvaluationComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two evaluations of the same cases, level by level.

    Attributes:
        level: L0 to L4.
        n: Cases that both judged.
        a: Passed by the first.
        b: Passed by the second.
        only_a: Cases that only the first passed.
        only_b: Cases that only the second passed.
        p: McNemar's exact two-sided p-value.
        verdict: ``better``, ``worse`` or ``no difference shown``; said of the second.
    """

    level: str
    n: int
    a: int
    b: int
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    p: float
    verdict: str


def compare_evaluations(a: EvaluationResult, b: EvaluationResult) -> list[EvaluationComparison]:
    """Compare two evaluations case by case.

    Raises:
        NotComparableError: They are not of the same cases, or not of the same temperature.
    """
    names = [{(one.level, one.name) for one in result.checks} for result in (a, b)]
    if names[0] != names[1]:
        odd = sorted(names[0] ^ names[1])[:3]
        raise NotComparableError(
            f"the evaluations are of different cases, such as {odd}",
            remedy="evaluate both with the same levels and limits",
        )
    if a.temperature != b.temperature:
        raise NotComparableError(
            f"one was made at temperature {a.temperature}, the other at {b.temperature}",
            remedy="evaluate both at the same temperature",
        )
    outcome = {(one.level, one.name): one.passed for one in b.checks}
    rows = []
    for level in sorted({one.level for one in a.checks}):
        pairs = [
            (one.name, one.passed, other)
            for one in a.checks
            if one.level == level and one.passed is not None
            if (other := outcome[level, one.name]) is not None
        ]
        only_a = tuple(name for name, first, second in pairs if first and not second)
        only_b = tuple(name for name, first, second in pairs if second and not first)
        p = mcnemar_p(len(only_a), len(only_b))
        different = "better" if len(only_b) > len(only_a) else "worse"
        rows.append(
            EvaluationComparison(
                level=level,
                n=len(pairs),
                a=sum(first is True for _, first, _ in pairs),
                b=sum(second is True for _, _, second in pairs),
                only_a=only_a,
                only_b=only_b,
                p=p,
                verdict=different if p < SIGNIFICANT else "no difference shown",
            )
        )
    return rows


def save_evaluation(result: EvaluationResult, path: str | Path) -> Path:
    """Write an evaluation as JSON.

    Returns:
        The file; its folder is made.
    """
    return write_whole(Path(path), msgspec.json.format(msgspec.json.encode(result), indent=1))


def load_evaluation(path: str | Path) -> EvaluationResult:
    """Read an evaluation's file.

    Raises:
        EvaluationError: There is none, or it is something else.
    """
    try:
        result = msgspec.json.decode(Path(path).read_bytes(), type=EvaluationResult)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvaluationError(
            f"{path} is not an evaluation: {error}",
            remedy="give a file that `autosre eval run --out FILE` wrote",
        ) from error
    if result.schema != SCHEMA:
        raise EvaluationError(
            f"{path} has schema {result.schema}, this version reads {SCHEMA}",
            remedy="evaluate again with this version",
        )
    return result
