"""Are answers given beside others, and after evictions, those that are given alone?"""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx

from autosre_lab.metrics.vllm_text import read_engine_metrics
from autosre_lab.stack import Stack
from autosre_lab.studies.preemption import HIGH, LOW, client_of

__all__ = ["PROMPTS", "equality"]

PROMPTS = (
    "Write a long story about a lighthouse keeper who finds a letter in a bottle.",
    "Explain in detail how bread is made, from the grain to the table.",
    "Describe the history of the bicycle, decade by decade, with examples.",
    "List and explain twenty habits that help a person to learn a language.",
)
_PUSHING = 6


def equality(stack: Stack, *, tokens: int) -> dict[str, Any]:
    """Ask greedily alone, twice, then all at once while requests that matter more push in.

    Args:
        stack: What runs.
        tokens: Of each answer.
    """
    alone = [_ask(stack, prompt, tokens) for prompt in PROMPTS]
    again = [_ask(stack, prompt, tokens) for prompt in PROMPTS]
    before = _preemptions(stack)
    together = [""] * len(PROMPTS)

    def run(at: int) -> None:
        together[at] = _ask(stack, PROMPTS[at], tokens)

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(PROMPTS))]
    for thread in threads:
        thread.start()
    time.sleep(0.15)
    for number in range(_PUSHING):
        _ask(stack, f"{time.time_ns()} important {number} " + "word " * 40, 4, priority=HIGH)
        time.sleep(0.04)
    for thread in threads:
        thread.join()
    return {
        "alone_twice_same": sum(a == b for a, b in zip(alone, again, strict=True)),
        "together_same_as_alone": sum(a == b for a, b in zip(alone, together, strict=True)),
        "of": len(PROMPTS),
        "preemptions": _preemptions(stack) - before,
    }


def _ask(stack: Stack, prompt: str, tokens: int, *, priority: int = LOW) -> str:
    body = {
        "model": stack.model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0,
        "priority": priority,
        "ignore_eos": True,
    }
    with client_of(stack) as client:
        answer: httpx.Response = client.post("/v1/chat/completions", json=body)
        text: str = answer.raise_for_status().json()["choices"][0]["message"]["content"]
    return text


def _preemptions(stack: Stack) -> float:
    return read_engine_metrics(stack.engine_url, key=stack.engine_key).preemptions or 0.0
