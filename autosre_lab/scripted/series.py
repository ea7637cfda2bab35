"""The scripted engine's `/metrics`, by vLLM's names."""

from __future__ import annotations

from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

__all__ = ["Series"]

_LABELS = ("model_name", "engine")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0)
_TOKENS = (1, 8, 64, 256, 512, 1024, 2048, 4096, 8192)
_HISTOGRAMS = {
    "time_to_first_token_seconds": _SECONDS,
    "inter_token_latency_seconds": _SECONDS,
    "request_time_per_output_token_seconds": _SECONDS,
    "e2e_request_latency_seconds": _SECONDS,
    "request_queue_time_seconds": _SECONDS,
    "request_prefill_time_seconds": _SECONDS,
    "request_decode_time_seconds": _SECONDS,
    "request_inference_time_seconds": _SECONDS,
    "request_prompt_tokens": _TOKENS,
    "request_generation_tokens": _TOKENS,
    "iteration_tokens_total": _TOKENS,
}
_COUNTERS = (
    "prompt_tokens",
    "generation_tokens",
    "prefix_cache_queries",
    "prefix_cache_hits",
    "num_preemptions",
)
_GAUGES = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")


class Series:
    """Everything that is exposed.

    Args:
        model: Label of each series.
        cache_config: Labels of `vllm:cache_config_info`.
    """

    def __init__(self, model: str, cache_config: dict[str, str]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._values = (model, "0")
        self._series: dict[str, Any] = {
            name: self._own(Histogram, name, buckets=buckets)
            for name, buckets in _HISTOGRAMS.items()
        }
        self._series |= {name: self._own(Counter, name) for name in _COUNTERS}
        self._series |= {name: self._own(Gauge, name) for name in _GAUGES}
        self._sources = self._more(Counter, "prompt_tokens_by_source", "source")
        self._finished = self._more(Counter, "request_success", "finished_reason")
        self._reasons = self._more(Gauge, "num_requests_waiting_by_reason", "reason")
        for source in ("local_compute", "local_cache_hit", "external_kv_transfer"):
            self._sources.labels(*self._values, source)
        names = ("engine", *cache_config)
        info = Gauge("vllm:cache_config_info", "Cache.", names, registry=self._registry)
        info.labels("0", *cache_config.values()).set(1)
        self.level(running=0, waiting=0, usage=0.0)

    def level(self, *, running: int, waiting: int, usage: float) -> None:
        """Set the gauges."""
        self._series["num_requests_running"].set(running)
        self._series["num_requests_waiting"].set(waiting)
        self._series["kv_cache_usage_perc"].set(usage)
        self._reasons.labels(*self._values, "capacity").set(waiting)
        self._reasons.labels(*self._values, "deferred").set(0)

    def prompt(self, tokens: int, hit: int) -> None:
        """Count a prompt as it begins."""
        self._series["prompt_tokens"].inc(tokens)
        self._series["prefix_cache_queries"].inc(tokens)
        self._series["prefix_cache_hits"].inc(hit)
        self._series["request_prompt_tokens"].observe(tokens)
        self._sources.labels(*self._values, "local_cache_hit").inc(hit)
        self._sources.labels(*self._values, "local_compute").inc(tokens - hit)

    def step(self, tokens: int, generated: int) -> None:
        """Count a step of the engine: so many tokens went through it."""
        self._series["iteration_tokens_total"].observe(tokens)
        self._series["generation_tokens"].inc(generated)

    def observe(self, **seconds: float) -> None:
        """Observe times by the names of their histograms."""
        for name, value in seconds.items():
            self._series[name].observe(value)

    def end(self, reason: str, generated: int) -> None:
        """Count a request that ended."""
        self._finished.labels(*self._values, reason).inc()
        self._series["request_generation_tokens"].observe(generated)

    def text(self) -> bytes:
        """Return the exposition text."""
        return generate_latest(self._registry)

    def _own(self, kind: Any, name: str, **more: Any) -> Any:
        return self._more(kind, name, **more).labels(*self._values)

    def _more(self, kind: Any, name: str, *labels: str, **more: Any) -> Any:
        return kind(f"vllm:{name}", name, (*_LABELS, *labels), registry=self._registry, **more)
