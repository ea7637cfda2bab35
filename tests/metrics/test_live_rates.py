"""One computation of rates and bottleneck, over the last seconds."""

from __future__ import annotations

import pytest

from autosre_lab.metrics import EngineSample, GpuReading, Limits, LiveRates
from autosre_lab.metrics.gpu import GpuSample
from autosre_lab.metrics.roofline import BANDWIDTHS, bytes_per_step, model_shape
from tests.support.h100 import SMOLLM2, watched

SHAPE = model_shape(SMOLLM2)


def test_the_rates_on_the_screen_cover_the_last_seconds_and_leave_a_restart_out() -> None:
    sliding = LiveRates(3.0)

    def at(second: int, tokens: float) -> EngineSample:
        return EngineSample(
            time_s=second, clock_ns=second * 10**9, engines=1, generation_tokens=tokens
        )

    assert sliding.add(at(0, 0)) is None
    for second in range(1, 8):
        rates = sliding.add(at(second, 10.0 * second))
        assert rates is not None
        assert rates.gen_tps == 10
        assert rates.duration_s == min(second, 3)
    restarted = sliding.add(at(8, 5))
    assert restarted is not None
    assert restarted.dropped is None
    assert restarted.gen_tps == 10, "of the seconds before"
    after = sliding.add(at(9, 25))
    assert after is not None
    assert after.gen_tps == pytest.approx((10 + 20) / 2)


def test_an_engine_that_does_not_answer_has_no_bottleneck_of_before() -> None:
    live = LiveRates()
    for sample in watched()[20:25]:
        live.add(sample.engine)
    assert live.bottleneck().label == "FRONTEND_BOUND"
    assert live.add(None) is None
    assert live.bottleneck().label == "UNKNOWN"


def test_an_api_server_whose_core_is_full_is_what_holds_an_h100_back() -> None:
    # "No limit is reached" was said of this, at 0.8 to 1.3 of a core.
    live = LiveRates(10.0, limits=lambda: Limits(shape=SHAPE))
    labels, used = [], []
    for sample in watched():
        rates = live.add(sample.engine, sample.gpu)
        labels.append(live.bottleneck().label)
        if rates is not None and rates.mbu is not None:
            used.append(rates.mbu)
    assert labels[:5] == ["UNKNOWN", "IDLE", "IDLE", "IDLE", "IDLE"]
    assert set(labels[26:]) == {"FRONTEND_BOUND"}
    assert "BANDWIDTH_BOUND" not in live.bottleneck().not_judged
    # About 310 steps/s of 0.4 GB, of 3.35 TB/s.
    assert 0.03 < used[-1] < 0.06


def scrape(seconds: float, *, tokens: float, steps: float, running: float = 4.0) -> EngineSample:
    from autosre_lab.metrics import Histogram

    return EngineSample(
        time_s=seconds,
        clock_ns=int(seconds * 1e9),
        engines=1,
        running=running,
        waiting=0.0,
        kv_usage=0.5,
        generation_tokens=tokens,
        iteration_tokens=Histogram(sum=tokens, count=steps),
        cache_config=({"kv_cache_size_tokens": "8000"},),
    )


def gpus(*names: str | None) -> GpuReading:
    return GpuReading(gpus=tuple(GpuSample(index=n, name=name) for n, name in enumerate(names)))


def used(live: LiveRates, *names: str | None, steps: float = 1000) -> float | None:
    """Bandwidth in use over a second of steps that gave four tokens each."""
    live.add(scrape(0, tokens=0, steps=0), gpus(*names))
    rates = live.add(scrape(1, tokens=4 * steps, steps=steps), gpus(*names))
    assert rates is not None
    return rates.mbu


def test_bandwidth_in_use_is_by_the_gpus_name_and_the_models_shape() -> None:
    # Half of 8,000 tokens of KV cache, of four requests: 1,000 each.
    read = bytes_per_step(SHAPE, batch=4, context=1000)
    limits = Limits(shape=SHAPE)
    name = "NVIDIA H100 80GB HBM3"
    assert used(LiveRates(limits=lambda: limits), name) == pytest.approx(1000 * read / 3.35e12)
    assert used(LiveRates(limits=lambda: limits), "NVIDIA GB10") == pytest.approx(
        1000 * read / BANDWIDTHS["NVIDIA GB10"]
    )
    live = LiveRates(limits=lambda: limits)
    used(live, "NVIDIA GB10", steps=800)
    assert live.bottleneck().label == "BANDWIDTH_BOUND"


def test_gpus_that_share_a_model_share_its_reading() -> None:
    two = Limits(shape=SHAPE, gpus=2)
    name = "NVIDIA H200"
    one = used(LiveRates(limits=lambda: Limits(shape=SHAPE)), name, name)
    assert one is not None
    assert used(LiveRates(limits=lambda: two), name, name) == pytest.approx(one / 2)
    assert used(LiveRates(limits=lambda: two), name) is None, "one of them is not seen"


@pytest.mark.parametrize("name", [None, "NVIDIA of next year"])
def test_a_gpu_whose_bandwidth_is_not_known_is_not_judged(name: str | None) -> None:
    live = LiveRates(limits=lambda: Limits(shape=SHAPE))
    assert used(live, name) is None
    assert "BANDWIDTH_BOUND" in live.bottleneck().not_judged
    assert used(LiveRates(limits=lambda: Limits(shape=SHAPE), bandwidth_bytes_per_s=1e12), name)


def test_without_a_shape_nothing_is_said_of_the_bandwidth() -> None:
    assert used(LiveRates(), "NVIDIA H200") is None
    assert used(LiveRates(step_bytes=1e9), "NVIDIA H200") == pytest.approx(1000 * 1e9 / 4.8e12)
