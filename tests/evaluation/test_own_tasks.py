"""The user's own tasks, done by the real Claude Code in a copy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.agents.claude import Answer
from autosre_lab.agents.claude.trial import ClaudeTrial
from autosre_lab.agents.trial import TOKEN, by_round, call
from autosre_lab.errors import ClaudeCodeError, EvaluationError
from autosre_lab.evaluation.own_tasks import Task, evaluate_tasks, load_tasks
from autosre_lab.scripted.chat_engine import Turn
from autosre_lab.stack import Stack
from tests.agents.claude.conftest import MakeLab, claude_code, make_lab

__all__ = ["claude_code", "make_lab"]

CHECK = "import shop; assert shop.price('tea') == 3, 'tea has no price'"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.py").write_text("def price(name): return 0\n")
    (folder / "check.py").write_text(CHECK)
    return folder


def task(repository: Path, **more: Any) -> Task:
    fields = {
        "name": "price",
        "repository": repository,
        "prompt": "Give tea the price 3 in shop.py.",
        "check": [sys.executable, "check.py"],
        "check_files": [Path("check.py")],
        "seconds": 120,
    }
    return Task.model_validate(fields | more)


STACK = Stack(
    recipe_name="r",
    engine_url="http://127.0.0.1:1",
    proxy_url="http://127.0.0.1:2",
    token="t",
    model="m",
    max_model_len=8192,
    log_dir=None,
    request_log=None,
)
ANSWER = Answer(
    text="Done.",
    duration_s=2.0,
    ttft_s=0.1,
    input_tokens=100,
    cached_tokens=80,
    output_tokens=20,
    is_error=False,
    started_at=0.0,
    wall_s=2.5,
    raw={},
)


def writing(name: str, text: str) -> Any:
    """Stands in for Claude Code: writes one file."""

    def ask(_: str, *, cwd: Path, **__: Any) -> Answer:
        (cwd / name).write_text(text)
        return ANSWER

    return ask


def test_a_task_that_was_done_passes_and_the_original_stays_as_it_is(repository: Path) -> None:
    ask = writing("shop.py", "def price(name): return 3\n")
    [found] = evaluate_tasks([task(repository)], STACK, ask=ask)
    assert (found.level, found.passed) == ("L4", True)
    assert "100 tokens in (80 cached)" in found.detail
    assert "return 0" in (repository / "shop.py").read_text()


def test_a_task_that_was_not_done_fails_with_the_checks_words(repository: Path) -> None:
    [found] = evaluate_tasks([task(repository)], STACK, ask=writing("other.py", ""))
    assert found.passed is False
    assert "tea has no price" in found.detail


def test_changing_the_check_does_not_pass(repository: Path) -> None:
    [found] = evaluate_tasks([task(repository)], STACK, ask=writing("check.py", ""))
    assert found.passed is False


def test_a_check_that_passes_beforehand_proves_nothing(repository: Path) -> None:
    easy = task(repository, check=[sys.executable, "-c", "pass"])
    [found] = evaluate_tasks([easy], STACK, ask=writing("x", ""))
    assert found.passed is None


def test_a_check_that_never_ends_fails(repository: Path) -> None:
    endless = task(repository, check=[sys.executable, "-c", "while 1: pass"], check_seconds=0.5)
    [found] = evaluate_tasks([endless], STACK, ask=writing("x", ""))
    assert found.passed is False
    assert "more than 0.5 s" in found.detail


@pytest.mark.parametrize(("exit_code", "said"), [(None, "time is over"), (1, "Claude Code failed")])
def test_claude_code_that_fails_is_a_result(
    repository: Path, exit_code: int | None, said: str
) -> None:
    def ask(_: str, **__: Any) -> Answer:
        raise ClaudeCodeError("no answer", remedy="x", exit_code=exit_code, output="")

    [found] = evaluate_tasks([task(repository)], STACK, ask=ask)
    assert found.passed is False
    assert found.detail.startswith(said)


GOOD = """
schema: autosre.tasks/v1
tasks:
  - {name: a, repository: shop, prompt: x, check: [pytest, -q]}
"""


def test_a_task_file_is_read_with_paths_from_its_own_folder(repository: Path) -> None:
    file = repository.parent / "tasks.yaml"
    file.write_text(GOOD)
    assert load_tasks(file)[0].repository == repository


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "autosre.tasks/v1"),
        (GOOD.replace("v1", "v2"), "autosre.tasks/v1"),
        (GOOD.replace("shop", "none"), "no folder"),
        (GOOD.replace("[pytest, -q]", "pytest -q"), "list of words"),
        (GOOD + "  - {name: a, repository: shop, prompt: y, check: [x]}\n", "twice"),
    ],
)
def test_a_wrong_task_file_says_what_a_right_one_has(
    repository: Path, text: str, said: str
) -> None:
    file = repository.parent / "tasks.yaml"
    file.write_text(text)
    with pytest.raises(EvaluationError, match=said):
        load_tasks(file)


def stack_of(lab: ClaudeTrial) -> Stack:
    return Stack(
        recipe_name="scripted",
        engine_url=lab.upstream.url,
        proxy_url=lab.proxy_url,
        token=TOKEN,
        model=lab.upstream.model,
        max_model_len=lab.upstream.max_model_len,
        log_dir=None,
        request_log=lab.request_log,
    )


@pytest.mark.claude
def test_the_real_claude_code_does_a_task(make_lab: MakeLab, repository: Path) -> None:
    lab = make_lab()

    lab.upstream.script = by_round(
        Turn(tool_calls=[call("Bash", command="echo 'def price(name): return 3' > shop.py")]),
        Turn(text="All done."),
    )
    [done] = evaluate_tasks([task(repository)], stack_of(lab))
    assert done.passed is True, done.detail

    lab.upstream.script = by_round(Turn(text="I would rather not."))
    [left] = evaluate_tasks([task(repository)], stack_of(lab))
    assert left.passed is False
    assert "tea has no price" in left.detail
