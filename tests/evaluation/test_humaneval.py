"""HumanEval's problems, and what is made of an answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.bench.target import badge_of, target_of
from autosre_lab.errors import ConfigError
from autosre_lab.evaluation import evaluate
from autosre_lab.evaluation.humaneval import Problem, extract_code, problems
from autosre_lab.evaluation.humaneval.solving import judge
from autosre_lab.evaluation.ladder import needle_depths
from autosre_lab.recipe import load_recipe
from autosre_lab.sandbox import isolation
from autosre_lab.stack import Stack
from tests.evaluation.scripted_messages import ApiReply, messages_server

FIRST = problems()[0]


def solutions(request: dict[str, Any], _: bool) -> ApiReply:
    """The right function for every problem."""
    prompt = request["messages"][0]["content"]
    problem = next(one for one in problems() if one.prompt in prompt)
    return {"text": f"```python\n{problem.prompt}{problem.canonical_solution}```"}


def test_there_are_the_164_problems() -> None:
    assert [one.task_id for one in problems()] == [f"HumanEval/{n}" for n in range(164)]


def test_right_functions_pass_and_wrong_ones_do_not() -> None:
    with messages_server(solutions) as target:
        right = evaluate(target, levels=["L3"], limit=6)
    with messages_server(lambda *_: {"text": "```python\npass\n```"}) as target:
        wrong = evaluate(target, levels=["L3"], limit=2)
    assert [one.passed for one in right.checks] == [True] * 6
    assert [one.passed for one in wrong.checks] == [False] * 2
    assert right.notes == (f"sandbox: {isolation()}",)
    score = right.levels[0]
    assert (score.n, score.passed) == (6, 6)
    assert score.interval is not None
    assert score.interval[0] < 0.7  # six of six do not show a certain pass


@pytest.mark.parametrize("early", ["raise SystemExit(0)", "import os; os._exit(0)", "exit()"])
def test_ending_before_the_tests_is_no_pass(early: str) -> None:
    code = f"```python\ndef {FIRST.entry_point}(a, b): return True\n{early}\n```"
    with messages_server(lambda *_: {"text": code}) as target:
        found = evaluate(target, levels=["L3"], limit=1)
    assert found.checks[0].passed is False


CHEATS = {
    "equals everything": "class A:\n    def __eq__(self, other): return True\n"
    "    def __bool__(self): return True\n"
    "def {name}(*_): return A()",
    "reads its own source": "import sys, __main__\ndef {name}(*_):\n"
    "    text = open(sys.argv[0] or __file__).read()\n    print(text.split()[-1])\n    return 1",
    "reads what runs": "import os\ndef {name}(*_):\n"
    "    for at in os.listdir('/proc'):\n"
    "        if at.isdigit():\n"
    "            for what in ('environ', 'cmdline', 'fd/0', 'fd/1', 'mem'):\n"
    "                try: print(open(f'/proc/{{at}}/{{what}}', 'rb').read(65536))\n"
    "                except OSError: pass\n    return 1",
    "writes to what judges": "import os\ndef {name}(*_):\n"
    "    for at in os.listdir('/proc'):\n        for fd in range(8):\n"
    "            try: os.write(os.open(f'/proc/{{at}}/fd/{{fd}}', os.O_WRONLY), b'True\\n')\n"
    "            except OSError: pass\n    return 1",
    "patches assert away": "import builtins, sys\nbuiltins.AssertionError = type(None)\n"
    "sys.excepthook = lambda *_: None\nsys.settrace(lambda *_: None)\n"
    "def {name}(*_): return 1",
    "kills what judges": "import os\ndef {name}(*_):\n    os.kill(os.getppid(), 9)\n    return 1",
    "answers with code": "import sys\ndef {name}(*_):\n"
    "    sys.stdout.write('v__import__(\\'os\\')._exit(0)\\n')\n    return 1",
    "answers too deep": "def {name}(*_):\n    found = []\n"
    "    for _ in range(100000): found = [found]\n    return found",
    "a forged answer": "import os\ndef {name}(*_):\n"
    "    os.write(1, b'v' + b'(' * 100000 + b'\\n')\n    os._exit(0)",
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_does_not_pass(cheat: str) -> None:
    for problem in (problems()[0], problems()[2]):
        assert judge(problem, CHEATS[cheat].format(name=problem.entry_point)) != ""


def test_every_problems_own_solution_passes() -> None:
    def said(problem: Problem) -> str:
        return judge(problem, problem.prompt + problem.canonical_solution)

    with ThreadPoolExecutor(4) as pool:
        found = dict(
            zip([one.task_id for one in problems()], pool.map(said, problems()), strict=True)
        )
    assert {name: why for name, why in found.items() if why} == {}


@pytest.mark.parametrize(
    "text",
    [
        f"Here it is:\n```python\n{FIRST.prompt}{FIRST.canonical_solution}```\nDone.",
        f"```\n{FIRST.prompt}{FIRST.canonical_solution}```",
        f"{FIRST.prompt}{FIRST.canonical_solution}",
        f"```python\n{FIRST.canonical_solution}```",
        f"```python\nprint('an example')\n```\n```py\n{FIRST.prompt}{FIRST.canonical_solution}",
        "```python\n"
        + "\n".join(line[4:] for line in FIRST.canonical_solution.splitlines())
        + "\n```",
    ],
)
def test_the_function_is_found_however_it_is_wrapped(text: str) -> None:
    code = extract_code(text, FIRST)
    scope: dict[str, Any] = {}
    exec("from typing import List\n" + code, scope)
    assert scope[FIRST.entry_point]([1.0, 2.0], 3.0) is True


def test_an_answer_without_code_is_no_error() -> None:
    problem = Problem(
        task_id="x", prompt="def f():\n", entry_point="f", canonical_solution="", test=""
    )
    assert extract_code("I cannot do that.", problem) == "I cannot do that."


def test_an_evaluation_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    journal = tmp_path / "deep" / "journal.jsonl"
    asked: list[str] = []

    def counting(request: dict[str, Any], again: bool) -> ApiReply:
        asked.append(request["messages"][0]["content"])
        return solutions(request, again)

    with messages_server(counting) as target:
        evaluate(target, levels=["L3"], limit=3, journal=journal)
        with journal.open("a") as file:
            file.write('{"level": "L3", "na')
        again = evaluate(target, levels=["L3"], limit=4, journal=journal)
    assert len(asked) == 4
    assert [one.passed for one in again.checks] == [True] * 4


def test_a_level_that_is_not_there_is_named() -> None:
    with messages_server() as target, pytest.raises(ConfigError, match="L0, L1, L2, L3"):
        evaluate(target, levels=["L9"])


@pytest.mark.parametrize(
    ("window", "least", "depths"),
    [(8192, 256, (600,)), (131_072, 256, (600, 8000, 32_000)), (8192, 2000, (2000,))],
)
def test_needles_lie_where_the_window_has_room(
    window: int, least: int, depths: tuple[int, ...]
) -> None:
    assert needle_depths(window, least) == depths


@pytest.mark.engine
def test_a_real_small_model_is_evaluated_as_it_is(real_stack: Stack, tmp_path: Path) -> None:
    recipe = load_recipe("smollm2-135m-cpu")
    found = evaluate(
        target_of(real_stack, badge=badge_of(recipe)), levels=["L3"], limit=3, recipe=recipe
    )
    assert all(one.passed is not None for one in found.checks), found.checks
    assert (found.badge, found.engine, found.recipe) == ("cpu-engine", "0.32.0", recipe.name)
