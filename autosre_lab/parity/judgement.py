"""How bad a difference is, and why it matters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from autosre_lab.parity.mismatch import Mismatch

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["Judgement", "judge_flag", "judge_object", "judge_variable", "overridden"]

Severity = Literal["error", "warn"]
Judgement = tuple[Severity, str]
"""How bad it is, and why it matters."""

_FLAGS: dict[str, Judgement] = {
    "model": ("error", "other weights answer than the recipe names"),
    "--additional-config": ("error", "options of plugins, of preemption too, are read from it"),
    "--api-key": ("warn", "clients without the key are refused, or anybody is let in"),
    "--async-scheduling": ("warn", "the next step is planned before the last has ended"),
    "--attention-backend": ("warn", "speed and numerics were measured with the recipe's back end"),
    "--block-size": ("warn", "it decides how much of a prompt the prefix cache can reuse"),
    "--chat-template": ("error", "prompts are written otherwise: answers and tool calls change"),
    "--config": ("error", "it takes flags from a file that nobody sees here"),
    "--cpu-offload-gb": ("warn", "each step waits for weights from main memory"),
    "--dtype": ("error", "memory, speed and answers change with the number format"),
    "--enable-auto-tool-choice": ("error", "without it a request with tools is refused"),
    "--enable-chunked-prefill": ("warn", "without it a long prompt stops everybody's tokens"),
    "--enable-prefix-caching": (
        "error",
        "without it each turn of a session is prefilled again, from its first token",
    ),
    "--enable-prompt-tokens-details": (
        "warn",
        "the share of a prompt out of the cache is not told",
    ),
    "--enforce-eager": ("warn", "CUDA graphs and compilation decide speed, start-up and memory"),
    "--gpu-memory-utilization": (
        "error",
        "it is the engine's share of the memory; where host and GPU share it, too much wedges the "
        "machine and too little leaves no room for the window",
    ),
    "--host": ("error", "it listens on another address: unreachable, or open to others"),
    "--kv-cache-dtype": ("error", "it decides how many tokens fit and how exact attention is"),
    "--kv-cache-memory-bytes": ("error", "it decides how many tokens fit into the cache"),
    "--max-model-len": ("error", "sessions are planned for the recipe's window"),
    "--max-num-batched-tokens": (
        "warn",
        "a started step of so many tokens keeps all others waiting",
    ),
    "--max-num-seqs": ("warn", "so many requests run at once; the others wait"),
    "--moe-backend": ("warn", "speed and numerics were measured with the recipe's back end"),
    "--override-generation-config": (
        "error",
        "answers are sampled otherwise where a client is silent",
    ),
    "--port": ("error", "clients ask at the recipe's port"),
    "--quantization": ("error", "other numerics and another memory need"),
    "--reasoning-parser": ("error", "thinking is told from the answer by it"),
    "--revision": ("error", "other weights answer than the pinned ones"),
    "--scheduler-cls": ("error", "the preemption hook is loaded by it"),
    "--scheduling-policy": (
        "error",
        "with fcfs the priorities of requests are ignored without a word",
    ),
    "--served-model-name": ("error", "clients ask for the model by this name"),
    "--speculative-config": ("warn", "drafted tokens change speed and memory"),
    "--swap-space": ("warn", "it takes main memory"),
    "--tensor-parallel-size": ("error", "the model is spread over another number of devices"),
    "--tokenizer": ("error", "text becomes other tokens"),
    "--tool-call-parser": ("error", "tool calls stay text, and a session stops without an error"),
    "--tool-strict-level": (
        "warn",
        "it decides how far the arguments of a tool call are constrained",
    ),
    "--trust-remote-code": ("error", "code out of the model's repository is run, or is not"),
}

_PARALLEL = re.compile(r"--(data|pipeline|expert|context).*parallel")

_SPECULATIVE_HYBRID: Judgement = (
    "error",
    "with prefix caching, speculation corrupts this hybrid model's recurrent state when the cache "
    "hits: malformed tool calls and no error",
)

_VARIABLES: dict[str, Judgement] = {
    "CUDA_VISIBLE_DEVICES": ("warn", "it decides which devices the engine sees"),
    "HF_HUB_OFFLINE": ("error", "a start that asks the hub waits for it, or gets other weights"),
    "HF_TOKEN": ("warn", "gated weights cannot be fetched without it"),
    "LD_PRELOAD": ("warn", "code is loaded into the engine that no recipe names"),
    "PYTHONPATH": ("error", "it decides which modules are loaded, the preemption hook among them"),
    "VLLM_API_KEY": ("error", "clients without the key are refused, or anybody is let in"),
    "VLLM_PORT": ("error", "a link to a Service named vllm; the engine dies of it"),
    "VLLM_SERVER_DEV_MODE": ("error", "it opens routes that reset and call into the engine"),
}

_OBJECTS: tuple[tuple[str, Judgement], ...] = (
    (r"^Pod/", ("error", "it runs what was asked for earlier until it is replaced")),
    (r"^Service/", ("error", "clients reach the stack by this address")),
    (r"^NetworkPolicy/", ("error", "it decides who reaches engine and proxies")),
    (r"^ConfigMap/autosre-preemption", ("error", "the next Pod loads this hook")),
    (r"^ConfigMap/", ("warn", "the next Pod is started with it")),
    (r"\.(command|args|image|env)\b", ("error", "the next Pod is started with it")),
    (
        r"\.(hostNetwork|hostPID|hostIPC|hostAliases|nodeName|initContainers|ports\b.*)$",
        ("error", "it decides who reaches the engine, and what the engine reaches"),
    ),
    (r"\.privileged", ("error", "the container may do anything on the node")),
    (r"\.replicas$", ("error", "so many Pods are wanted")),
    (r"\.strategy", ("error", "a new Pod would wait for the old one's GPU for ever")),
    (r"\.resources\b", ("warn", "the scheduler gives a Pod its GPU and memory by it")),
    (r"[sS]ecurityContext", ("warn", "it decides what the engine may do on the node")),
    (r"\.volumes?|\.volumeMounts", ("warn", "weights, caches and the hook come from there")),
    (r"Probe\b", ("warn", "it decides when an engine counts as ready or dead")),
    (r"\.metadata\.(labels|annotations)", ("warn", "it tells which recipe the stack runs")),
)


def judge_flag(one: Mismatch, recipe: Recipe) -> Judgement:
    """Judge a difference of the command line."""
    name = one.subject
    if name == "--speculative-config" and one.live and recipe.model.kind == "hybrid_gdn":
        return _SPECULATIVE_HYBRID
    if name in _FLAGS:
        return _FLAGS[name]
    if _PARALLEL.match(name):
        return "error", "the model is spread over the devices otherwise"
    if one.kind == "extra":
        return "warn", "nobody decided on it in the recipe"
    return "warn", "the recipe was verified with it"


def judge_variable(one: Mismatch, recipe: Recipe) -> Judgement:
    """Judge a difference of the environment."""
    name = one.subject
    if name in recipe.env.set:
        return "error", recipe.env.set[name].reason
    if name in recipe.env.secret:
        return "error", recipe.env.secret[name].reason
    if name in recipe.env.unset:
        return "error", "the recipe says that it must not be there"
    return _VARIABLES.get(name, ("warn", "Affects the engine, but the recipe does not set it."))


def judge_object(one: Mismatch) -> Judgement:
    """Judge a difference between objects."""
    if one.kind == "missing" and ":" not in one.subject:
        return "error", "a part of the stack is not there"
    for pattern, judgement in _OBJECTS:
        if re.search(pattern, one.subject):
            return judgement
    return "warn", "somebody changed it after the last start, or the chart is newer"


def overridden(
    subject: str, judged: Severity, recipe: Recipe
) -> Literal["error", "warn", "ignore"]:
    """Return how bad a difference is, after what the recipe says itself (`parity.severity`)."""
    said = recipe.parity.severity
    return said.get(subject.removeprefix("--"), said.get(subject, judged))
