"""One table of all metrics: what they are called, what they mean, where they come from.

The terminal view, the Grafana dashboard and the docs read this table; nothing is typed twice.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["CATALOGUE", "Metric", "Unit"]

Unit = Literal["tok/s", "tok", "1/s", "s", "share", "count", "B", "W", "J/tok", "J", "MHz", "C", ""]


class Metric(NamedTuple):
    """One metric.

    Attributes:
        key: Path of its field in a `FeedSample`.
        title: What it is called where people see it.
        unit: Its unit; ``share`` is 0 to 1 and shown as per cent.
        meaning: What it says, and what it does not.
        source: How it is computed; Δ is the difference of two scrapes.
        section: The group that it is shown in.
        promql: The same for Prometheus; empty where Prometheus does not have it.
    """

    key: str
    title: str
    unit: Unit
    meaning: str
    source: str
    section: Literal[
        "Throughput", "Latency", "Queue", "Cache", "Speculation", "GPU", "Host", "Keys"
    ]
    promql: str = ""


_RATE = "$__rate_interval"


def _rate(series: str, extra: str = "") -> str:
    return f'sum(rate(vllm:{series}{{model_name=~"$model"{extra}}}[{_RATE}]))'


def _mean(series: str) -> str:
    return f"{_rate(series + '_sum')} / {_rate(series + '_count')}"


def _quantile(share: float, series: str) -> str:
    buckets = f'rate(vllm:{series}_bucket{{model_name=~"$model"}}[{_RATE}])'
    return f"histogram_quantile({share}, sum by (le) ({buckets}))"


def _gauge(series: str, extra: str = "") -> str:
    return f'sum(vllm:{series}{{model_name=~"$model"{extra}}})'


CATALOGUE: tuple[Metric, ...] = (
    Metric(
        "rates.gen_tps",
        "Generation",
        "tok/s",
        "Generated tokens per second, all requests together.",
        "Δgeneration_tokens / Δt",
        "Throughput",
        _rate("generation_tokens_total"),
    ),
    Metric(
        "rates.prompt_tps",
        "Prompt",
        "tok/s",
        "Prompt tokens per second, computed or from a cache.",
        "Δprompt_tokens / Δt",
        "Throughput",
        _rate("prompt_tokens_total"),
    ),
    Metric(
        "rates.prompt_tps_compute",
        "Prompt, computed",
        "tok/s",
        "Prompt tokens per second that the cache did not have: the real prefill load.",
        "Δprompt_tokens_by_source{local_compute} / Δt",
        "Throughput",
        _rate("prompt_tokens_by_source_total", ',source="local_compute"'),
    ),
    Metric(
        "rates.requests_per_s",
        "Requests ended",
        "1/s",
        "Requests ended per second, for whatever reason.",
        "Δe2e_request_latency_count / Δt",
        "Throughput",
        _rate("e2e_request_latency_seconds_count"),
    ),
    Metric(
        "rates.steps_per_s",
        "Engine steps",
        "1/s",
        "Steps with output per second.",
        "Δiteration_tokens_count / Δt",
        "Throughput",
        _rate("iteration_tokens_total_count"),
    ),
    Metric(
        "rates.tokens_per_step",
        "Tokens per step",
        "tok",
        "Prompt and generated tokens per step with output.",
        "Δiteration_tokens_sum / Δiteration_tokens_count",
        "Throughput",
        _mean("iteration_tokens_total"),
    ),
    Metric(
        "rates.mbu",
        "Memory bandwidth in use",
        "share",
        "Bytes that the steps have to read over what the memory delivers; above 1 the assumed "
        "bytes are wrong.",
        "bytes of a step by the model's shape × steps_per_s / bandwidth by the GPU's name, or "
        "Δestimated_read_bytes / Δt / bandwidth",
        "Throughput",
        _rate("estimated_read_bytes_per_gpu_total") + " / $bandwidth",
    ),
    Metric(
        "joules_per_token",
        "Energy per token",
        "J/tok",
        "Energy of the GPUs for each generated token; prefill counts too.",
        "∫power dt / Δgeneration_tokens",
        "Throughput",
    ),
    Metric(
        "rates.mean_ttft_s",
        "TTFT, mean",
        "s",
        "From arrival to the first token on the engine's clock: tokenising and queue included, "
        "the proxy not.",
        "Δtime_to_first_token_sum / Δcount",
        "Latency",
        _mean("time_to_first_token_seconds"),
    ),
    Metric(
        "rates.p50_ttft_s",
        "TTFT, median",
        "s",
        "Estimated within a bucket.",
        "quantile of Δtime_to_first_token buckets",
        "Latency",
        _quantile(0.5, "time_to_first_token_seconds"),
    ),
    Metric(
        "rates.p95_ttft_s",
        "TTFT, 95th percentile",
        "s",
        "Estimated within a bucket; not given below 20 requests in a window.",
        "quantile of Δtime_to_first_token buckets",
        "Latency",
        _quantile(0.95, "time_to_first_token_seconds"),
    ),
    Metric(
        "rates.mean_tpot_s",
        "TPOT, mean over requests",
        "s",
        "Decode time per token after the first, averaged over requests; vLLM counts 0 for "
        "requests of one token.",
        "Δrequest_time_per_output_token_sum / Δcount",
        "Latency",
        _mean("request_time_per_output_token_seconds"),
    ),
    Metric(
        "rates.decode_s_per_token",
        "Decode time per token",
        "s",
        "The same over tokens: long answers weigh more, requests of one token nothing.",
        "Δrequest_decode_time_sum / (Δrequest_generation_tokens_sum - Δcount)",
        "Latency",
        f"{_rate('request_decode_time_seconds_sum')} / "
        f"({_rate('request_generation_tokens_sum')} - {_rate('request_generation_tokens_count')})",
    ),
    Metric(
        "rates.mean_step_s",
        "Gap between outputs",
        "s",
        "What vLLM calls inter-token latency: per step, so several tokens under speculation.",
        "Δinter_token_latency_sum / Δcount",
        "Latency",
        _mean("inter_token_latency_seconds"),
    ),
    Metric(
        "rates.mean_prefill_s",
        "Prefill, mean",
        "s",
        "From first scheduled to the first token.",
        "Δrequest_prefill_time_sum / Δcount",
        "Latency",
        _mean("request_prefill_time_seconds"),
    ),
    Metric(
        "rates.mean_e2e_s",
        "Request, mean",
        "s",
        "From arrival to the end.",
        "Δe2e_request_latency_sum / Δcount",
        "Latency",
        _mean("e2e_request_latency_seconds"),
    ),
    Metric(
        "engine.running",
        "Running",
        "count",
        "Requests in the batch. Written in steps only: it freezes while nothing is computed.",
        "num_requests_running",
        "Queue",
        _gauge("num_requests_running"),
    ),
    Metric(
        "engine.waiting",
        "Waiting",
        "count",
        "Requests that wait, for any reason.",
        "num_requests_waiting",
        "Queue",
        _gauge("num_requests_waiting"),
    ),
    Metric(
        "engine.waiting_deferred",
        "Waiting, deferred",
        "count",
        "Of these, for a transfer, an adapter or the like, and not for room.",
        "num_requests_waiting_by_reason{deferred}",
        "Queue",
        _gauge("num_requests_waiting_by_reason", ',reason="deferred"'),
    ),
    Metric(
        "rates.mean_queue_s",
        "Time in the queue, mean",
        "s",
        "From queued to first scheduled, over ended requests.",
        "Δrequest_queue_time_sum / Δcount",
        "Queue",
        _mean("request_queue_time_seconds"),
    ),
    Metric(
        "rates.queue_share",
        "Share of time in the queue",
        "share",
        "Of the time between arrival and end.",
        "Δrequest_queue_time_sum / Δe2e_request_latency_sum",
        "Queue",
        f"{_rate('request_queue_time_seconds_sum')} / {_rate('e2e_request_latency_seconds_sum')}",
    ),
    Metric(
        "rates.preemptions_per_s",
        "Preemptions",
        "1/s",
        "Requests thrown out of the batch; what they had computed is computed again.",
        "Δnum_preemptions / Δt",
        "Queue",
        _rate("num_preemptions_total"),
    ),
    Metric(
        "rates.rejections_per_s",
        "Rejections",
        "1/s",
        "Requests refused because the queue is full; vLLM 0.32 and later.",
        "Δadmission_rejections / Δt",
        "Queue",
        _rate("admission_rejections_total"),
    ),
    Metric(
        "engine.kv_usage",
        "KV blocks in use",
        "share",
        "Of the fullest engine. Cached prefixes that nobody uses now are not counted.",
        "kv_cache_usage_perc, which is 0 to 1",
        "Cache",
        'max(vllm:kv_cache_usage_perc{model_name=~"$model"})',
    ),
    Metric(
        "rates.prefix_hit",
        "Prefix cache hits",
        "share",
        "Share of the prompt tokens that need not be computed: worth more than any other knob.",
        "Δprompt_tokens_by_source{local_cache_hit} / Δprompt_tokens",
        "Cache",
        _rate("prompt_tokens_by_source_total", ',source="local_cache_hit"')
        + " / "
        + _rate("prompt_tokens_total"),
    ),
    Metric(
        "rates.prefix_hit_queries",
        "Prefix cache hits of look-ups",
        "share",
        "The same by the cache's own counters, which leave preempted requests out.",
        "Δprefix_cache_hits / Δprefix_cache_queries",
        "Cache",
        f"{_rate('prefix_cache_hits_total')} / {_rate('prefix_cache_queries_total')}",
    ),
    Metric(
        "rates.accept_rate",
        "Draft tokens accepted",
        "share",
        "Only with speculative decoding.",
        "Δaccepted / Δdraft_tokens",
        "Speculation",
        f"{_rate('spec_decode_num_accepted_tokens_total')} / "
        f"{_rate('spec_decode_num_draft_tokens_total')}",
    ),
    Metric(
        "rates.accept_len",
        "Tokens per step and request",
        "tok",
        "1 without any acceptance.",
        "1 + Δaccepted / Δdrafts",
        "Speculation",
        f"1 + {_rate('spec_decode_num_accepted_tokens_total')} / "
        f"{_rate('spec_decode_num_drafts_total')}",
    ),
    Metric(
        "gpu.power_w",
        "GPU power",
        "W",
        "As the driver averages it.",
        "NVML power usage",
        "GPU",
        "sum(DCGM_FI_DEV_POWER_USAGE)",
    ),
    Metric(
        "gpu.util",
        "GPU in use",
        "share",
        "Share of time in which any kernel ran: 100 % says little.",
        "NVML utilization",
        "GPU",
        "avg(DCGM_FI_DEV_GPU_UTIL) / 100",
    ),
    Metric(
        "gpu.sm_clock_mhz",
        "SM clock",
        "MHz",
        "Far below its maximum under load: power or heat.",
        "NVML clock info",
        "GPU",
        "avg(DCGM_FI_DEV_SM_CLOCK)",
    ),
    Metric(
        "gpu.temperature_c",
        "GPU temperature",
        "C",
        "Of the chip.",
        "NVML temperature",
        "GPU",
        "max(DCGM_FI_DEV_GPU_TEMP)",
    ),
    Metric(
        "gpu.memory_used_bytes",
        "GPU memory in use",
        "B",
        "As nvidia-smi shows it; not told by a GB10, whose memory is the machine's.",
        "NVML memory info v2, used",
        "GPU",
        "sum(DCGM_FI_DEV_FB_USED) * 1048576",
    ),
    Metric(
        "gpu.process_memory_bytes",
        "GPU memory of processes",
        "B",
        "Sum over the processes; the only figure that a GB10 has.",
        "NVML compute and graphics processes",
        "GPU",
    ),
    Metric(
        "host.memory_available_bytes",
        "Memory available",
        "B",
        "What can still be had without swapping; on unified memory the GPU's too.",
        "MemAvailable",
        "Host",
        "sum(node_memory_MemAvailable_bytes)",
    ),
    Metric(
        "host.swap_used_bytes",
        "Swap in use",
        "B",
        "Anything that grows here makes an engine slow.",
        "SwapTotal - SwapFree",
        "Host",
        "sum(node_memory_SwapTotal_bytes - node_memory_SwapFree_bytes)",
    ),
    Metric(
        "host.pressure_memory_some.avg10",
        "Memory pressure",
        "share",
        "Share of time in which some task waited for memory: the earliest sign of running out.",
        "/proc/pressure/memory, some avg10",
        "Host",
        f"max(rate(node_pressure_memory_waiting_seconds_total[{_RATE}]))",
    ),
    Metric(
        "host.major_faults",
        "Major faults",
        "count",
        "Pages read from disk since boot; while an engine runs, it is being thrown out of memory.",
        "pgmajfault",
        "Host",
        f"sum(rate(node_vmstat_pgmajfault[{_RATE}]))",
    ),
    Metric(
        "host.cpu_busy",
        "CPUs busy",
        "count",
        "All processes of the machine.",
        "/proc/stat",
        "Host",
        f'sum(rate(node_cpu_seconds_total{{mode!~"idle|iowait"}}[{_RATE}]))',
    ),
    Metric(
        "rates.frontend_cpu",
        "CPUs of the API server",
        "count",
        "Near 1 its Python is the limit, not the GPU.",
        "Δprocess_cpu_seconds / Δt",
        "Host",
        f"sum(rate(process_cpu_seconds_total[{_RATE}]))",
    ),
    Metric(
        "engine.resident_bytes",
        "Memory of the API server",
        "B",
        "Its process only, the engine's own is another.",
        "process_resident_memory_bytes",
        "Host",
        "sum(process_resident_memory_bytes)",
    ),
)
"""Every metric that is shown."""
