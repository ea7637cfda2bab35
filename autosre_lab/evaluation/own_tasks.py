"""L4: the user's own repository, a task in it, and the tests that tell whether it was done.

Claude Code works in a copy; the original is never touched. Then the task's own check runs in the
sandbox, with the files that `check_files` names put back as they were, so that a model cannot pass
by changing its tests.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import pydantic
import yaml

from autosre_lab.errors import AutosreError, ClaudeCodeError, EvaluationError
from autosre_lab.evaluation.check import CheckResult
from autosre_lab.progress import step
from autosre_lab.sandbox import Outcome, SandboxLimits, remove, run_sandboxed, scratch_folder

if TYPE_CHECKING:
    from autosre_lab.agents.answer import Answer
    from autosre_lab.stack import Stack

__all__ = ["Task", "TaskFile", "evaluate_tasks", "load_tasks"]

_TOOLS = "--allowedTools=Bash,Read,Edit,Write,Glob,Grep"
_NAMES_LEFT_OUT = shutil.ignore_patterns(".venv", "node_modules", "__pycache__", ".mypy_cache")


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Return what is not copied: what can be made again, and what is no file (a FIFO hangs)."""
    special = {one for one in names if _special(Path(folder, one).lstat().st_mode)}
    return special | set(_NAMES_LEFT_OUT(folder, names))


def _special(mode: int) -> bool:
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


class Task(pydantic.BaseModel):
    """One task.

    Attributes:
        name: Unique in its file.
        repository: The folder to work in; relative to the task file.
        prompt: What Claude Code is asked to do.
        check: The command that ends with 0 if it was done; it runs in the copy.
        check_files: Files and folders put back as they were before the check.
        seconds: That Claude Code may take.
        check_seconds: That the check may take.
        network: The check may use the network.
        tools: Folders that the check may read besides the system's programs and this Python:
            where its own interpreter or packages are.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    repository: Path
    prompt: str
    check: Annotated[list[str], pydantic.Field(min_length=1)]
    check_files: list[Path] = []
    seconds: Annotated[float, pydantic.Field(gt=0)] = 900
    check_seconds: Annotated[float, pydantic.Field(gt=0)] = 120
    network: bool = False
    tools: list[Path] = []

    @pydantic.field_validator("check_files")
    @classmethod
    def _inside(cls, names: list[Path]) -> list[Path]:
        for name in names:
            if name.is_absolute() or ".." in name.parts or name == Path():
                raise ValueError(f"{name} is not inside the repository")
        return names


class TaskFile(pydantic.BaseModel):
    """A file of tasks."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    format: Annotated[Literal["autosre.tasks/v1"], pydantic.Field(alias="schema")]
    tasks: Annotated[list[Task], pydantic.Field(min_length=1)]


Ask = Callable[..., "Answer"]


def load_tasks(path: str | Path) -> list[Task]:
    """Read a task file.

    Raises:
        EvaluationError: It is not one, or a repository is not there.
    """
    file = Path(path)
    try:
        found = TaskFile.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, yaml.YAMLError, pydantic.ValidationError) as error:
        raise EvaluationError(
            f"{file} is not a task file: {error}",
            remedy="it has `schema: autosre.tasks/v1` and `tasks:`, each with name, repository, "
            "prompt and check (a list of words)",
        ) from error
    tasks = [
        task.model_copy(update={"repository": (file.parent / task.repository).resolve()})
        for task in found.tasks
    ]
    for task in tasks:
        if not task.repository.is_dir():
            raise EvaluationError(
                f"task {task.name}: no folder {task.repository}",
                remedy="correct `repository`; it is relative to the task file",
            )
    if len({task.name for task in tasks}) < len(tasks):
        raise EvaluationError(f"{file} names a task twice", remedy="give each its own name")
    return tasks


def evaluate_tasks(
    tasks: Sequence[Task],
    stack: Stack,
    *,
    ask: Ask | None = None,
    allow_unsafe: bool = False,
) -> list[CheckResult]:
    """Have the real Claude Code do each task, and check it.

    Args:
        tasks: From `load_tasks`.
        stack: That answers.
        ask: Runs Claude Code; `autosre_lab.claude.ask` by default.
        allow_unsafe: As for `run_sandboxed`.

    Returns:
        One result a task. A check that passes before anything was done proves nothing: such a
        task cannot be judged.

    Raises:
        SandboxError: The check cannot be isolated here.
    """
    do = ask if ask is not None else _claude()
    results = []
    with step("Do the tasks", total=len(tasks), unit="task") as bar:
        for task in tasks:
            bar.note(task.name)
            results.append(_one(task, stack, do, allow_unsafe=allow_unsafe))
            bar.advance()
    return results


def _claude() -> Ask:
    from autosre_lab.agents.asking import ask

    return ask


def _one(task: Task, stack: Stack, ask: Ask, *, allow_unsafe: bool) -> CheckResult:
    with scratch_folder("autosre-task-") as scratch:
        copy = scratch / task.repository.name
        shutil.copytree(task.repository, copy, symlinks=True, ignore=_left_out)
        before = _check(task, copy, allow_unsafe=allow_unsafe)
        if before.passed:
            return _result(task, "its check passes before anything was done", passed=None)
        if not before.started:
            said = f"{before.output}: name its folder in `tools`"
            return _result(task, said, passed=None)
        try:
            # Without the web, which says something else tomorrow.
            own = ["--web=none", _TOOLS]
            answer = ask(task.prompt, stack=stack, cwd=copy, args=own, timeout_s=task.seconds)
        except ClaudeCodeError as error:
            how = "time is over" if error.exit_code is None else "Claude Code failed"
            return _result(task, f"{how}: {error.message}"[:300], passed=False)
        except AutosreError as error:
            return _result(task, error.message[:300], passed=None)
        _put_back(task, copy)
        after = _check(task, copy, allow_unsafe=allow_unsafe)
    spent = (
        f"{answer.duration_s:.0f} s, {answer.input_tokens} tokens in "
        f"({answer.cached_tokens} cached), {answer.output_tokens} out"
    )
    last = after.output.strip().splitlines()[-1:] or [f"exit code {after.exit_code}"]
    said = spent if after.passed else f"{spent}; {after.ended_for or last[0][:200]}"
    return _result(task, said, passed=after.passed)


def _check(task: Task, copy: Path, *, allow_unsafe: bool) -> Outcome:
    return run_sandboxed(
        task.check,
        folder=copy,
        limits=SandboxLimits(
            seconds=task.check_seconds,
            memory_bytes=4 << 30,
            file_bytes=1 << 30,
            folder_bytes=4 << 30,
            processes=256,
        ),
        network=task.network,
        readable=[one.expanduser() for one in task.tools],
        allow_unsafe=allow_unsafe,
    )


def _put_back(task: Task, copy: Path) -> None:
    for name in task.check_files:
        source, target = task.repository / name, copy / name
        for parent in [*reversed(target.relative_to(copy).parents)][1:]:
            # A link on the way would lead out of the copy.
            if (copy / parent).is_symlink() or not (copy / parent).is_dir():
                (copy / parent).unlink(missing_ok=True)
                (copy / parent).mkdir()
        if target.is_dir() and not target.is_symlink():
            remove(target)
        else:
            target.unlink(missing_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=_left_out)
        elif source.exists():
            shutil.copy2(source, target)


def _result(task: Task, detail: str, *, passed: bool | None) -> CheckResult:
    return CheckResult(level="L4", name=task.name, passed=passed, detail=detail)
