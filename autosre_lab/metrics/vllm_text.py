"""Read the text that vLLM exposes at `/metrics`, of 0.24 to 0.33 and of what comes between.

Facts this rests on: the parser strips `_total` from counters' families, but
`vllm:iteration_tokens_total` is a histogram of that name; each counter and histogram also exposes
a `_created` gauge; `kv_cache_usage_perc` is 0 to 1; every series carries `model_name` and
`engine`, of which a data-parallel server has several.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from autosre_lab.engine.protocol import engine_url
from autosre_lab.errors import RemoteError
from autosre_lab.metrics.engine_sample import EngineSample, Histogram

__all__ = ["parse_engine_metrics", "read_engine_metrics"]

_PREFIX = "vllm:"

_SUMS = {
    "num_requests_running": "running",
    "num_requests_waiting": "waiting",
    "prompt_tokens": "prompt_tokens",
    "prompt_tokens_cached": "prompt_tokens_cached",
    "generation_tokens": "generation_tokens",
    "prefix_cache_queries": "prefix_queries_tokens",
    "prefix_cache_hits": "prefix_hits_tokens",
    "num_preemptions": "preemptions",
    "admission_rejections": "rejections",
    "spec_decode_num_drafts": "drafts",
    "spec_decode_num_draft_tokens": "draft_tokens",
    "spec_decode_num_accepted_tokens": "accepted_tokens",
    "estimated_flops_per_gpu": "flops",
    "estimated_read_bytes_per_gpu": "read_bytes",
    "estimated_write_bytes_per_gpu": "write_bytes",
}
_BY_LABEL = {
    "num_requests_waiting_by_reason": (
        "reason",
        {"capacity": "waiting_capacity", "deferred": "waiting_deferred"},
    ),
    "prompt_tokens_by_source": (
        "source",
        {
            "local_compute": "prompt_tokens_computed",
            "local_cache_hit": "prompt_tokens_hit",
            "external_kv_transfer": "prompt_tokens_transferred",
        },
    ),
}
_MAPPINGS = {
    "request_success": ("finished", ("finished_reason",)),
    "tool_call_parser_invocations": ("tool_parser_calls", ("mode", "outcome", "request_type")),
}
_HISTOGRAMS = {
    "time_to_first_token_seconds": "ttft_s",
    "inter_token_latency_seconds": "itl_s",
    "request_time_per_output_token_seconds": "tpot_s",
    "e2e_request_latency_seconds": "e2e_s",
    "request_queue_time_seconds": "queue_s",
    "request_prefill_time_seconds": "prefill_s",
    "request_decode_time_seconds": "decode_s",
    "request_inference_time_seconds": "inference_s",
    "request_prompt_tokens": "request_prompt_tokens",
    "request_generation_tokens": "request_generation_tokens",
    "request_prefill_kv_computed_tokens": "request_computed_tokens",
    "iteration_tokens_total": "iteration_tokens",
    "kv_block_lifetime_seconds": "block_lifetime_s",
    "kv_block_idle_before_evict_seconds": "block_idle_s",
    "kv_block_reuse_gap_seconds": "block_reuse_s",
}
# Estimates of the engine that stay 0 unless --enable-mfu-metrics: 0 means "not estimated".
_ZERO_IS_ABSENT = ("flops", "read_bytes", "write_bytes")


def read_engine_metrics(
    url: str, *, timeout_s: float = 5.0, key: str | None = None
) -> EngineSample:
    """Scrape a vLLM once.

    Args:
        url: The engine's base URL; ``host:port`` is enough.
        timeout_s: Seconds the answer may take.
        key: What the engine wants as a bearer token, if anything.

    Raises:
        ConfigError: The URL is unusable.
        RemoteError: No answer, or an error.
    """
    with httpx.Client(timeout=timeout_s, trust_env=False) as client:
        return scrape(client, engine_url(url), key=key)


def scrape(client: httpx.Client, url: str, *, key: str | None = None) -> EngineSample:
    """Scrape over a connection that stays open.

    Raises:
        RemoteError: No answer, or an error.
    """
    asked_ns = time.perf_counter_ns()
    try:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        answer = client.get(f"{url}/metrics", headers=headers)
    except httpx.HTTPError as error:
        raise RemoteError(
            f"{url}/metrics does not answer: {type(error).__name__}",
            remedy="start the stack (`autosre start`), or name the engine's URL",
            status=0,
            body=str(error),
        ) from error
    clock_ns = time.perf_counter_ns()
    if answer.status_code in (401, 403):
        raise RemoteError(
            f"{url}/metrics wants a key ({answer.status_code})",
            remedy="export AUTOSRE_ENGINE_KEY=… (what the engine was given as VLLM_API_KEY)",
            status=answer.status_code,
            body=answer.text[:2000],
        )
    if answer.status_code != 200:
        raise RemoteError(
            f"{url}/metrics answered {answer.status_code}",
            remedy="point the URL at the engine itself, not at a proxy in front of it",
            status=answer.status_code,
            body=answer.text[:2000],
        )
    return parse_engine_metrics(
        answer.text,
        time_s=time.time(),
        clock_ns=clock_ns,
        scrape_s=(clock_ns - asked_ns) / 1e9,
    )


def parse_engine_metrics(
    body: str,
    *,
    time_s: float | None = None,
    clock_ns: int | None = None,
    scrape_s: float | None = None,
) -> EngineSample:
    """Read one body.

    Args:
        body: The exposition text.
        time_s: When it was read, seconds since the epoch; now, where not given.
        clock_ns: The same on `time.perf_counter_ns`.
        scrape_s: How long the answer took.

    Raises:
        RemoteError: It is not an exposition text.
    """
    found: dict[str, Any] = {}
    engines: set[str] = set()
    histograms: dict[str, list[Sample]] = {}
    try:
        for family in text_string_to_metric_families(body):
            if not family.name.startswith(_PREFIX):
                _process_or_http(family.name, family.samples, found)
                continue
            name = family.name.removeprefix(_PREFIX)
            if name == "generation_tokens_created":
                # The only use of the `_created` gauges: they date the process.
                found["started_s"] = max(sample.value for sample in family.samples)
            if name.endswith("_created"):
                continue
            engines |= {s.labels["engine"] for s in family.samples if "engine" in s.labels}
            if "model" not in found and family.samples:
                found["model"] = family.samples[0].labels.get("model_name", "")
            if name in _HISTOGRAMS and family.type == "histogram":
                histograms[_HISTOGRAMS[name]] = family.samples
            else:
                _scalar(name, family.samples, found)
        read = {field: _histogram(samples) for field, samples in histograms.items()}
    except (ValueError, KeyError, IndexError) as error:
        raise RemoteError(
            f"the body is not Prometheus' exposition text: {error}",
            remedy="point the URL at vLLM's /metrics",
            status=200,
            body=body[:2000],
        ) from error
    found = {field: value for field, value in found.items() if _is_said(field, value)}
    found |= {field: value for field, value in read.items() if math.isfinite(value.sum)}
    return EngineSample(
        time_s=time.time() if time_s is None else time_s,
        clock_ns=time.perf_counter_ns() if clock_ns is None else clock_ns,
        scrape_s=scrape_s,
        engines=len(engines),
        **found,
    )


def _is_said(field: str, value: Any) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return field not in _ZERO_IS_ABSENT or value != 0


def _scalar(name: str, samples: list[Sample], found: dict[str, Any]) -> None:
    if not samples:
        return
    if name in _SUMS:
        found[_SUMS[name]] = sum(sample.value for sample in samples)
    elif name in _BY_LABEL:
        label, fields = _BY_LABEL[name]
        for value, total in _summed(samples, lambda s: s.labels.get(label, "")).items():
            if value in fields:
                found[fields[value]] = total
    elif name in _MAPPINGS:
        field, labels = _MAPPINGS[name]
        found[field] = _summed(samples, lambda s: " ".join(s.labels.get(one, "") for one in labels))
    elif name in _SPECIAL:
        _SPECIAL[name](samples, found)


def _kv_usage(samples: list[Sample], found: dict[str, Any]) -> None:
    found["kv_usage"] = max(sample.value for sample in samples)


def _awake(samples: list[Sample], found: dict[str, Any]) -> None:
    states = [s.value for s in samples if s.labels.get("sleep_state") == "awake"]
    if states:
        found["awake"] = all(states)


def _positions(samples: list[Sample], found: dict[str, Any]) -> None:
    by_position = _summed(samples, lambda s: s.labels.get("position", ""))
    found["accepted_per_position"] = tuple(
        by_position[position] for position in sorted(by_position, key=_number)
    )


def _cache_config(samples: list[Sample], found: dict[str, Any]) -> None:
    ordered = sorted(samples, key=lambda s: _number(s.labels.get("engine", "")))
    found["cache_config"] = tuple(dict(sample.labels) for sample in ordered)


_SPECIAL: dict[str, Callable[[list[Sample], dict[str, Any]], None]] = {
    "kv_cache_usage_perc": _kv_usage,
    "engine_sleep_state": _awake,
    "spec_decode_num_accepted_tokens_per_pos": _positions,
    "cache_config_info": _cache_config,
}


def _process_or_http(name: str, samples: list[Sample], found: dict[str, Any]) -> None:
    if not samples:
        return
    if name == "process_cpu_seconds":
        found["cpu_s"] = samples[0].value
    elif name == "process_resident_memory_bytes":
        found["resident_bytes"] = samples[0].value
    elif name == "process_start_time_seconds":
        found.setdefault("started_s", samples[0].value)
    elif name == "http_requests":
        found["http_requests"] = _summed(
            samples, lambda s: f"{s.labels.get('handler', '')} {s.labels.get('status', '')}"
        )


def _summed(samples: Iterable[Sample], key: Callable[[Sample], str]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for sample in samples:
        totals[key(sample)] = totals.get(key(sample), 0.0) + sample.value
    return totals


def _histogram(samples: list[Sample]) -> Histogram:
    total = count = 0.0
    buckets: dict[float, float] = {}
    for sample in samples:
        if sample.name.endswith("_sum"):
            total += sample.value
        elif sample.name.endswith("_count"):
            count += sample.value
        elif sample.name.endswith("_bucket"):
            bound = float(sample.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + sample.value
    buckets.pop(float("inf"), None)
    return Histogram(sum=total, count=count, buckets=tuple(sorted(buckets.items())))


def _number(text: str) -> tuple[int, str]:
    digits = re.fullmatch(r"\d+", text)
    return (int(text) if digits else 0, text)
