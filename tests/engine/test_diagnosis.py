"""Likely causes, from what vLLM and the system really write."""

from __future__ import annotations

import signal

import pytest

from autosre_lab.engine.diagnosis import diagnose, root_cause_lines

SIGNS = {
    "OSError: [Errno 98] Address already in use": "port is taken",
    "vllm: error: unrecognized arguments: --enable-magic": "does not know a flag",
    "ValueError: To serve at least one request with the models's max seq len (262144), (9.00 GiB "
    "KV cache is needed, which is larger than the available KV cache memory (1.0 GiB).": "KV cache",
    "RuntimeError: Worker failed with error 'Available memory on node 0 (9.37/18.34 GiB) on kv "
    "cache allocation is less than requested memory for kv (500.0 GiB).": "not fit into memory",
    "  Value error, User-specified max_model_len (999999) is greater than the derived "
    "max_model_len (max_position_embeddings=8192.0": "larger than the model's own",
    "  Value error, Invalid repository ID or local directory specified: '/m'.": "weights",
    "ValueError: Couldn't instantiate the backend tokenizer from one of:": "tokenizer",
    "ValueError: No available memory for the cache blocks.": "KV cache",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB": "out of memory",
    "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory": "out of memory",
    "OSError: [Errno 28] No space left on device": "disk is full",
    "RuntimeError: Found no NVIDIA driver on your system.": "CUDA device",
    "RuntimeError: Failed to infer device type": "CUDA device",
    "RuntimeError: Cannot find any model weights with `/models/m`": "weights",
    "OSError: /models/m does not appear to have a file named config.json.": "weights",
    "safetensors_rust.SafetensorError: Error while deserializing header": "weights",
    "ImportError: libnuma.so.1: cannot open shared object file": "system library",
    "ModuleNotFoundError: No module named 'vllm'": "environment is incomplete",
    "RuntimeError: CUDA error: out of memory": "out of memory",
    "RuntimeError: The NVIDIA driver on your system is too old (found version 12040).": "CUDA dev",
    "AcceleratorError: CUDA error: no kernel image is available for execution": "other GPUs",
    "OSError: You are trying to access a gated repo.": "without a token",
    "OSError: We couldn't connect to 'https://huggingface.co' to load the files": "hub cannot be",
    "/tmp/x/cuda_utils.c:6:10: fatal error: Python.h: No such file or directory": "compiler",
    "FileNotFoundError: [Errno 2] No such file or directory: 'ninja'": "compiler",
    "FileNotFoundError: No such file or directory: '/usr/local/cuda/bin/nvcc'": "compiler",
    "RuntimeError: Failed to find C compiler. Please specify via CC": "compiler",
}


@pytest.mark.parametrize(("line", "cause"), SIGNS.items())
def test_a_known_line_names_the_cause_and_a_remedy(line: str, cause: str) -> None:
    found = diagnose(["INFO loading", line, "Traceback (most recent call last):"], 1)
    assert cause in found.cause
    assert found.remedy


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (-signal.SIGKILL, "memory runs out"),
        (128 + signal.SIGKILL, "memory runs out"),
        (-signal.SIGILL, "instruction"),
        (-signal.SIGSEGV, "native code"),
        (-signal.SIGTERM, "somebody ended it"),
    ],
)
def test_without_a_word_the_signal_tells(code: int, cause: str) -> None:
    assert cause in diagnose(["INFO serving"], code).cause


def test_what_the_log_says_counts_more_than_the_signal() -> None:
    assert "port" in diagnose(["Address already in use"], -signal.SIGKILL).cause


def test_an_unknown_error_is_quoted() -> None:
    found = diagnose(["fine", "FooError: the flux is gone", "bye"], 1)
    assert found.cause == "FooError: the flux is gone"


def test_a_warning_that_names_an_error_is_no_cause() -> None:
    warning = (
        "(APIServer pid=1966) WARNING 11-23 12:19:06 [system_utils.py:255] Found ulimit of 20000. "
        "This can cause fd limit errors like `OSError: [Errno 24] Too many open files`."
    )
    assert diagnose([warning], 1).cause == "its log does not say"


def test_the_process_that_failed_is_quoted_and_not_the_one_that_noticed() -> None:
    lines = [
        "(Worker pid=3449) ERROR 11-23 12:20:08 [multiproc_executor.py:953] RuntimeError: "
        "static_scaled_fp8_quant() expected at most 0 argument(s)",
        "RuntimeError: Engine core initialization failed. See root cause above.",
    ]
    expected = "RuntimeError: static_scaled_fp8_quant() expected at most 0 argument(s)"
    assert diagnose(lines, 1).cause == expected


@pytest.mark.parametrize("code", [None, 0, 1, 255, -64])
def test_nothing_known_is_admitted(code: int | None) -> None:
    assert diagnose([], code).cause == "its log does not say"


API_SERVER = """\
(APIServer pid=3525)   File "/e/vllm/v1/engine/core_client.py", line 573
(APIServer pid=3525)     with launch_core_engines(
(APIServer pid=3525)   File "/e/vllm/v1/engine/utils.py", line 1272
(APIServer pid=3525)     raise RuntimeError(
(APIServer pid=3525) RuntimeError: Engine core initialization failed. See root cause above.\
""".splitlines()
"""What the first starts on a GPU ended with; the root cause stands some 100 lines above."""

CORE = "(EngineCore pid=3620) ERROR 11-26 14:12:40 [core.py:1136] "


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            "ValueError: Free memory on device cuda:0 (14.17/79.18 GiB) on startup is less than "
            "desired GPU memory utilization (0.9, 71.26 GiB).",
            "out of memory: ValueError: Free memory on device cuda:0 (14.17/79.18 GiB)",
        ),
        (
            "ModuleNotFoundError: No module named 'flashinfer'",
            "incomplete: ModuleNotFoundError: No module named 'flashinfer'",
        ),
        ("KeyError: 'model.layers.0.weird'", "KeyError: 'model.layers.0.weird'"),
    ],
)
def test_the_root_cause_is_shown_and_not_what_noticed_it(said: str, cause: str) -> None:
    filler = [f"(EngineCore pid=3620) INFO line {number}" for number in range(60)]
    trace = [CORE + "Traceback (most recent call last):", CORE + '  File "core.py", line 1']
    log = [*filler, *trace, CORE + said, *API_SERVER * 20]
    found = diagnose(log, 1)
    assert cause in found.cause
    assert "delete" not in found.remedy
    shown = root_cause_lines(log, 20)
    assert shown[-1].endswith(said)
    assert 3 <= len(shown) <= 20
    assert not any("APIServer" in line for line in shown)


def test_without_a_known_cause_the_end_is_shown() -> None:
    assert root_cause_lines(["a", "b", "c"], 2) == ["b", "c"]


def test_no_advice_is_to_delete_an_environment() -> None:
    for line in SIGNS:
        assert "delete" not in diagnose([line], 1).remedy
