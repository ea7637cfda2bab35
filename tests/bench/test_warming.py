"""No measured request pays for a first time."""

from __future__ import annotations

import pytest

from autosre_lab.bench.measure import run_benchmark
from autosre_lab.bench.plan import Plan
from autosre_lab.bench.synthetic import make_workload
from autosre_lab.bench.warming import warm_up_sizes
from autosre_lab.scripted.chat_engine import CHARS_PER_TOKEN, Turn
from tests.bench.sessions import session, target_at, workload
from tests.bench.test_measure import scripted


@pytest.mark.parametrize(
    ("tokens", "sizes"),
    [(10, []), (63, []), (64, [64]), (300, [64, 256, 300]), (9000, [64, 256, 1024, 4096])],
)
def test_sizes_go_up_to_the_workloads_largest_prompt(tokens: int, sizes: list[int]) -> None:
    work = workload(session("a", "x" * (5 * tokens), system=""))
    assert list(dict.fromkeys(warm_up_sizes(work))) == sizes


def test_every_prompt_of_a_session_counts() -> None:
    # The second turn's prompt holds the first's.
    work = workload(session("a", "x" * 750, "y" * 750, system=""))
    assert warm_up_sizes(work)[-1] == 300


def test_prompts_of_several_sizes_go_first_and_are_new_each_time() -> None:
    # Of a mixture of experts on an H100 the first prompts of 300 tokens took 797 ms, later 125.
    work = make_workload("decode", requests=1, input_tokens=300, output_tokens=2)
    with scripted(*[Turn(text="a b c")] * 20) as upstream:
        for _ in range(2):
            run_benchmark(work, target_at(upstream.url), Plan(check_tokens=0))
        asked = [one.body["messages"][-1]["content"] for one in upstream.chats]
    first, second = asked[: len(asked) // 2], asked[len(asked) // 2 :]
    sizes = [len(text) // CHARS_PER_TOKEN for text in first]
    assert len(first) == 5
    assert sizes[0] < 10
    assert 50 < sizes[1] < 130 < sizes[2] < sizes[3] + 100
    assert abs(sizes[3] - sizes[4]) < 0.3 * sizes[4], "one as large as what is measured"
    assert not set(first[1:4]) & set(second[1:4])
