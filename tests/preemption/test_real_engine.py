"""The hook in a real vLLM: who matters more goes first, and nobody's answer changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from autosre_lab.engine import VllmBackend
from autosre_lab.local import start, stop
from autosre_lab.preemption import hook_sha256, parse_status
from autosre_lab.recipe import parse_recipe
from autosre_lab.settings import paths
from autosre_lab.stack import Stack
from autosre_lab.studies.preemption import SLOTS, busy_recipe
from tests.preemption.real_vllm import count_steps

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

LOW_TOKENS = 120


@pytest.fixture
def stack() -> Iterator[Stack]:
    tree = busy_recipe("hook").model_dump(by_alias=True, exclude_defaults=True)
    # Only so are two batches of other sizes equal to the last bit.
    tree["engine"]["args"]["dtype"] = "float32"
    yield start(parse_recipe({"schema": "autosre.recipe/v1", **tree}))
    stop()


def complete(stack: Stack, prompt: str, tokens: int, priority: int) -> str:
    body = {
        "model": stack.model,
        "prompt": prompt,
        "max_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
        "priority": priority,
    }
    answer = httpx.post(
        f"{stack.engine_url}/v1/completions",
        json=body,
        headers=stack.engine_headers,
        timeout=300,
    )
    answer.raise_for_status()
    return str(answer.json()["choices"][0]["text"])


def test_who_matters_more_goes_first_and_nobodys_answer_changes(stack: Stack) -> None:
    status = parse_status((paths().state / "preemption.json").read_text(encoding="utf-8"))
    assert status is not None
    assert (status.state, status.reasons, status.sha256) == ("active", (), hook_sha256())
    prompts = [f"Story {n}: once upon a time there was" for n in range(SLOTS)]
    alone = [complete(stack, prompt, LOW_TOKENS, 10) for prompt in prompts]
    high_alone = complete(stack, "The capital of France is", 8, -10)

    order: list[str] = []
    together = dict[str, str]()

    def low(prompt: str) -> None:
        together[prompt] = complete(stack, prompt, LOW_TOKENS, 10)
        order.append(prompt)

    threads = [threading.Thread(target=low, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    with VllmBackend(stack.engine_url) as backend:
        deadline = time.monotonic() + 60
        while metric(backend, "num_requests_running") < SLOTS:
            assert time.monotonic() < deadline, "the load does not start"
        high = complete(stack, "The capital of France is", 8, -10)
        order.append("high")
        for thread in threads:
            thread.join()
        assert metric(backend, "num_preemptions_total") >= 1

    assert order[0] == "high"
    assert high == high_alone
    assert [together[prompt] for prompt in prompts] == alone


def test_the_first_token_comes_within_one_and_a_half_times_idle_and_a_step() -> None:
    for load, found in count_steps().items():
        bound = 1.5 * found["idle"] + 1
        assert found["on"] <= bound < found["off"], (load, found)
        # In fp32 each answer is what it is alone, evicted or not.
        assert found["same"], load
        # A long prefill loses nothing, and no more is evicted than is needed.
        evicted = found["counts"]["evicted_for_slot"] + found["counts"]["evicted_for_blocks"]
        assert evicted == (0 if load == "budget" else 1), (load, found)


def metric(backend: VllmBackend, name: str) -> float:
    return sum(
        float(line.split()[-1])
        for line in backend.metrics_text().splitlines()
        if line.startswith(f"vllm:{name}{{")
    )
