"""L3: ask for a function, run its tests in the sandbox."""

from __future__ import annotations

import re
import secrets
import sys
import tempfile
from pathlib import Path

from autosre_lab.evaluation.check import CheckResult
from autosre_lab.evaluation.conversation import Conversation
from autosre_lab.evaluation.humaneval.problems import Problem
from autosre_lab.evaluation.sandbox import Limits, run_sandboxed

__all__ = ["extract_code", "program", "solve"]

_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_LIMITS = Limits(seconds=10.0)
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
        EvaluationError: The model does not answer at all, or its code cannot be isolated.
    """
    ask = (
        "Complete this Python function. Answer with the whole function in one code block, its "
        f"imports included, and nothing else.\n\n```python\n{problem.prompt}```"
    )
    answer = conversation.ask(messages=[{"role": "user", "content": ask}], max_tokens=MAX_TOKENS)
    if answer.status != 200:
        said = (answer.message.get("error") or {}).get("message", "")
        return _result(problem, f"HTTP {answer.status}: {said}"[:200], passed=None)
    code, mark = extract_code(answer.text, problem), secrets.token_hex(8)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "program.py").write_text(program(problem, code, mark), "utf-8")
        outcome = run_sandboxed(
            [sys.executable, "-I", "program.py"],
            folder=Path(folder),
            limits=_LIMITS,
            allow_unsafe=allow_unsafe,
        )
    last = (outcome.output.strip().splitlines() or [""])[-1]
    if outcome.passed and last == mark:
        return _result(problem, "", passed=True)
    return _result(
        problem, outcome.ended_for or last[:200] or "ended before its tests", passed=False
    )


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


def program(problem: Problem, code: str, mark: str) -> str:
    """Return a program that prints the mark last if the code passes the problem's tests.

    The mark is not known to the code: ending the process before its tests does not pass.
    """
    imports = problem.prompt.split("def ", 1)[0]
    return f"{imports}\n{code}\n\n{problem.test}\n\ncheck({problem.entry_point})\nprint({mark!r})\n"


def _result(problem: Problem, detail: str, *, passed: bool | None) -> CheckResult:
    return CheckResult(level="L3", name=problem.task_id, passed=passed, detail=detail)
