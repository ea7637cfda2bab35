"""What one scrape of vLLM's `/metrics` says, as a record.

A series that this vLLM does not expose is None, never 0: "no speculative decoding" and "nothing
was accepted" are different facts.
"""

from __future__ import annotations

import msgspec

__all__ = ["CAPABILITIES", "COUNTERS", "HISTOGRAMS", "EngineSample", "Histogram"]


class Histogram(msgspec.Struct, frozen=True):
    """A Prometheus histogram.

    Attributes:
        sum: Sum of what was observed.
        count: Number of observations.
        buckets: (upper bound, observations up to it), rising; the bound at infinity is `count`.
    """

    sum: float
    count: float
    buckets: tuple[tuple[float, float], ...] = ()

    @property
    def mean(self) -> float | None:
        """The mean of all observations; None without any."""
        return self.sum / self.count if self.count > 0 else None

    def quantile(self, share: float) -> float | None:
        """Estimate a quantile as `histogram_quantile` does: linear within its bucket.

        Args:
            share: Between 0 and 1.

        Returns:
            None without observations, or where it lies above the highest finite bound.
        """
        if self.count <= 0 or not self.buckets:
            return None
        wanted = share * self.count
        lower, below = 0.0, 0.0
        for bound, up_to in self.buckets:
            if up_to >= wanted:
                inside = up_to - below
                return lower + (bound - lower) * ((wanted - below) / inside if inside else 1.0)
            lower, below = bound, up_to
        return None

    def minus(self, earlier: Histogram) -> Histogram:
        """Return what was observed since `earlier`."""
        before = dict(earlier.buckets)
        return Histogram(
            sum=self.sum - earlier.sum,
            count=self.count - earlier.count,
            buckets=tuple((bound, up_to - before.get(bound, 0.0)) for bound, up_to in self.buckets),
        )

    def plus(self, other: Histogram) -> Histogram:
        """Return the observations of both, in the buckets that both have."""
        if not self.buckets or not other.buckets:
            return Histogram(sum=self.sum + other.sum, count=self.count + other.count)
        theirs = dict(other.buckets)
        return Histogram(
            sum=self.sum + other.sum,
            count=self.count + other.count,
            buckets=tuple(
                (bound, up_to + theirs[bound]) for bound, up_to in self.buckets if bound in theirs
            ),
        )


class EngineSample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One scrape, summed over the engines of a data-parallel server.

    Attributes:
        time_s: When the answer was complete, seconds since the epoch.
        clock_ns: The same on `time.perf_counter_ns`, the clock of the benchmarks' timings.
        scrape_s: How long the answer took.
        model: vLLM's `model_name`.
        engines: How many engines it speaks for; 0 where the body is not vLLM's.
        started_s: Start of the process that counts, seconds since the epoch; tells a restart whose
            counters have already overtaken the old ones.
        running: Requests in the batch.
        waiting: Requests that wait, for any reason.
        waiting_capacity: Of these, for slots, blocks or token budget.
        waiting_deferred: Of these, for a transfer, an adapter or the like.
        kv_usage: Share of the KV blocks in use, 0 to 1; of the fullest engine.
        awake: Whether the engine is not asleep.
        prompt_tokens: Prompt tokens, from wherever.
        prompt_tokens_computed: Of these, computed.
        prompt_tokens_hit: Of these, from this engine's prefix cache.
        prompt_tokens_transferred: Of these, from another's.
        prompt_tokens_cached: Of these, from any cache.
        generation_tokens: Generated tokens.
        prefix_queries_tokens: Tokens of new requests looked up in the prefix cache.
        prefix_hits_tokens: Of these, found.
        preemptions: Requests thrown out of the batch.
        rejections: Requests refused because the queue is full.
        finished: Requests ended, by reason.
        drafts: Speculative drafts.
        draft_tokens: Tokens in them.
        accepted_tokens: Of these, accepted.
        accepted_per_position: Accepted by position in the draft.
        tool_parser_calls: By mode, outcome and API; per delta in streams, so not a success rate.
        flops: Estimated operations per GPU, where the engine estimates them.
        read_bytes: Estimated bytes read per GPU, likewise.
        write_bytes: Estimated bytes written per GPU, likewise.
        cpu_s: CPU seconds of the API server's process.
        resident_bytes: Its memory.
        http_requests: Answers by handler and status class.
        ttft_s: From arrival to the first token, on the frontend's clock.
        itl_s: Per engine step, not per token, under speculative decoding.
        tpot_s: Per request: decode time over tokens after the first; 0 for one-token requests.
        e2e_s: From arrival to the end.
        queue_s: From queued to first scheduled.
        prefill_s: From first scheduled to the first token.
        decode_s: From the first token to the last.
        inference_s: From first scheduled to the last token.
        request_prompt_tokens: Per finished request.
        request_generation_tokens: Per finished request.
        request_computed_tokens: Prompt tokens computed per finished request.
        iteration_tokens: Tokens per engine step that had output.
        block_lifetime_s: Of KV blocks, where the engine samples them.
        block_idle_s: Idle before eviction, likewise.
        block_reuse_s: Between uses, likewise.
        cache_config: Labels of `cache_config_info`, one mapping an engine.
    """

    time_s: float
    clock_ns: int
    scrape_s: float | None = None
    model: str = ""
    engines: int = 0
    started_s: float | None = None
    running: float | None = None
    waiting: float | None = None
    waiting_capacity: float | None = None
    waiting_deferred: float | None = None
    kv_usage: float | None = None
    awake: bool | None = None
    prompt_tokens: float | None = None
    prompt_tokens_computed: float | None = None
    prompt_tokens_hit: float | None = None
    prompt_tokens_transferred: float | None = None
    prompt_tokens_cached: float | None = None
    generation_tokens: float | None = None
    prefix_queries_tokens: float | None = None
    prefix_hits_tokens: float | None = None
    preemptions: float | None = None
    rejections: float | None = None
    finished: dict[str, float] | None = None
    drafts: float | None = None
    draft_tokens: float | None = None
    accepted_tokens: float | None = None
    accepted_per_position: tuple[float, ...] | None = None
    tool_parser_calls: dict[str, float] | None = None
    flops: float | None = None
    read_bytes: float | None = None
    write_bytes: float | None = None
    cpu_s: float | None = None
    resident_bytes: float | None = None
    http_requests: dict[str, float] | None = None
    ttft_s: Histogram | None = None
    itl_s: Histogram | None = None
    tpot_s: Histogram | None = None
    e2e_s: Histogram | None = None
    queue_s: Histogram | None = None
    prefill_s: Histogram | None = None
    decode_s: Histogram | None = None
    inference_s: Histogram | None = None
    request_prompt_tokens: Histogram | None = None
    request_generation_tokens: Histogram | None = None
    request_computed_tokens: Histogram | None = None
    iteration_tokens: Histogram | None = None
    block_lifetime_s: Histogram | None = None
    block_idle_s: Histogram | None = None
    block_reuse_s: Histogram | None = None
    cache_config: tuple[dict[str, str], ...] = ()

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Fields whose series this vLLM does not expose."""
        return tuple(name for name in CAPABILITIES if getattr(self, name) is None)


COUNTERS = (
    "prompt_tokens",
    "prompt_tokens_computed",
    "prompt_tokens_hit",
    "prompt_tokens_transferred",
    "prompt_tokens_cached",
    "generation_tokens",
    "prefix_queries_tokens",
    "prefix_hits_tokens",
    "preemptions",
    "rejections",
    "drafts",
    "draft_tokens",
    "accepted_tokens",
    "flops",
    "read_bytes",
    "write_bytes",
    "cpu_s",
)
"""Fields that only grow, until the process starts again."""

HISTOGRAMS = (
    "ttft_s",
    "itl_s",
    "tpot_s",
    "e2e_s",
    "queue_s",
    "prefill_s",
    "decode_s",
    "inference_s",
    "request_prompt_tokens",
    "request_generation_tokens",
    "request_computed_tokens",
    "iteration_tokens",
    "block_lifetime_s",
    "block_idle_s",
    "block_reuse_s",
)
"""Fields that are histograms; they only grow too."""

CAPABILITIES = tuple(
    field
    for field in EngineSample.__struct_fields__
    if field not in ("time_s", "clock_ns", "scrape_s", "model", "engines", "cache_config")
)
"""Fields that may be missing from a body."""
