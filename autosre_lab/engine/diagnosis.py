"""Why a service ended: the likely cause and what to do, from its last log lines and exit code.

vLLM's engine core says what is wrong, and the API server then writes a traceback of its own that
says only "See root cause above". What is shown to a person is the root cause.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["PORT_TAKEN", "Diagnosis", "diagnose", "root_cause_lines"]

PORT_TAKEN = "its port is taken"
"""The one cause that a start can fix by itself, with another port."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A likely cause in words, and the remedy."""

    cause: str
    remedy: str


# The first pattern found wins, so what is specific stands before what often goes with it.
_SIGNS: tuple[tuple[str, str, str], ...] = (
    (
        r"address already in use|EADDRINUSE|cannot be listened on",
        PORT_TAKEN,
        "choose another with AUTOSRE_ENGINE_PORT or AUTOSRE_PROXY_PORT, or end what listens there",
    ),
    (
        r"unrecognized arguments|invalid choice|the following arguments are required",
        "this vLLM does not know a flag of the recipe",
        "run `autosre_lab.recipe.lint_recipe` on it; its runtime.version must be the one installed",
    ),
    (
        r"greater than the derived max_model_len",
        "the recipe's context is larger than the model's own",
        "lower model.context to the max_position_embeddings in the model's config.json",
    ),
    (
        r"is less than requested memory for kv",
        "the KV cache that the recipe asks for does not fit into memory",
        "lower VLLM_CPU_KVCACHE_SPACE in the recipe, or close what else uses memory",
    ),
    (
        r"No available memory for the cache blocks|larger than the (?:available|maximum number of"
        r" tokens).{0,80}KV cache|needed, which is larger than the available KV cache memory",
        "the KV cache is too small for the recipe's context",
        "lower model.context, or raise VLLM_CPU_KVCACHE_SPACE or gpu-memory-utilization",
    ),
    (
        r"CUDA out of memory|CUDA error: out of memory|OutOfMemoryError|MemoryError|bad_alloc"
        r"|Cannot allocate memory"
        r"|DefaultCPUAllocator: can't allocate|Free memory on device",
        "out of memory",
        "close what else uses memory, or lower the recipe's memory use "
        "(VLLM_CPU_KVCACHE_SPACE, gpu-memory-utilization, model.context)",
    ),
    (
        r"No space left on device",
        "the disk is full",
        "free some space: `autosre_lab.show_settings()` names the folders",
    ),
    (
        r"libnuma\.so|libGL\.so|cannot open shared object file",
        "a system library is missing",
        "install it; for libnuma: sudo apt-get install libnuma1",
    ),
    (
        r"Found no NVIDIA driver|No CUDA GPUs are available|CUDA driver version is insufficient"
        r"|Failed to infer device type|libcuda\.so|driver on your system is too old"
        r"|CUDA driver initialization failed|system not yet initialized",
        "no usable CUDA device",
        "check `nvidia-smi`; without a GPU use a recipe with runtime.device: cpu",
    ),
    (
        r"no kernel image is available|not compatible with the current PyTorch installation",
        "this vLLM was built for other GPUs",
        "choose a runtime.version or an image that is built for this GPU",
    ),
    (
        r"GatedRepoError|gated repo|RepositoryNotFoundError|401 Client Error",
        "the hub does not give this model without a token",
        "ask for access on the model's page, then set HF_TOKEN; or correct model.repo",
    ),
    (
        r"couldn't connect to .{0,40}huggingface|Cannot reach .{0,60}huggingface"
        r"|huggingface\.co.{0,80}(?:Max retries|timed out|Name or service)",
        "the model's hub cannot be reached",
        "check the network, or fetch the model elsewhere and name its folder (model.source.kind: "
        "local)",
    ),
    (
        r"Python\.h: No such file|Failed to find C compiler|No such file or directory: '?(?:\S*/)?"
        r"(?:ninja|nvcc|gcc|g\+\+)\b|Could not find nvcc",
        "a compiler that kernels are built with is missing",
        "install it: sudo apt-get install build-essential ninja-build python3-dev; for nvcc the "
        "CUDA toolkit",
    ),
    (
        r"Cannot find any model weights|does not appear to have a file named|No such file or"
        r" directory.{0,80}(?:safetensors|config\.json|tokenizer)|is not a local folder and is not"
        r" a valid model identifier|LocalEntryNotFoundError|incomplete metadata"
        r"|Invalid repository ID or local directory|SafetensorError|HeaderTooSmall"
        r"|Couldn't instantiate the backend tokenizer",
        "the model's weights or tokenizer are missing or incomplete",
        "complete the model's folder; one that was fetched by a start can be moved away, and the "
        "next start fetches it again (`autosre_lab.show_settings()` names the data folder)",
    ),
    (
        r"Unsupported dtype|not supported.{0,40}(?:dtype|bfloat16)|Illegal instruction",
        "this processor cannot run the recipe as it is",
        "choose another dtype (engine.args.dtype: float32), or another machine",
    ),
    (
        r"ModuleNotFoundError|ImportError|PackageNotFoundError",
        "the engine's environment is incomplete",
        "install what is missing with the engine's own Python: `.../bin/python -m pip install "
        "NAME`; the log's first line names the folder",
    ),
    (
        r"cannot be started: .*No such file",
        "the engine's environment is incomplete: its command is gone",
        "start again: the environment is then installed again; one that AUTOSRE_ENGINE_PYTHON or "
        "runtime.python names has to be fixed there",
    ),
)

# An error line worth quoting: not vLLM's note that some other process has failed, and no warning,
# for it warns of "OSError: [Errno 24]" at every start under a limit of open files.
_SAID = re.compile(r"\b\w*Error: \S|^\s*Value error, \S")
_NOT_SAID = re.compile(r"Engine core initialization failed")
_HARMLESS = re.compile(r"\b(?:WARNING|INFO|DEBUG)\b")
_API_SERVER = re.compile(r"^\(APIServer\b")
_LOG_PREFIX = re.compile(r"^(?:\([^)]*\) )?(?:ERROR \S+ \S+ \[[^\]]*\] )?\s*")

_SIGNALS = {
    signal.SIGKILL: (
        "it was killed, as the kernel does when memory runs out",
        "look at `dmesg`; close what else uses memory, or choose a smaller recipe",
    ),
    signal.SIGILL: (
        "this processor lacks an instruction that the engine uses",
        "use a machine with AVX2 or newer",
    ),
    signal.SIGSEGV: (
        "it crashed inside native code",
        "start again; if it repeats, report the log with the engine's version",
    ),
    signal.SIGTERM: ("somebody ended it", "start it again"),
    signal.SIGINT: ("somebody interrupted it", "start it again"),
}


def diagnose(log_tail: Sequence[str], exit_code: int | None) -> Diagnosis:
    """Return the likely cause of an end.

    Args:
        log_tail: The last log lines, oldest first.
        exit_code: As the operating system gave it; negative for a signal; None if unknown.
    """
    log_tail = [line for line in log_tail if not _HARMLESS.search(line)]
    text = "\n".join(log_tail)
    for pattern, cause, remedy in _SIGNS:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            said = _first_saying(pattern, log_tail)
            return Diagnosis(f"{cause}: {said}" if said and cause != PORT_TAKEN else cause, remedy)
    number = -exit_code if exit_code is not None and exit_code < 0 else (exit_code or 0) - 128
    try:
        return Diagnosis(*_SIGNALS[signal.Signals(number)])
    except (KeyError, ValueError):
        found = _last_error(log_tail)
        cause = _LOG_PREFIX.sub("", log_tail[found])[:200].strip() if found is not None else ""
        return Diagnosis(
            cause or "its log does not say",
            "read the log to its end; the first error in it is the cause",
        )


def root_cause_lines(log_tail: Sequence[str], count: int) -> list[str]:
    """Return the lines that end with the root cause; the last ones where none is found.

    Args:
        log_tail: The last log lines, oldest first.
        count: How many are wanted.
    """
    log_tail = [line for line in log_tail if not _HARMLESS.search(line)]
    signs = (pattern for pattern, _, _ in _SIGNS)
    found = next((at for one in signs if (at := _first_line(one, log_tail)) is not None), None)
    if found is None:
        found = _last_error(log_tail)
    end = len(log_tail) if found is None else found + 1
    return list(log_tail[max(0, end - count) : end])


def _first_line(pattern: str, log_tail: Sequence[str]) -> int | None:
    sign = re.compile(pattern, re.IGNORECASE)
    return next((number for number, line in enumerate(log_tail) if sign.search(line)), None)


def _first_saying(pattern: str, log_tail: Sequence[str]) -> str:
    """Return what the line with a sign says, where that is an error's own sentence."""
    found = _first_line(pattern, log_tail)
    if found is None or not _SAID.search(log_tail[found]):
        return ""
    return _LOG_PREFIX.sub("", log_tail[found])[:300].strip()


def _last_error(log_tail: Sequence[str]) -> int | None:
    """Return where the last error stands: not the API server's, if another process has one."""
    errors = [
        number
        for number, line in enumerate(log_tail)
        if _SAID.search(line) and not _NOT_SAID.search(line)
    ]
    others = [number for number in errors if not _API_SERVER.match(log_tail[number])]
    return next(reversed(others or errors), None)
