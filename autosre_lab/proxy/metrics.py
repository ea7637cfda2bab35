"""Prometheus metrics of the proxy itself, in a registry of its own."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from autosre_lab.proxy.request_log import RequestRecord

__all__ = ["ProxyMetrics"]

_TTFT_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640)
_ADDED_BUCKETS_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)


class ProxyMetrics:
    """Counters and histograms; one instance per proxy.

    Those with labels are functions of their labels: a look-up in a table instead of the library's
    own, which costs as much as the counting, several times a request.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        requests = Counter(
            "autosre_proxy_requests",
            "Requests of /v1/messages, by what they were for and how they ended.",
            ["kind", "status"],
            registry=self.registry,
        )
        self.running = Gauge(
            "autosre_proxy_requests_running",
            "Requests of /v1/messages under way.",
            registry=self.registry,
        )
        ttft = Histogram(
            "autosre_proxy_time_to_first_token_seconds",
            "From a request's arrival to the engine's first token.",
            ["kind"],
            buckets=_TTFT_BUCKETS_S,
            registry=self.registry,
        )
        self.added = Histogram(
            "autosre_proxy_added_seconds",
            "From a request's arrival until it was sent on: this proxy's share of the TTFT.",
            buckets=_ADDED_BUCKETS_S,
            registry=self.registry,
        )
        tokens = Counter(
            "autosre_proxy_tokens",
            "Tokens by direction: prompt tokens computed, prompt tokens from the prefix cache, "
            "tokens generated.",
            ["direction"],
            registry=self.registry,
        )
        counts = Counter(
            "autosre_proxy_window_checks",
            "How a prompt was shown to fit: by a bound, or by the engine's exact count.",
            ["way"],
            registry=self.registry,
        )
        self.overflows = Counter(
            "autosre_proxy_overflows",
            "Prompts that the window could not hold; the client was told to compact.",
            registry=self.registry,
        )
        self.keepalives = Counter(
            "autosre_proxy_keepalives",
            "Signs of life written while the engine was silent.",
            registry=self.registry,
        )
        self.disconnects = Counter(
            "autosre_proxy_disconnects",
            "Clients that went away before their answer's end.",
            registry=self.registry,
        )
        resumes = Counter(
            "autosre_proxy_resumes",
            "Answers that the engine broke off, by what came of them.",
            ["outcome"],
            registry=self.registry,
        )
        self.key_requests = Counter(
            "autosre_proxy_key_requests",
            "Requests that showed a client's key, by key and how they ended.",
            ["key", "status"],
            registry=self.registry,
        )
        self.key_tokens = Counter(
            "autosre_proxy_key_tokens",
            "Tokens of requests that showed a client's key, by key and direction.",
            ["key", "direction"],
            registry=self.registry,
        )
        self.resends = Counter(
            "autosre_proxy_resends",
            "Requests that repeated one still running, which was ended first.",
            registry=self.registry,
        )

        self.requests = cache(requests.labels)
        self.ttft = cache(ttft.labels)
        self.tokens = cache(tokens.labels)
        self.counts = cache(counts.labels)
        self.resumes = cache(resumes.labels)

    def count_key(self, record: RequestRecord) -> None:
        """Count a request under its key, by its line in the request log."""
        self.key_requests.labels(record.key, record.status).inc()
        if record.kind != "count_tokens":
            self.key_tokens.labels(record.key, "input").inc(record.input_tokens)
            self.key_tokens.labels(record.key, "cached").inc(record.cached_tokens)
            self.key_tokens.labels(record.key, "output").inc(record.output_tokens)

    def text(self) -> bytes:
        """Return the exposition text."""
        return generate_latest(self.registry)
