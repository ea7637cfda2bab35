"""The ceiling, against the published arithmetic for Qwen3.6-35B-A3B on a GB10."""

from __future__ import annotations

import pytest

from autosre_lab.metrics.roofline import (
    BANDWIDTHS,
    bandwidth_of,
    bytes_per_step,
    model_shape,
    roofline,
)

QWEN = {
    "hidden_size": 2048,
    "num_hidden_layers": 40,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "attn_output_gate": True,
    "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 10,
    "linear_num_value_heads": 32,
    "linear_num_key_heads": 16,
    "linear_value_head_dim": 128,
    "linear_key_head_dim": 128,
    "num_experts": 256,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512,
    "vocab_size": 248320,
}
GB10 = BANDWIDTHS["NVIDIA GB10"]
NVFP4 = model_shape(
    {"text_config": QWEN},
    weight_bytes=1.0,
    expert_weight_bytes=0.5625,
    head_weight_bytes=0.5625,
    shared_expert_weight_bytes=0.5625,
    kv_bytes=1.0,
)
BF16 = model_shape(QWEN)


def test_a_token_of_the_nvfp4_checkpoint_reads_two_and_a_half_gigabytes() -> None:
    assert bytes_per_step(NVFP4, context=2000) == pytest.approx(2.40e9, rel=0.02)
    assert bytes_per_step(BF16, context=2000) == pytest.approx(6.06e9, rel=0.02)


@pytest.mark.parametrize(
    ("batch", "context", "ceiling"),
    [(1, 2000, 114), (4, 2000, 247), (32, 2000, 487), (1, 100_000, 80), (8, 200_000, 94)],
)
def test_ceilings_are_those_of_the_published_table(
    batch: int, context: int, ceiling: float
) -> None:
    found = roofline(NVFP4, GB10, source="data sheet", batch=batch, context=context)
    assert found.ceiling_tps == pytest.approx(ceiling, rel=0.03)


def test_state_and_cache_have_the_published_sizes() -> None:
    assert NVFP4.kv_bytes_per_token == 10_240
    assert NVFP4.state_bytes == pytest.approx(62.9e6, rel=0.01)


def test_a_figure_above_the_ceiling_is_flagged() -> None:
    below = roofline(NVFP4, GB10, source="x", measured_tps=98)
    above = roofline(NVFP4, GB10, source="x", measured_tps=214)
    assert (below.above, above.above) == (False, True)
    assert below.utilisation == pytest.approx(98 / below.ceiling_tps)


def test_accepted_drafts_raise_the_ceiling_and_verified_ones_lower_it() -> None:
    plain = roofline(NVFP4, GB10, source="x")
    all_accepted = roofline(NVFP4, GB10, source="x", accepted=2, verified=2)
    none_accepted = roofline(NVFP4, GB10, source="x", verified=2)
    assert none_accepted.ceiling_tps < plain.ceiling_tps < all_accepted.ceiling_tps


def test_a_dense_model_reads_all_its_weights() -> None:
    smollm = model_shape(
        {
            "hidden_size": 576,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "intermediate_size": 1536,
            "vocab_size": 49152,
        }
    )
    assert bytes_per_step(smollm) == pytest.approx(134.5e6 * 2, rel=0.01)
    assert bytes_per_step(smollm, batch=8) == bytes_per_step(smollm)


def test_a_gpu_is_known_by_its_name_with_or_without_its_maker() -> None:
    assert bandwidth_of("NVIDIA A100-SXM4-40GB") == bandwidth_of("A100-SXM4-40GB") == 1.555e12
    assert bandwidth_of("NVIDIA H100 80GB HBM3 MIG 1g.10gb") is None
    assert bandwidth_of("AMD Instinct MI300X") is None
