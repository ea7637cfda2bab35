from __future__ import annotations

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.parity.environment import (
    ExpectedEnvironment,
    environment_difference,
    is_of_the_engine,
)

POD = {
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    "KUBERNETES_PORT_443_TCP": "tcp://10.96.0.1:443",
    "HOSTNAME": "vllm-abc",
    "PATH": "/usr/bin",
    "HOME": "/root",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NVIDIA_REQUIRE_CUDA": "cuda>=13",
    "NV_CUDA_LIB_VERSION": "13.0",
    "NCCL_VERSION": "2.27",
    "CUDA_VERSION": "13.0.0",
    "PYTHON_VERSION": "3.12.3",
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64",
    "VLLM_USAGE_SOURCE": "production-docker-image",
    "TERM": "xterm",
}


def rows(live: dict[str, str], **expected: object) -> list[tuple[str, str, str | None, str | None]]:
    wanted = ExpectedEnvironment(**{"set": {}, **expected})  # type: ignore[arg-type]
    found = environment_difference(wanted, live)
    return [(one.subject, one.kind, one.expected, one.live) for one in found]


def test_what_every_pod_and_image_has_is_no_difference() -> None:
    assert rows({**POD, "HF_HUB_OFFLINE": "1"}, set={"HF_HUB_OFFLINE": "1"}) == []


def test_missing_different_and_extra_variables_are_told_sorted() -> None:
    live = {**POD, "VLLM_USE_DEEP_GEMM": "1", "OMP_NUM_THREADS": "2", "EDITOR": "vi"}
    assert rows(live, set={"VLLM_USE_DEEP_GEMM": "0", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}) == [
        ("CUBLAS_WORKSPACE_CONFIG", "missing", ":4096:8", None),
        ("OMP_NUM_THREADS", "extra", None, "2"),
        ("VLLM_USE_DEEP_GEMM", "different", "0", "1"),
    ]


def test_what_is_expected_is_compared_also_where_images_set_it() -> None:
    assert rows(POD, set={"PATH": "/opt/bin"}) == [("PATH", "different", "/opt/bin", "/usr/bin")]


def test_secrets_are_compared_by_presence_and_never_shown() -> None:
    live = {"HF_TOKEN": "hf_secret", "VLLM_API_KEY": "sk-secret", "HF_OTHER_TOKEN": "hidden-too"}
    found = rows(live, secrets={"HF_TOKEN": False, "NEEDED_TOKEN": True})
    assert found == [
        ("HF_OTHER_TOKEN", "extra", None, "(hidden)"),
        ("NEEDED_TOKEN", "missing", "(hidden)", None),
        ("VLLM_API_KEY", "extra", None, "(hidden)"),
    ]
    assert "secret" not in repr(rows(live, set={"VLLM_API_KEY": "other-secret"}))


def test_an_empty_required_secret_is_missing() -> None:
    assert [row[1] for row in rows({"HF_TOKEN": ""}, secrets={"HF_TOKEN": True})] == ["missing"]


def test_a_variable_that_must_not_be_there_is_told_whatever_its_name() -> None:
    found = rows({"VLLM_PORT": "tcp://10.96.0.30:8000", "EDITOR": "vi"}, unset=["EDITOR", "GONE"])
    assert found == [
        ("EDITOR", "extra", None, "vi"),
        ("VLLM_PORT", "extra", None, "tcp://10.96.0.30:8000"),
    ]


def test_names_that_the_starter_sets_and_names_to_ignore_are_not_told() -> None:
    live = {"HF_HOME": "/data", "VLLM_CACHE_ROOT": "/c", "VLLM_X": "1"}
    assert rows(live, allowed=["HF_HOME"], ignored=["^VLLM_CACHE", "_X$"]) == []


def test_a_broken_expression_to_ignore_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match=r"'\['"):
        rows({}, ignored=["["])


@pytest.mark.parametrize("name", ["VLLM_PORT", "PYTHONPATH", "PYTORCH_ALLOC_CONF", "LD_PRELOAD"])
def test_what_changes_the_engine_is_known(name: str) -> None:
    assert is_of_the_engine(name)


@pytest.mark.parametrize("name", ["RAY_SERVICE_HOST", "HFX", "PYTHON_SHA256", "PWD", "NVARCH"])
def test_what_does_not_change_the_engine_is_known(name: str) -> None:
    assert not is_of_the_engine(name)
