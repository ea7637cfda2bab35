"""L3: ask for a function, run its tests in the sandbox."""

from __future__ import annotations

import json
import re
import secrets
import sys
from pathlib import Path

from autosre_lab.evaluation.check import CheckResult
from autosre_lab.evaluation.conversation import Conversation
from autosre_lab.evaluation.humaneval.problems import Problem
from autosre_lab.sandbox import SandboxLimits, run_sandboxed

__all__ = ["extract_code", "judge", "solve"]

_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_JUDGE = Path(__file__).with_name("judge.py")
_LIMITS = SandboxLimits(seconds=10.0)
MAX_TOKENS = 700


def solve(
    conversation: Conversation, problem: Problem, *, allow_unsafe: bool = False
) -> CheckResult:
    """Ask a model for a problem's function and test it: pass@1, greedy.

    Args:
        conversation: With the model.
        problem: The problem.
        allow_unsafe: As for `run_sandboxed`.

    Raises:
        EvaluationError: The model does not answer at all.
        SandboxError: Its code cannot be isolated here.
    """
    ask = (
        "Complete this Python function. Answer with the whole function in one code block, its "
        f"imports included, and nothing else.\n\n```python\n{problem.prompt}```"
    )
    answer = conversation.ask(messages=[{"role": "user", "content": ask}], max_tokens=MAX_TOKENS)
    if answer.status != 200:
        said = (answer.message.get("error") or {}).get("message", "")
        return _result(problem, f"HTTP {answer.status}: {said}"[:200], passed=None)
    said = judge(problem, extract_code(answer.text, problem), allow_unsafe=allow_unsafe)
    return _result(problem, said, passed=not said)


def judge(problem: Problem, code: str, *, allow_unsafe: bool = False) -> str:
    """Test a function; return "" where it passes, else what went wrong.

    The code runs in a process of its own, and the mark of a pass is in another that it cannot look
    into: neither ending early, nor reading its source or memory, nor an answer that equals
    everything passes.

    Raises:
        SandboxError: It cannot be isolated here.
    """
    mark = secrets.token_hex(16)
    given = {
        "prompt": problem.prompt,
        "test": problem.test,
        "entry_point": problem.entry_point,
        "code": code,
        "mark": mark,
    }
    outcome = run_sandboxed(
        [sys.executable, "-I", "-S", "-c", _JUDGE.read_text("utf-8")],
        stdin=json.dumps(given).encode(),
        limits=_LIMITS,
        allow_unsafe=allow_unsafe,
    )
    last = (outcome.output.strip().splitlines() or [""])[-1]
    if outcome.passed and secrets.compare_digest(last.encode(), mark.encode()):
        return ""
    return outcome.ended_for or last[:200] or "ended before its tests"


def extract_code(text: str, problem: Problem) -> str:
    """Return the code of an answer: its first block that defines the function, or all of it.

    An answer that is only the function's body is put under the prompt.
    """
    blocks = _FENCE.findall(text) or [text]
    for block in blocks:
        if f"def {problem.entry_point}" in block:
            return str(block)
    body = str(blocks[0])
    indented = "\n".join(f"    {line}" if line.strip() else line for line in body.splitlines())
    for candidate in (problem.prompt + body, problem.prompt + indented):
        try:
            compile(candidate, "answer", "exec")
        except (SyntaxError, ValueError, RecursionError):
            continue
        return candidate
    return body


def _result(problem: Problem, detail: str, *, passed: bool | None) -> CheckResult:
    return CheckResult(level="L3", name=problem.task_id, passed=passed, detail=detail)
