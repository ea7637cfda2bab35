"""Priority preemption for vLLM's V1 scheduler. This one file runs inside vLLM's own process.

    PYTHONPATH=<its folder> vllm serve … --scheduling-policy priority \
        --scheduler-cls autosre_priority_preempt.make_scheduler

vLLM's priority policy orders those who wait, and takes back KV blocks only when a *running*
request runs out of them. A request that matters more therefore still waits for a slot, for KV
blocks, and behind a long prefill for the step's token budget. This subclass closes all three:

* token budget: prefills that matter less stand aside for a step and keep their blocks (yield);
* slots: where none is free, one that matters less is evicted for each that waits;
* KV blocks: if the first in line could not be admitted for lack of blocks, the next step evicts.

An evicted request is computed again from what the prefix cache still holds, so eviction is the
last resort, capped per step and per request, and of equal victims the cheapest goes. With
`reserve_slots` the others never hold the last slots, so that most evictions are not needed.

Nothing of vLLM is changed: `make_scheduler` is called where vLLM would call its scheduler class.
It returns a subclass only if version, source and configuration are known; otherwise vLLM's own
scheduler, and says why in the log and in the status file. If planning ever fails, the subclass
switches itself off and vLLM's own scheduling goes on.

Standard library only; Python 3.11 to 3.13. Configuration: ``--additional-config
'{"autosre_preempt": {…}}'``, see `OPTIONS`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import math
import os
import time
from pathlib import Path

STATUS_VARIABLE = "AUTOSRE_PREEMPT_STATUS"
STRICT_VARIABLE = "AUTOSRE_PREEMPT_STRICT"
DEFAULT_STATUS_FILE = "/tmp/autosre_preempt_status.json"  # noqa: S108 - in the engine's container
CONFIG_KEY = "autosre_preempt"

# A child of vLLM's logger: shown with vLLM's own format and level.
log = logging.getLogger("vllm.autosre_priority_preempt")

OPTIONS = {
    # How much lower a priority must be to give way.
    "min_gap": 1,
    # Times that one request is evicted at most; bounds its starvation.
    "max_preemptions": 8,
    "max_evictions_per_step": 2,
    # Tokens that an evicted request must gain before it may be evicted again.
    "min_progress_tokens": 1,
    # Steps in a row that one prefill stands aside at most.
    "max_consecutive_yields": 64,
    # Stand aside until the other's first token, not only until it is admitted.
    "yield_until_first_token": True,
    # Slots that only priorities up to `reserve_priority` may take: they wait for no eviction.
    "reserve_slots": 0,
    "reserve_priority": 0,
}

# SHA-256 (first 16 digits) of the source of every method that this file builds on.
KNOWN_SOURCES = {
    "0.24.0": {
        "Scheduler.schedule": "7b869a5dcbce4fc0",
        "Scheduler._preempt_request": "bae4f4abffd31f04",
        "Scheduler.update_from_output": "31ade6d74c2a99ae",
        "Scheduler._update_after_schedule": "ffb224d26781a965",
        "AsyncScheduler._update_after_schedule": "c49d8b90a61c2b1d",
        "AsyncScheduler._update_request_with_output": "0a8d94d5aaa21fd9",
        "Request.__lt__": "3338588d1a8ec6a5",
    },
    "0.32.0": {
        "Scheduler.schedule": "da4f2cf2fc39c39e",
        "Scheduler._preempt_request": "4113f5de8a84ec25",
        "Scheduler.update_from_output": "85b29db96051135c",
        "Scheduler._update_after_schedule": "2b527eb8070d3cce",
        "AsyncScheduler._update_after_schedule": "138d47daea23cdfd",
        "AsyncScheduler._update_request_with_output": "c4c4ccac872af040",
        "Request.__lt__": "d5979307e8a02b82",
    },
}


class NotActiveError(RuntimeError):
    """Preemption is required (AUTOSRE_PREEMPT_STRICT) and cannot be active."""


def make_scheduler(**arguments):
    """Return the scheduler: ours on a vLLM that is known, else vLLM's own."""
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler
    from vllm.v1.core.sched.scheduler import Scheduler

    config = arguments["vllm_config"]
    # A subclass of the synchronous class would cost the overlap of two steps.
    base = AsyncScheduler if config.scheduler_config.async_scheduling else Scheduler
    try:
        reasons, facts = examine(config)
    except Exception as error:  # an unknown vLLM may break any of these looks
        reasons, facts = [f"this vLLM could not be examined: {error!r}"], {}
    facts["base"] = base.__name__
    if not reasons:
        facts["options"] = options_of(config)
    _write_status("refused" if reasons else "active", reasons, facts)
    if reasons:
        if os.environ.get(STRICT_VARIABLE, "0") not in ("", "0"):
            raise NotActiveError("; ".join(reasons))
        log.error("priority preemption is NOT active: %s", "; ".join(reasons))
        return base(**arguments)
    scheduler = type(f"PriorityPreempt{base.__name__}", (PriorityPreemption, base), {})(**arguments)
    scheduler.preempt_facts = facts
    log.warning("priority preemption is active on vLLM %s (%s)", facts["vllm"], base.__name__)
    return scheduler


def examine(config):
    """Return the reasons not to be active, and what was found. No reason means active."""
    import vllm
    from vllm.v1 import request
    from vllm.v1.core.sched import async_scheduler, scheduler

    version = vllm.__version__.split("+", 1)[0]
    digests = source_digests(scheduler.Scheduler, async_scheduler.AsyncScheduler, request.Request)
    facts = {"vllm": vllm.__version__, "digests": digests}
    reasons = []
    known = KNOWN_SOURCES.get(version)
    if known is None:
        reasons.append(
            f"vLLM {vllm.__version__} is unknown to it; it knows {', '.join(KNOWN_SOURCES)}"
        )
    else:
        changed = sorted(name for name in known if digests.get(name) != known[name])
        if changed:
            reasons.append(f"the source of {', '.join(changed)} is not that of vLLM {version}")
    return reasons + _unsuitable(config), facts


def source_digests(scheduler, async_scheduler, request):
    """Return the digest of each method's source; a missing one is told as such."""
    owners = {"Scheduler": scheduler, "AsyncScheduler": async_scheduler, "Request": request}
    digests = {}
    for name in next(iter(KNOWN_SOURCES.values())):
        owner, method = name.split(".")
        try:
            source = inspect.getsource(getattr(owners[owner], method, None)).encode()
        except (OSError, TypeError):
            digests[name] = "missing"
        else:
            digests[name] = hashlib.sha256(source).hexdigest()[:16]
    return digests


def _unsuitable(config):
    """Return what of vLLM's configuration this file was not written for."""
    reasons = []
    policy = str(getattr(config.scheduler_config.policy, "value", config.scheduler_config.policy))
    if policy != "priority":
        reasons.append(f"--scheduling-policy is {policy}, not priority")
    parallel = config.parallel_config
    if parallel.pipeline_parallel_size != 1 or parallel.data_parallel_size != 1:
        reasons.append("pipeline and data parallelism are not covered")
    if config.kv_transfer_config is not None:
        reasons.append("KV connectors are not covered")
    if config.lora_config is not None:
        reasons.append("LoRA's own admission limit is not covered")
    model = config.model_config
    if model.is_encoder_decoder or getattr(model, "is_diffusion", False):
        reasons.append("encoder-decoder and diffusion models are not covered")
    try:
        reserved = options_of(config)["reserve_slots"]
        if reserved and reserved >= config.scheduler_config.max_num_seqs:
            reasons.append(f"reserve_slots {reserved} leaves no slot for the others")
    except ValueError as error:
        reasons.append(str(error))
    return reasons


def options_of(config):
    """Return the options in force; raises ValueError for one that is unknown or unusable."""
    given = config.additional_config
    given = given.get(CONFIG_KEY, {}) if isinstance(given, dict) else {}
    if not isinstance(given, dict):
        raise ValueError(f"additional-config.{CONFIG_KEY} is not a map")
    for name, value in given.items():
        if name not in OPTIONS:
            raise ValueError(f"there is no option {name!r}; there are {', '.join(OPTIONS)}")
        usable = isinstance(value, bool) == isinstance(OPTIONS[name], bool)
        if not usable or not isinstance(value, int) or (value < 0 and name != "reserve_priority"):
            raise ValueError(f"option {name}: {value!r} is not usable")
    return {**OPTIONS, **given}


def _write_status(state, reasons, facts):
    content = {
        "status": state,
        "reasons": reasons,
        "sha256": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
        "pid": os.getpid(),
        **facts,
    }
    target = Path(os.environ.get(STATUS_VARIABLE) or DEFAULT_STATUS_FILE)
    try:
        partial = target.with_name(f"{target.name}.{os.getpid()}")
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        log.warning("the status file %s cannot be written: %s", target, error)


class PriorityPreemption:
    """What is laid over vLLM's scheduler: plans before a step, looks at it afterwards."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.preempt_options = options_of(self.vllm_config)
        self.preempt_active = True
        self.preempt_facts = {}
        self.preempt_counts = {"evicted_for_slot": 0, "evicted_for_blocks": 0, "yielded": 0}
        self._evicted_ids = set()  # not told to the workers yet
        self._short_of_blocks = None  # id of the first in line that only blocks held back
        self._tokens_at_eviction = {}
        self._yields = {}
        # 0.32 counts against a limit of its own, which sessions that wait for input fill too.
        own = hasattr(self, "max_num_active_reqs")
        self._limit = "max_num_active_reqs" if own else "max_num_running_reqs"

    # vLLM's own methods, extended -------------------------------------------------------------

    def schedule(self, *arguments, **named):  # noqa: D102 - vLLM's own
        # Owned here: whatever fails below, an evicted request goes back to the queue.
        parked, first = [], None
        limit = whole = getattr(self, self._limit)
        try:
            if self.preempt_active:
                first = self._plan(parked)
                limit = self._limit_for_this_step()
        except Exception as error:
            self._switch_off(error)
        try:
            setattr(self, self._limit, limit)
            output = super().schedule(*arguments, **named)
        finally:
            setattr(self, self._limit, whole)
            for request in parked:
                self.waiting.add_request(request)
        if self.preempt_active:
            try:
                self._look_back(output, first)
            except Exception as error:
                self._switch_off(error)
        return output

    def _update_after_schedule(self, scheduler_output):
        # vLLM 0.24 tells the workers only of victims that schedule() itself found, and a worker
        # that is not told keeps the slot for ever. 0.32 has an attribute that does it.
        if self._evicted_ids and not hasattr(self, "reset_preempted_req_ids"):
            told = set(scheduler_output.preempted_req_ids or ())
            scheduler_output.preempted_req_ids = told | self._evicted_ids
        self._evicted_ids = set()
        super()._update_after_schedule(scheduler_output)

    # Planning ---------------------------------------------------------------------------------

    def _plan(self, parked):
        """Make room for those that matter more; returns the first in line."""
        if not self.running or self._pause_state.name != "UNPAUSED":
            return None
        if len({request.priority for request in self.running}) > 1:
            # The step's budget is given out in this order. Also, 0.24 miscounts its index where
            # one that stands aside is not last (vllm-project/vllm#49097).
            self.running.sort(key=lambda request: request.priority)
        candidates = self._candidates()
        evictions = self.preempt_options["max_evictions_per_step"]
        evictions -= self._free_slots_for(candidates, evictions, parked)
        first = candidates[0] if candidates else None
        if first is not None and first.request_id == self._short_of_blocks:
            while evictions > 0 and self._evict_for(first, "evicted_for_blocks", parked):
                evictions -= 1
                pool = self.kv_cache_manager.block_pool
                if pool.get_num_free_blocks() * self.block_size >= first.num_tokens:
                    break  # perhaps enough; if not, the next step evicts again
        self._yield_to(first)
        return first

    def _free_slots_for(self, candidates, evictions, parked):
        """Evict one for each candidate that finds no slot; returns how many were."""
        done = 0
        for at, candidate in enumerate(candidates):
            if self._free_slots(candidate, promised=candidates[:at]) <= 0:
                if done >= evictions or not self._evict_for(candidate, "evicted_for_slot", parked):
                    break
                done += 1
        return done

    def _evict_for(self, candidate, reason, parked):
        victim = self._victim(candidate.priority)
        if victim is None:
            return False
        self.running.remove(victim)
        self._preempt_request(victim, time.monotonic())
        # Parked for this step: resumed within it, the workers would take it for one that never
        # left (0.24: KeyError in the V1 runner, a negative count of placeholders in the V2 one).
        self.waiting.remove_request(victim)
        parked.append(victim)
        self.prev_step_scheduled_req_ids.discard(victim.request_id)
        self._evicted_ids.add(victim.request_id)
        self._tokens_at_eviction[victim.request_id] = victim.num_tokens
        self.preempt_counts[reason] += 1
        log.info(
            "%s: %s (priority %d, %d tokens, %d times) for %s (priority %d)",
            *(reason, victim.request_id, victim.priority, victim.num_tokens),
            *(victim.num_preemptions, candidate.request_id, candidate.priority),
        )
        return True

    def _victim(self, priority):
        """Return who gives way: who matters least, then who costs least to compute again."""

        def least(request):
            cost = (request.num_preemptions, request.num_computed_tokens)
            return (request.priority, *(-part for part in cost), request.arrival_time)

        victims = [request for request in self.running if self._evictable(request, priority)]
        return max(victims, key=least, default=None)

    def _evictable(self, request, priority):
        options = self.preempt_options
        if request.priority < priority + options["min_gap"]:
            return False
        if request.status.name != "RUNNING" or getattr(request, "resumable", False):
            return False
        if request.num_preemptions >= options["max_preemptions"]:
            return False
        tokens_then = self._tokens_at_eviction.get(request.request_id, -math.inf)
        return request.num_tokens - tokens_then >= options["min_progress_tokens"]

    def _yield_to(self, first):
        """Let prefills that matter less stand aside for this step, their blocks kept."""
        options = self.preempt_options
        leads = [first.priority] if first and self._free_slots(first) > 0 else []
        if options["yield_until_first_token"]:
            leads += [r.priority for r in self.running if r.num_output_tokens == 0]
        if not leads:
            return
        for request in self.running:
            gives_way = request.priority >= min(leads) + options["min_gap"]
            if not (gives_way and request.is_prefill_chunk):
                continue
            times = self._yields.get(request.request_id, 0)
            if times >= options["max_consecutive_yields"]:
                del self._yields[request.request_id]
                continue
            # vLLM's own gate: schedule() passes over it in the step that comes.
            request.next_decode_eligible_step = self.current_step + 2
            self._yields[request.request_id] = times + 1
            self.preempt_counts["yielded"] += 1

    def _look_back(self, output, first):
        """Note whether only blocks held the first in line back, and forget who has left."""
        self._short_of_blocks = None
        if (
            first is not None
            and first.request_id not in output.num_scheduled_tokens
            and self._admissible(first)
            and self._free_slots(first) > 0
            and output.total_num_scheduled_tokens < self.max_num_scheduled_tokens
        ):
            self._short_of_blocks = first.request_id
        for request_id in output.finished_req_ids:
            self._tokens_at_eviction.pop(request_id, None)
            self._yields.pop(request_id, None)
        for request_id in output.num_scheduled_tokens:
            self._yields.pop(request_id, None)

    # Looking ----------------------------------------------------------------------------------

    def _queues(self):
        # The first exists since 0.32, the last until then.
        for name in ("kv_holding_waiting", "waiting", "skipped_waiting"):
            queue = getattr(self, name, None)
            if queue:
                yield queue

    def _candidates(self):
        """Return those that wait and matter more than somebody who runs, the first in line first.

        No more than may be served in one step: the queues can be long.
        """
        gap = self.preempt_options["min_gap"]
        limit = max(1, self.preempt_options["max_evictions_per_step"])
        worst = max(request.priority for request in self.running)
        found = []
        for queue in self._queues():
            if queue.peek_request().priority + gap > worst:
                continue
            for request in queue:
                if request.priority + gap > worst or len(found) >= 2 * limit:
                    break
                if self._admissible(request):
                    found.append(request)
        return sorted(found)[:limit]

    def _admissible(self, request):
        """Whether only slots, blocks or budget can keep it from being admitted now."""
        status = request.status.name
        if status == "WAITING_FOR_STRUCTURED_OUTPUT_GRAMMAR":
            output = request.structured_output_request
            grammar = getattr(output, "grammar", None) if output else None
            return grammar is not None and not isinstance(grammar, Exception)
        if status not in ("WAITING", "PREEMPTED"):
            return False
        stale = getattr(request, "num_stale_output_tokens", 0)
        return not stale or getattr(request, "drop_stale_output", False)

    def _free_slots(self, request=None, promised=()):
        """Return how many slots this one may take, or without one how many are free."""
        free = getattr(self, self._limit) - len(self.running) - len(promised)
        free -= getattr(self, "num_waiting_for_streaming_input", 0)
        if request is None or self._may_take_reserved(request):
            return free
        return min(free, self._unreserved_slots(promised))

    def _may_take_reserved(self, request):
        return request.priority <= self.preempt_options["reserve_priority"]

    def _unreserved_slots(self, promised=()):
        others = sum(not self._may_take_reserved(r) for r in (*self.running, *promised))
        return getattr(self, self._limit) - self.preempt_options["reserve_slots"] - others

    def _limit_for_this_step(self):
        """Return room for those who may take a reserved slot, then for what is not reserved.

        vLLM admits in the order of priority, so that a lower limit keeps out the right ones.
        """
        limit, free = getattr(self, self._limit), self._free_slots()
        if not self.preempt_options["reserve_slots"]:
            return limit
        entitled = 0
        for queue in self._queues():
            for request in queue:
                if entitled >= free or not self._may_take_reserved(request):
                    break
                entitled += self._admissible(request)
        return limit - free + min(free, entitled + max(0, self._unreserved_slots()))

    def _switch_off(self, error):
        self.preempt_active = False
        log.exception("priority preemption has switched itself off; vLLM's own scheduling goes on")
        _write_status("off", [f"planning failed: {error!r}"], self.preempt_facts)
