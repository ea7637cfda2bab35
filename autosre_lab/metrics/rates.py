"""Live metrics, derived from what changed between two scrapes. Pure."""

from __future__ import annotations

import msgspec

from autosre_lab.metrics.engine_sample import EngineSample
from autosre_lab.metrics.windows import EngineWindow, window_between

__all__ = ["WindowRates", "rates_of", "window_rates"]


class WindowRates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one window says. A value that cannot be known is None.

    Attributes:
        start_s: Begin, seconds since the epoch.
        end_s: End.
        duration_s: Seconds covered.
        dropped: Why there are no numbers, for example a restart; None where there are.
        gen_tps: Generated tokens per second.
        prompt_tps: Prompt tokens per second, from wherever.
        prompt_tps_compute: Prompt tokens computed per second.
        prefix_hit: Share of the prompt tokens that came from this engine's prefix cache.
        prefix_hit_queries: Hits over look-ups; the same unless requests were preempted.
        requests_per_s: Requests ended per second.
        finished: Requests ended in the window, by reason.
        mean_ttft_s: Over requests whose first token came in the window.
        p50_ttft_s: Likewise, estimated within a bucket.
        p95_ttft_s: Likewise; None below 20 requests.
        mean_tpot_s: Mean over ended requests; vLLM counts 0 for requests of one token.
        decode_s_per_token: Over ended requests: decode time over tokens after the first. Weighs
            tokens instead of requests, and leaves one-token requests out.
        mean_step_s: Mean gap between outputs of a request: per step, not per token.
        mean_e2e_s: Over ended requests.
        mean_queue_s: Over ended requests.
        mean_prefill_s: Over ended requests.
        queue_share: Time in the queue over time from arrival to end.
        accept_rate: Accepted draft tokens over draft tokens.
        accept_len: Tokens a step: 1 + accepted over drafts.
        accept_by_position: By position in the draft.
        steps_per_s: Engine steps with output, per second.
        tokens_per_step: Tokens per such step, prompt and generated.
        preemptions_per_s: Requests thrown out of the batch, per second.
        rejections_per_s: Requests refused for a full queue, per second.
        mbu: Memory bandwidth utilisation, 0 to 1.
        mbu_source: ``step_bytes`` (given) or ``engine`` (vLLM's own estimate).
        frontend_cpu: CPUs that the API server's process used.
    """

    start_s: float
    end_s: float
    duration_s: float
    dropped: str | None = None
    gen_tps: float | None = None
    prompt_tps: float | None = None
    prompt_tps_compute: float | None = None
    prefix_hit: float | None = None
    prefix_hit_queries: float | None = None
    requests_per_s: float | None = None
    finished: dict[str, float] | None = None
    mean_ttft_s: float | None = None
    p50_ttft_s: float | None = None
    p95_ttft_s: float | None = None
    mean_tpot_s: float | None = None
    decode_s_per_token: float | None = None
    mean_step_s: float | None = None
    mean_e2e_s: float | None = None
    mean_queue_s: float | None = None
    mean_prefill_s: float | None = None
    queue_share: float | None = None
    accept_rate: float | None = None
    accept_len: float | None = None
    accept_by_position: tuple[float, ...] | None = None
    steps_per_s: float | None = None
    tokens_per_step: float | None = None
    preemptions_per_s: float | None = None
    rejections_per_s: float | None = None
    mbu: float | None = None
    mbu_source: str = ""
    frontend_cpu: float | None = None


_P95_REQUESTS = 20


def window_rates(
    before: EngineSample,
    after: EngineSample,
    *,
    step_bytes: float | None = None,
    bandwidth_bytes_per_s: float | None = None,
) -> WindowRates:
    """Return the derived metrics of the time between two scrapes.

    Args:
        before: The earlier scrape.
        after: The later one.
        step_bytes: Bytes that one decode step reads: the weights that take part, and the KV.
        bandwidth_bytes_per_s: The memory's bandwidth, 273e9 on a GB10.
    """
    return rates_of(
        window_between(before, after),
        step_bytes=step_bytes,
        bandwidth_bytes_per_s=bandwidth_bytes_per_s,
    )


def rates_of(
    window: EngineWindow,
    *,
    step_bytes: float | None = None,
    bandwidth_bytes_per_s: float | None = None,
) -> WindowRates:
    """Return the derived metrics of a window, which may be merged of several.

    Args:
        window: The differences.
        step_bytes: Bytes that one decode step reads.
        bandwidth_bytes_per_s: The memory's bandwidth.
    """
    if window.dropped is not None:
        return WindowRates(
            start_s=window.start_s,
            end_s=window.end_s,
            duration_s=window.duration_s,
            dropped=window.dropped,
        )
    steps_per_s = _per_second(window, _count(window, "iteration_tokens"))
    mbu, mbu_source = _mbu(window, steps_per_s, step_bytes, bandwidth_bytes_per_s)
    change = window.counters.get
    ttft = window.histograms.get("ttft_s")
    return WindowRates(
        start_s=window.start_s,
        end_s=window.end_s,
        duration_s=window.duration_s,
        gen_tps=_per_second(window, change("generation_tokens")),
        prompt_tps=_per_second(window, change("prompt_tokens")),
        prompt_tps_compute=_per_second(window, change("prompt_tokens_computed")),
        prefix_hit=_share(change("prompt_tokens_hit"), change("prompt_tokens")),
        prefix_hit_queries=_share(change("prefix_hits_tokens"), change("prefix_queries_tokens")),
        requests_per_s=_per_second(window, _count(window, "e2e_s")),
        finished=window.finished,
        mean_ttft_s=_mean(window, "ttft_s"),
        p50_ttft_s=ttft.quantile(0.5) if ttft is not None else None,
        p95_ttft_s=(
            ttft.quantile(0.95) if ttft is not None and ttft.count >= _P95_REQUESTS else None
        ),
        mean_tpot_s=_mean(window, "tpot_s"),
        decode_s_per_token=_decode_s_per_token(window),
        mean_step_s=_mean(window, "itl_s"),
        mean_e2e_s=_mean(window, "e2e_s"),
        mean_queue_s=_mean(window, "queue_s"),
        mean_prefill_s=_mean(window, "prefill_s"),
        queue_share=_share(_sum(window, "queue_s"), _sum(window, "e2e_s")),
        accept_rate=_share(change("accepted_tokens"), change("draft_tokens")),
        accept_len=_accept_len(change("accepted_tokens"), change("drafts")),
        accept_by_position=_by_position(window),
        steps_per_s=steps_per_s,
        tokens_per_step=_mean(window, "iteration_tokens"),
        preemptions_per_s=_per_second(window, change("preemptions")),
        rejections_per_s=_per_second(window, change("rejections")),
        mbu=mbu,
        mbu_source=mbu_source,
        frontend_cpu=_per_second(window, change("cpu_s")),
    )


def _per_second(window: EngineWindow, change: float | None) -> float | None:
    return None if change is None or window.duration_s <= 0 else change / window.duration_s


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or whole is None or whole <= 0 else part / whole


def _mean(window: EngineWindow, name: str) -> float | None:
    histogram = window.histograms.get(name)
    return None if histogram is None or histogram.mean is None else max(0.0, histogram.mean)


def _sum(window: EngineWindow, name: str) -> float | None:
    histogram = window.histograms.get(name)
    return None if histogram is None else max(0.0, histogram.sum)


def _count(window: EngineWindow, name: str) -> float | None:
    histogram = window.histograms.get(name)
    return None if histogram is None else histogram.count


def _decode_s_per_token(window: EngineWindow) -> float | None:
    generated = window.histograms.get("request_generation_tokens")
    if generated is None:
        return None
    return _share(_sum(window, "decode_s"), generated.sum - generated.count)


def _accept_len(accepted: float | None, drafts: float | None) -> float | None:
    share = _share(accepted, drafts)
    return None if share is None else 1.0 + share


def _by_position(window: EngineWindow) -> tuple[float, ...] | None:
    drafts = window.counters.get("drafts")
    if window.accepted_per_position is None or not drafts:
        return None
    return tuple(accepted / drafts for accepted in window.accepted_per_position)


def _mbu(
    window: EngineWindow,
    steps_per_s: float | None,
    step_bytes: float | None,
    bandwidth_bytes_per_s: float | None,
) -> tuple[float | None, str]:
    if not bandwidth_bytes_per_s:
        return None, ""
    if step_bytes is not None and steps_per_s is not None:
        return step_bytes * steps_per_s / bandwidth_bytes_per_s, "step_bytes"
    read_per_s = _per_second(window, window.counters.get("read_bytes"))
    if read_per_s is None:
        return None, ""
    return read_per_s / bandwidth_bytes_per_s, "engine"
