"""Counts the steps of a real engine until a request that matters more has its first token.

Runs inside the engine's own Python, as ``python engine_steps.py``; the answer is the last line of
standard output. Steps, unlike seconds, are the same on every machine and however busy it is. The
same engine is asked with the hook at work and with the hook switched off, which is how vLLM
schedules by itself.
"""

from __future__ import annotations

import json
import os
from typing import Any

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}

from vllm import EngineArgs, SamplingParams
from vllm.v1.engine.llm_engine import LLMEngine

SLOTS, BLOCKS, BUDGET = 4, 10, 256
"""Blocks are of 128 tokens, and one of them is vLLM's own."""

# For each way of being busy: [priority, prompt, output] of those that run, then the step at which
# the one that matters comes, and its prompt.
LOADS: dict[str, tuple[list[tuple[int, int, int]], int, int]] = {
    "slots": ([(10, 20, 16)] * 4, 4, 20),
    "blocks": ([(10, 260, 16)] * 3, 6, 200),
    "budget": ([(10, 1000, 2)], 1, 20),
}
HIGH_OUTPUT = 3


class Counted:
    """One engine, and the requests that it is given."""

    def __init__(self) -> None:
        self.engine: Any = LLMEngine.from_engine_args(
            EngineArgs(
                model=os.environ["MODEL"],
                dtype="float32",  # only so are two batches of other sizes equal to the last bit
                max_model_len=1024,
                max_num_seqs=SLOTS,
                max_num_batched_tokens=BUDGET,
                num_gpu_blocks_override=BLOCKS,
                scheduling_policy="priority",
                scheduler_cls="autosre_priority_preempt.make_scheduler",
                enforce_eager=True,
                seed=0,
            )
        )
        self.scheduler = self.engine.engine_core.engine_core.scheduler

    def run(self, requests: dict[str, tuple[int, int, int, int]]) -> dict[str, Any]:
        """Serve ``(step, priority, prompt, output)`` each; returns the steps to the first token."""
        tokens: dict[str, list[int]] = {}
        steps: dict[str, int] = {}
        waiting, step = dict(requests), 0
        # Nobody finds what a run before has left.
        self.engine.reset_prefix_cache()
        while waiting or self.engine.has_unfinished_requests():
            for name, (at, priority, prompt, output) in list(waiting.items()):
                if at <= step:
                    del waiting[name]
                    self._add(name, priority, prompt, output)
            step += 1
            for answer in self.engine.step():
                if answer.outputs[0].token_ids:
                    steps.setdefault(answer.request_id, step - requests[answer.request_id][0])
                if answer.finished:
                    tokens[answer.request_id] = list(answer.outputs[0].token_ids)
        return {"tokens": tokens, "steps": steps}

    def _add(self, name: str, priority: int, prompt: int, output: int) -> None:
        sampling = SamplingParams(temperature=0, max_tokens=output, ignore_eos=True)
        content = sum(name.encode())
        ids = [1000 + (content * 31 + at * at) % 5000 for at in range(prompt)]
        self.engine.add_request(name, {"prompt_token_ids": ids}, sampling, priority=priority)


def main() -> None:
    counted = Counted()
    loads: dict[str, Any] = {}
    for load, (others, at, high_prompt) in LOADS.items():
        requests = {
            f"{load} {number}": (0, priority, prompt, output)
            for number, (priority, prompt, output) in enumerate(others)
        }
        requests[f"{load} high"] = (at, 0, high_prompt, HIGH_OUTPUT)
        high = f"{load} high"
        alone = {name: counted.run({name: (0, *one[1:])}) for name, one in requests.items()}
        counted.scheduler.preempt_active = False
        off = counted.run(requests)
        counted.scheduler.preempt_active = True
        before = dict(counted.scheduler.preempt_counts)
        on = counted.run(requests)
        loads[load] = {
            "idle": alone[high]["steps"][high],
            "off": off["steps"][high],
            "on": on["steps"][high],
            "same": on["tokens"] == {name: one["tokens"][name] for name, one in alone.items()},
            "counts": {
                name: count - before[name]
                for name, count in counted.scheduler.preempt_counts.items()
            },
        }
    print(json.dumps(loads))


if __name__ == "__main__":
    main()
