"""The environment that a recipe asks for against the one that a process has."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from autosre_lab.errors import ConfigError
from autosre_lab.parity.mismatch import Mismatch, shown
from autosre_lab.parity.process_probe import HIDDEN, is_secret

__all__ = ["ExpectedEnvironment", "environment_difference", "is_of_the_engine"]

_ENGINE = re.compile(
    r"^(VLLM|HF|HUGGINGFACE|TRANSFORMERS|CUDA|CUBLAS|CUDNN|NCCL|NVIDIA|TORCH|TORCHINDUCTOR|PYTORCH"
    r"|TRITON|FLASHINFER|FLASH_ATTN|PYTHON|OMP|MKL|KMP|RAY|LMCACHE|SAFETENSORS|TOKENIZERS|LD)"
    r"(_|$)|^PYTHON[A-Z]+$"
)
"""Variables that change what vLLM does."""

_OF_THE_IMAGE = re.compile(
    # NVIDIA's and Python's base images, and what vLLM's own build leaves behind.
    r"^(NV_.*|NVARCH|NCCL_VERSION|CUDA_VERSION|CUDA_VERSION_.*|CUDA_HOME|CUDA_MAJOR.*"
    r"|NVIDIA_(VISIBLE_DEVICES|DRIVER_CAPABILITIES|REQUIRE_.*|PRODUCT_NAME|BUILD_.*|.*_VERSION)"
    r"|PYTHON_(VERSION|SHA256|PIP_VERSION|SETUPTOOLS_VERSION|GET_PIP_.*)|PYTORCH_.*VERSION.*"
    r"|LD_LIBRARY_PATH|VLLM_USAGE_SOURCE|VLLM_BUILD_.*|VLLM_IMAGE_.*"
    r"|VLLM_ENABLE_CUDA_COMPATIBILITY|TORCH_CUDA_ARCH_LIST|TORCH_NCCL_USE_COMM_NONBLOCKING"
    r"|PYTHONUNBUFFERED|PYTHONIOENCODING|PYTHONDONTWRITEBYTECODE)$"
)
"""Variables that a container image or runtime sets by itself."""

_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT.*|PORT_\d+_(TCP|UDP).*|PORT)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedEnvironment:
    """What a process should find.

    Attributes:
        set: Names and values.
        secrets: Names whose values are nobody's business, to whether one has to be there.
        unset: Names that must not be there.
        allowed: Names that may be there with any value: whoever starts the process sets them.
        ignored: Regular expressions of names that are not looked at.
    """

    set: Mapping[str, str]
    secrets: Mapping[str, bool] = field(default_factory=dict)
    unset: Collection[str] = ()
    allowed: Collection[str] = ()
    ignored: Collection[str] = ()


def environment_difference(
    expected: ExpectedEnvironment, live: Mapping[str, str]
) -> list[Mismatch]:
    """Return what is missing, different, or there without being asked for.

    Of what nobody asked for only variables that change what vLLM does are told; what every Pod,
    shell or image has is not. Secrets are compared by whether they are there.

    Raises:
        ConfigError: One of the expressions to ignore is not a regular expression.
    """
    ignored = _compiled(expected.ignored)
    found = [
        one
        for one in (
            *_set(expected, live),
            *_secrets(expected, live),
            *_unset(expected, live),
            *_extra(expected, live),
        )
        if not any(pattern.search(one.subject) for pattern in ignored)
    ]
    return sorted(found, key=lambda one: one.subject)


def is_of_the_engine(name: str) -> bool:
    """Tell whether a variable changes what vLLM does, and no image or cluster sets it by itself."""
    if not _ENGINE.match(name) or _OF_THE_IMAGE.match(name):
        return False
    # A link to a Service named vllm is told, because VLLM_PORT kills the engine; others are not.
    return name.startswith("VLLM_") or not _SERVICE_LINK.search(name)


def _set(expected: ExpectedEnvironment, live: Mapping[str, str]) -> Iterable[Mismatch]:
    for name, value in expected.set.items():
        hidden = is_secret(name, list(expected.secrets))
        wanted = HIDDEN if hidden else shown(value)
        there = live.get(name)
        if there is None:
            yield Mismatch(subject=name, kind="missing", expected=wanted, live=None)
        elif not hidden and there != value:
            yield Mismatch(subject=name, kind="different", expected=wanted, live=shown(there))


def _secrets(expected: ExpectedEnvironment, live: Mapping[str, str]) -> Iterable[Mismatch]:
    for name, required in expected.secrets.items():
        if required and not live.get(name):
            yield Mismatch(subject=name, kind="missing", expected=HIDDEN, live=None)


def _unset(expected: ExpectedEnvironment, live: Mapping[str, str]) -> Iterable[Mismatch]:
    for name in expected.unset:
        if name in live:
            value = _value(name, live, expected)
            yield Mismatch(subject=name, kind="extra", expected=None, live=value)


def _extra(expected: ExpectedEnvironment, live: Mapping[str, str]) -> Iterable[Mismatch]:
    known = {*expected.set, *expected.secrets, *expected.unset, *expected.allowed}
    for name in live:
        if name not in known and is_of_the_engine(name):
            value = _value(name, live, expected)
            yield Mismatch(subject=name, kind="extra", expected=None, live=value)


def _value(name: str, live: Mapping[str, str], expected: ExpectedEnvironment) -> str:
    return HIDDEN if is_secret(name, list(expected.secrets)) else shown(live[name])


def _compiled(expressions: Iterable[str]) -> list[re.Pattern[str]]:
    compiled = []
    for expression in expressions:
        try:
            compiled.append(re.compile(expression))
        except re.error as error:
            raise ConfigError(
                f"parity.ignore_env: {expression!r} is not a regular expression: {error}",
                remedy="fix it, or write the variable's name",
            ) from error
    return compiled
