"""Drives vLLM's real scheduler classes with a model worker that keeps its own truth.

Runs inside the engine's own Python, as ``python simulator.py`` with a JSON request on standard
input, because vLLM lives in an environment of its own.

The worker samples for a request when a step covers all tokens that it knows; the sampled token is
its absolute position. So whatever the scheduler loses, doubles or reorders shows up as a wrong
number. It also keeps the slots as vLLM's V2 runner does (freed by finished and preempted ids
only) and the tokens as the V1 runner does. Depth 2 is async scheduling: a step is planned while
the one before is still running.
"""

from __future__ import annotations

import collections
import json
import os
import random
import sys
import traceback
import types
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")

import autosre_priority_preempt as hook
import torch
import vllm
from vllm.engine.arg_utils import EngineArgs
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import DraftTokenIds, ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus
from vllm.v1.structured_output import StructuredOutputManager

BLOCK = 16
MAX_STEPS = 4000


def naive(base: Any) -> Any:
    """What a simple patch does: evict, then call schedule(). Kills 0.24's V2 runner."""

    class Naive(base):  # type: ignore[misc]
        def schedule(self, *arguments: Any, **named: Any) -> Any:
            while self.waiting and len(self.running) >= self.max_num_running_reqs:
                first = self.waiting.peek_request()
                victim = max(self.running, key=lambda r: (r.priority, r.arrival_time))
                if first.priority >= victim.priority:
                    break
                self.running.remove(victim)
                self._preempt_request(victim, 0.0)
            return super().schedule(*arguments, **named)

    return Naive


def without_parking(scheduler: Any) -> None:
    """Let an evicted request resume within the very step; kills 0.24's async scheduling."""

    def evict(self: Any, candidate: Any, reason: str, parked: list[Any]) -> bool:
        victim = self._victim(candidate.priority)
        if victim is None:
            return False
        self.running.remove(victim)
        self._preempt_request(victim, 0.0)
        self._evicted_ids.add(victim.request_id)
        self._tokens_at_eviction[victim.request_id] = victim.num_tokens
        self.preempt_counts[reason] += 1
        return True

    scheduler._evict_for = types.MethodType(evict, scheduler)


def arguments_for(setup: dict[str, Any]) -> dict[str, Any]:
    """Return what vLLM hands to its scheduler class."""
    model = os.environ["MODEL"]
    arguments = EngineArgs(
        model=model,
        tokenizer=model,
        dtype="float32",
        max_model_len=4096,
        max_num_seqs=setup["slots"],
        max_num_batched_tokens=setup.get("budget", 512),
        scheduling_policy=setup.get("policy", "priority"),
        enable_prefix_caching=setup.get("prefix", True),
        block_size=BLOCK,
        enforce_eager=True,
        gpu_memory_utilization=0.1,
    )
    config = arguments.create_engine_config()
    config.scheduler_config.async_scheduling = setup.get("asynchronous", False)
    config.cache_config.num_gpu_blocks = setup["blocks"]
    config.additional_config = {"autosre_preempt": setup.get("options", {})}
    spec = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=1, dtype=torch.float32)
    return {
        "vllm_config": config,
        "kv_cache_config": KVCacheConfig(
            num_blocks=setup["blocks"],
            kv_cache_tensors=[],
            kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)],
        ),
        "structured_output_manager": StructuredOutputManager(config),
        "block_size": BLOCK,
        "log_stats": True,
    }


def status() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        Path(os.environ["AUTOSRE_PREEMPT_STATUS"]).read_text(encoding="utf-8")
    )
    return content


class Lab:
    """One scheduler of one kind, and requests for it."""

    def __init__(self, kind: str, setup: dict[str, Any]) -> None:
        self.asynchronous = setup.get("asynchronous", False)
        self.v2 = setup.get("v2", False)
        self.spec = setup.get("spec", 0)
        self.options = {"reserve_slots": 0, "reserve_priority": 0, **setup.get("options", {})}
        named = arguments_for(setup)
        base = AsyncScheduler if self.asynchronous else Scheduler
        if kind == "stock":
            self.scheduler = base(**named)
        elif kind == "naive":
            self.scheduler = naive(base)(**named)
        else:
            self.scheduler = hook.make_scheduler(**named)
            assert isinstance(self.scheduler, hook.PriorityPreemption), "the hook refused"
            if kind == "without_parking":
                without_parking(self.scheduler)
            if kind == "broken":
                self.scheduler._candidates = lambda: 1 / 0
        self.scheduler.use_v2_model_runner = self.v2
        if self.spec:
            self.scheduler.num_spec_tokens = self.scheduler.num_lookahead_tokens = self.spec
            if self.asynchronous:
                self.scheduler._spec_token_placeholders = [-1] * self.spec
        init_none_hash(sha256)
        self._hasher = get_request_block_hasher(BLOCK, sha256)

    def request(self, name: str, prompt: int, priority: int, output: int, arrival: float) -> Any:
        sampling = SamplingParams(temperature=0, max_tokens=output, ignore_eos=True)
        sampling.update_from_generation_config({}, 49151)
        first = sum(name.encode()) * 7919 % 40000 + 50000  # other content in each prompt
        return Request(
            request_id=name,
            prompt_token_ids=[first + i for i in range(prompt)],
            sampling_params=sampling,
            pooling_params=None,
            arrival_time=arrival,
            priority=priority,
            block_hasher=self._hasher,
        )


class Worker:
    """What a model runner knows: only what the scheduler sent, and what it sampled itself."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.v2, self.asynchronous = lab.v2, lab.asynchronous
        self.free = lab.scheduler.max_num_running_reqs
        self.slots: set[str] = set()
        self.batch: set[str] = set()
        self.known: dict[str, int] = {}
        self.random = random.Random(seed)

    def step(self, output: Any) -> tuple[list[str], list[list[int]]]:
        gone = set(output.finished_req_ids)
        if self.v2:
            gone |= set(output.preempted_req_ids or ())
        self._release(gone)
        computed = {}
        for fresh in output.scheduled_new_reqs:
            if self.v2:
                self._release({fresh.req_id})
                assert self.free > 0, "No free indices"  # vllm/v1/worker/gpu/states.py
            self.free -= 1
            self.slots.add(fresh.req_id)
            computed[fresh.req_id] = fresh.num_computed_tokens
            tokens = fresh.prefill_token_ids if self.v2 else fresh.prompt_token_ids
            self.known[fresh.req_id] = len(tokens)
        cached = output.scheduled_cached_reqs
        computed.update(zip(cached.req_ids, cached.num_computed_tokens, strict=True))
        if not self.v2:
            self._update_v1(cached)
        self.batch = set(output.num_scheduled_tokens)
        ids = list(output.num_scheduled_tokens)
        return ids, [self._sample(name, computed[name], output) for name in ids]

    def _release(self, names: set[str]) -> None:
        self.free += len(names & self.slots)
        self.slots -= names

    def _update_v1(self, cached: Any) -> None:
        # vllm/v1/worker/gpu_model_runner.py, _update_states
        for name, outputs in zip(cached.req_ids, cached.num_output_tokens, strict=True):
            resumed = name in cached.resumed_req_ids
            if name in self.batch and not resumed:
                continue
            if name in cached.all_token_ids:
                count = len(cached.all_token_ids[name])
                self.known[name] = count if resumed else max(self.known[name], count)
            elif self.asynchronous and outputs > 0:
                raise KeyError(f"all_token_ids[{name}]")

    def _sample(self, name: str, computed: int, output: Any) -> list[int]:
        drafts = len(output.scheduled_spec_decode_tokens.get(name, ()))
        if computed + output.num_scheduled_tokens[name] - drafts < self.known[name]:
            return []
        accepted = 1 + (self.random.randint(0, drafts) if drafts else 0)
        tokens = list(range(self.known[name], self.known[name] + accepted))
        self.known[name] += accepted
        return tokens


class Run:
    """Arrivals and aborts by step, until everything is done."""

    def __init__(self, lab: Lab, seed: int = 0) -> None:
        self.lab, self.worker = lab, Worker(lab, seed)
        self.depth = 2 if lab.asynchronous else 1
        self.live: dict[str, Any] = {}
        self.outputs: dict[str, list[int]] = {}
        self.first: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.aborted: set[str] = set()

    def go(self, arrivals: dict[int, list[Any]], aborts: dict[int, list[str]]) -> dict[str, Any]:
        scheduler = self.lab.scheduler
        flying: collections.deque[Any] = collections.deque()
        step = 0
        while step < MAX_STEPS:
            for request in arrivals.get(step, ()):
                self.live[request.request_id] = request
                self.outputs[request.request_id] = []
                scheduler.add_request(request)
            for name in aborts.get(step, ()):
                if name in scheduler.requests:
                    scheduler.finish_requests(name, RequestStatus.FINISHED_ABORTED)
                    self.aborted.add(name)
            if scheduler.has_unfinished_requests():
                planned = scheduler.schedule()
                self._verify_reserved()
                flying.appendleft((planned, *self.worker.step(planned)))
                if len(flying) < self.depth and planned.total_num_scheduled_tokens:
                    step += 1
                    continue
                self._finish(flying.pop(), step)
            elif flying:
                self._finish(flying.pop(), step)
            elif step > max(arrivals):
                break
            step += 1
        self._verify()
        preempted = {name: r.num_preemptions for name, r in self.live.items()}
        return {
            "first": self.first,
            "done": self.done,
            "preempted": preempted,
            "counts": getattr(scheduler, "preempt_counts", {}),
            "active": getattr(scheduler, "preempt_active", False),
            "status": status() if hasattr(scheduler, "preempt_active") else None,
        }

    def _finish(self, flown: tuple[Any, list[str], list[list[int]]], step: int) -> None:
        planned, ids, tokens = flown
        scheduler = self.lab.scheduler
        result = ModelRunnerOutput(
            req_ids=ids,
            req_id_to_index={name: at for at, name in enumerate(ids)},
            sampled_token_ids=[list(one) for one in tokens],
            logprobs=None,
            prompt_logprobs_dict={},
            pooler_output=[],
        )
        answers = scheduler.update_from_output(planned, result)
        if self.lab.spec and self.depth == 1:
            sampled = [name for name, one in zip(ids, tokens, strict=True) if one]
            drafts = [[7] * self.lab.spec for _ in sampled]
            scheduler.update_draft_token_ids(DraftTokenIds(sampled, drafts))
        for answer in answers.values():
            for output in answer.outputs:
                self.outputs[output.request_id] += list(output.new_token_ids)
                if output.new_token_ids:
                    self.first.setdefault(output.request_id, step)
                if output.finish_reason is not None:
                    self.done[output.request_id] = step

    def _verify_reserved(self) -> None:
        scheduler, options = self.lab.scheduler, self.lab.options
        others = [r for r in scheduler.running if r.priority > options["reserve_priority"]]
        assert len(others) <= scheduler.max_num_running_reqs - options["reserve_slots"]

    def _verify(self) -> None:
        for name, request in self.live.items():
            if name in self.aborted:
                continue
            assert name in self.done, f"{name} never finished"
            start = request.num_prompt_tokens
            expected = list(range(start, start + request.max_tokens))
            assert self.outputs[name] == expected, f"{name}: tokens wrong"


def scenario(case: dict[str, Any]) -> dict[str, Any]:
    """Run one described case: ``requests`` as [step, name, prompt, priority, output]."""
    lab = Lab(case["kind"], case["setup"])
    arrivals: dict[int, list[Any]] = {}
    for number, (step, name, prompt, priority, output) in enumerate(case["requests"]):
        request = lab.request(name, prompt, priority, output, 1.0 + number)
        arrivals.setdefault(step, []).append(request)
    return Run(lab).go(arrivals, {})


def fuzz(case: dict[str, Any]) -> dict[str, Any]:
    """Run random loads; returns how often each failure came, and how much was done."""
    failures: collections.Counter[str] = collections.Counter()
    actions = preemptions = 0
    for seed in range(case["seeds"]):
        source = random.Random(seed)
        setup = {
            **case["setup"],
            "slots": source.choice([2, 3, 5, 8]),
            "blocks": source.choice([60, 90, 200]),
            "budget": source.choice([64, 128, 512]),
            "prefix": source.random() < 0.7,
        }
        lab = Lab(case["kind"], setup)
        arrivals: dict[int, list[Any]] = {}
        aborts: dict[int, list[str]] = {}
        for number in range(source.randint(8, 24)):
            step, name = source.randint(0, 60), f"r{number}"
            request = lab.request(
                name,
                source.randint(5, 400),
                source.choice([0, 0, 5, 10, 10, 10]),
                source.randint(1, 60),
                1.0 + number,
            )
            arrivals.setdefault(step, []).append(request)
            if source.random() < 0.15:
                aborts.setdefault(step + source.randint(1, 40), []).append(name)
        try:
            result = Run(lab, seed).go(arrivals, aborts)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1].name
            failures[f"{type(error).__name__} {str(error)[:60]} in {place}"] += 1
        else:
            actions += sum(result["counts"].values())
            preemptions += sum(result["preempted"].values())
    return {"failures": dict(failures), "actions": actions, "preemptions": preemptions}


def refusal(case: dict[str, Any]) -> dict[str, Any]:
    """Make a scheduler where the hook must not be active, and again where it is required."""
    named = arguments_for(case["setup"])
    before = Scheduler._preempt_request, vllm.__version__
    if case["kind"] == "changed":
        Scheduler._preempt_request = lambda self, request, timestamp: before[0](
            self, request, timestamp
        )
    if case["kind"] == "unknown":
        vllm.__version__ = "0.99.0"
    try:
        made = hook.make_scheduler(**named)
        os.environ["AUTOSRE_PREEMPT_STRICT"] = "1"
        try:
            hook.make_scheduler(**named)
        except hook.NotActiveError as error:
            strict = str(error)
        else:
            strict = ""
    finally:
        Scheduler._preempt_request, vllm.__version__ = before
        os.environ.pop("AUTOSRE_PREEMPT_STRICT", None)
    return {"made": type(made).__name__, "strict": strict, "status": status()}


def run(case: dict[str, Any]) -> dict[str, Any]:
    if "seeds" in case:
        return fuzz(case)
    return scenario(case) if "requests" in case else refusal(case)


def main() -> None:
    cases = json.load(sys.stdin)
    results = [run(case) for case in cases]
    # vLLM writes to standard output as it likes; the last line is ours.
    print(json.dumps({"vllm": vllm.__version__, "results": results}))


if __name__ == "__main__":
    main()
