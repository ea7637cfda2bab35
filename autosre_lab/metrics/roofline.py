"""How fast a model can decode at most: what each step has to read, over the memory's bandwidth.

bytes a step = weights that every token uses
             + weights of the experts that the step's tokens choose
             + per sequence: KV cache of its context, and recurrent state read and written

With E experts of which a token chooses k, n tokens touch E * (1 - (1 - k/E)^n) of them, if they
choose independently. A figure above the ceiling is wrong: tokens were counted wrongly, or a
prompt was repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = [
    "BANDWIDTHS",
    "ModelShape",
    "Roofline",
    "bandwidth_of",
    "bytes_per_step",
    "model_shape",
    "roofline",
]

BANDWIDTHS: dict[str, float] = {
    "NVIDIA GB10": 273e9,
    "NVIDIA H100 80GB HBM3": 3.35e12,
    "NVIDIA H100 PCIe": 2.0e12,
    "NVIDIA H100 NVL": 3.9e12,
    "NVIDIA H200": 4.8e12,
    "NVIDIA H200 NVL": 4.8e12,
    "NVIDIA A100-SXM4-80GB": 2.039e12,
    "NVIDIA A100 80GB PCIe": 1.935e12,
    "NVIDIA A100-SXM4-40GB": 1.555e12,
    "NVIDIA A100-PCIE-40GB": 1.555e12,
    "NVIDIA L40S": 864e9,
    "NVIDIA L4": 300e9,
    "NVIDIA RTX A6000": 768e9,
    "NVIDIA RTX 6000 Ada Generation": 960e9,
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": 1.792e12,
    "NVIDIA GeForce RTX 5090": 1.792e12,
    "NVIDIA GeForce RTX 4090": 1.008e12,
    "NVIDIA GeForce RTX 3090": 936e9,
}
"""Bytes a second, by the name that NVML gives, as the makers publish them; not measured here."""


def bandwidth_of(name: str) -> float | None:
    """Return a GPU's bandwidth by its name; None where no data sheet is known.

    A part of a GPU (MIG) has a name of its own, and no figure. Older drivers leave the maker out.
    """
    return BANDWIDTHS.get(name if name.startswith("NVIDIA ") else f"NVIDIA {name}")


class ModelShape(msgspec.Struct, frozen=True, kw_only=True):
    """What of a model is read at each step.

    Attributes:
        shared_bytes: Weights that every token uses: attention, dense layers, routers, output.
        expert_bytes: One layer's one expert.
        expert_layers: Layers with experts.
        experts: Experts a layer; 0 for dense models.
        experts_per_token: Of them, those that a token uses.
        kv_bytes_per_token: KV cache of one token of context, all layers.
        state_bytes: Recurrent state of one sequence, all layers.
    """

    shared_bytes: float
    kv_bytes_per_token: float
    expert_bytes: float = 0.0
    expert_layers: int = 0
    experts: int = 0
    experts_per_token: int = 0
    state_bytes: float = 0.0


class Roofline(msgspec.Struct, frozen=True, kw_only=True):
    """A decode figure beside its ceiling.

    Attributes:
        bytes_per_step: Bytes that one step must read.
        bandwidth_bytes_s: Of the memory.
        bandwidth_source: Where that figure is from.
        ceiling_tps: Tokens a second, all sequences together, if nothing else took time.
        measured_tps: The figure, all sequences together; None without one.
        utilisation: Measured over ceiling (memory bandwidth utilisation).
        above: It is above the ceiling, which cannot be.
    """

    bytes_per_step: float
    bandwidth_bytes_s: float
    bandwidth_source: str
    ceiling_tps: float
    measured_tps: float | None = None
    utilisation: float | None = None
    above: bool = False


def bytes_per_step(
    shape: ModelShape, *, batch: float = 1, context: float = 0, tokens_per_sequence: float = 1
) -> float:
    """Return the bytes that a decode step reads.

    Args:
        shape: The model.
        batch: Sequences in the step.
        context: Tokens of context of each.
        tokens_per_sequence: Tokens verified a sequence and step: 1 without speculative decoding.
    """
    touched = 0.0
    if shape.experts:
        share = shape.experts_per_token / shape.experts
        touched = shape.experts * (1 - (1 - share) ** (batch * tokens_per_sequence))
    return (
        shape.shared_bytes
        + touched * shape.expert_layers * shape.expert_bytes
        + batch * (shape.kv_bytes_per_token * context + 2 * shape.state_bytes)
    )


def roofline(
    shape: ModelShape,
    bandwidth_bytes_s: float,
    *,
    source: str,
    batch: float = 1,
    context: float = 0,
    accepted: float = 1,
    verified: float = 1,
    measured_tps: float | None = None,
) -> Roofline:
    """Return a decode figure beside its ceiling.

    Args:
        shape: The model.
        bandwidth_bytes_s: Of the memory.
        source: Where that figure is from.
        batch: Sequences in a step, on average.
        context: Tokens of context of each, on average.
        accepted: Tokens that a sequence gains a step; above 1 with speculative decoding.
        verified: Tokens that are verified a sequence and step.
        measured_tps: Output tokens a second, all sequences together.
    """
    read = bytes_per_step(shape, batch=batch, context=context, tokens_per_sequence=verified)
    ceiling = bandwidth_bytes_s * batch * accepted / read
    share = measured_tps / ceiling if measured_tps is not None else None
    return Roofline(
        bytes_per_step=read,
        bandwidth_bytes_s=bandwidth_bytes_s,
        bandwidth_source=source,
        ceiling_tps=ceiling,
        measured_tps=measured_tps,
        utilisation=share,
        above=share is not None and share > 1,
    )


def model_shape(
    config: Mapping[str, Any],
    *,
    weight_bytes: float = 2.0,
    expert_weight_bytes: float | None = None,
    head_weight_bytes: float | None = None,
    shared_expert_weight_bytes: float | None = None,
    kv_bytes: float = 2.0,
    state_bytes: float = 4.0,
) -> ModelShape:
    """Read a model's shape from its Hugging Face ``config.json``.

    Dense ones, mixtures of experts, and hybrids with gated delta net layers (Qwen3-Next, Qwen3.5
    and 3.6) are known.

    Args:
        config: The file's content; a multimodal model's ``text_config`` is found.
        weight_bytes: Bytes a parameter takes, 2 for BF16.
        expert_weight_bytes: Of routed experts; as the others by default. NVFP4 is 0.5625 with
            its scales.
        head_weight_bytes: Of the output layer.
        shared_expert_weight_bytes: Of the shared expert.
        kv_bytes: Of a number in the KV cache.
        state_bytes: Of a number in a recurrent state.

    Raises:
        KeyError: The file lacks what every transformer's has.
    """
    text = config.get("text_config") or config
    hidden, layers = int(text["hidden_size"]), int(text["num_hidden_layers"])
    heads = int(text["num_attention_heads"])
    kv_heads = int(text.get("num_key_value_heads") or heads)
    head_dim = int(text.get("head_dim") or hidden // heads)
    kinds = list(text.get("layer_types") or ["full_attention"] * layers)
    recurrent = sum(kind == "linear_attention" for kind in kinds)
    attending = layers - recurrent
    gate = 2 if text.get("attn_output_gate") else 1
    attention = hidden * head_dim * ((1 + gate) * heads + 2 * kv_heads)
    delta, state = _delta_net(text, hidden)
    weights = (attending * attention + recurrent * delta) * weight_bytes

    experts = int(text.get("num_experts") or text.get("num_local_experts") or 0)
    expert = 0.0
    if experts:
        width = int(text.get("moe_intermediate_size") or text["intermediate_size"])
        expert = 3 * hidden * width * (expert_weight_bytes or weight_bytes)
        shared = int(text.get("shared_expert_intermediate_size") or 0)
        weights += (
            layers * 3 * hidden * shared * (shared_expert_weight_bytes or weight_bytes)
            + layers * hidden * experts * 2.0  # routers stay in BF16
        )
    else:
        weights += layers * 3 * hidden * int(text["intermediate_size"]) * weight_bytes
    weights += hidden * int(text["vocab_size"]) * (head_weight_bytes or weight_bytes)
    return ModelShape(
        shared_bytes=weights,
        kv_bytes_per_token=attending * 2 * kv_heads * head_dim * kv_bytes,
        expert_bytes=expert,
        expert_layers=layers if experts else 0,
        experts=experts,
        experts_per_token=int(text.get("num_experts_per_tok") or 0),
        state_bytes=recurrent * state * state_bytes,
    )


def _delta_net(text: Mapping[str, Any], hidden: int) -> tuple[int, int]:
    """Parameters and numbers of state of one gated delta net layer; zeros without any."""
    if "linear_num_value_heads" not in text:
        return 0, 0
    value_heads, key_heads = int(text["linear_num_value_heads"]), int(text["linear_num_key_heads"])
    value_dim, key_dim = int(text["linear_value_head_dim"]), int(text["linear_key_head_dim"])
    values, keys = value_heads * value_dim, key_heads * key_dim
    projected = 2 * keys + 2 * values + 2 * value_heads
    return hidden * projected + values * hidden, value_heads * value_dim * key_dim
