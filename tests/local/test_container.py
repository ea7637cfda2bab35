"""A recipe's image as a container of this machine, with a stand-in for Podman.

The stand-in runs what it is asked to as a process in a session of its own, with nothing but the
environment that it was given, so that start, readiness, log, drift, crash and stop are real.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.errors import ProvisionError, RecipeError
from autosre_lab.lifecycle import place_for, preflight
from autosre_lab.local import launch, start, status, stop
from autosre_lab.local.container import (
    TOOLS,
    container_command,
    container_environ,
    container_name,
    image_reference,
)
from autosre_lab.parity import find_drift
from autosre_lab.processes.files import read_json
from autosre_lab.recipe import Recipe, load_recipe, parse_recipe
from autosre_lab.settings import paths
from tests.local.test_stack import _ports, stand_in_proxy
from tests.support.programs import program
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)

HERE = Path(__file__).parent
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
VLLM = f"""\
import runpy, sys
print("serving from the image", flush=True)
sys.argv = ["vllm", sys.argv[sys.argv.index("--port") + 1]]
runpy.run_path({str(HERE / "scripted_vllm.py")!r}, run_name="__main__")
"""


def recipe(**more: Any) -> Recipe:
    tree: dict[str, Any] = {
        "schema": "autosre.recipe/v1",
        "name": "boxed",
        "meta": {"description": "for tests"},
        "model": {"repo": "org/model", "served_names": ["scripted-model"], "context": 4096},
        "image": {"ref": "org/engine:v0.33.0", "vllm_version": "0.33.0", "arch": ARCH},
        "env": {
            "set": {"NCCL_DEBUG": {"value": "INFO", "reason": "a test"}},
            "secret": {"HF_TOKEN": {"reason": "a test"}},
        },
    }
    return parse_recipe(tree | more)


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _own_folders: None) -> Iterator[Path]:
    """A stand-in for Podman on PATH; its folder."""
    folder = tmp_path / "containers"
    folder.mkdir()
    (folder / "vllm").write_text(VLLM, encoding="utf-8")
    stand_in = HERE / "container_stand_in.py"
    program(tmp_path / "bin" / "podman", f'exec {sys.executable} -S {stand_in} {folder} "$@"')
    for name in ("cache", "config", "data", "state"):
        monkeypatch.setenv(f"AUTOSRE_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AUTOSRE_CONTAINER", "podman")
    monkeypatch.setenv("HF_TOKEN", "hf_hidden")
    monkeypatch.setattr(launch, "proxy_command", stand_in_proxy)
    engine_port, proxy_port = _ports()
    monkeypatch.setattr(launch, "ENGINE_PORT", engine_port)
    monkeypatch.setattr(launch, "PROXY_PORT", proxy_port)
    yield folder
    stop(timeout_s=10)


def container(folder: Path) -> dict[str, Any]:
    file = folder / f"{container_name(paths().state)}.json"
    until(file.exists, "the container")
    noted: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return noted


def test_an_image_is_served_watched_and_stopped_like_a_process(podman: Path) -> None:
    stack = start(recipe())
    assert (status().state, stack.model) == ("ready", "scripted-model")
    noted = container(podman)
    assert noted["image"] == "docker.io/org/engine:v0.33.0"
    assert "serving from the image" in (paths().state / "logs/engine.log").read_text("utf-8")
    report = find_drift(recipe())
    assert report.rows == (), [str(row) for row in report.rows]
    assert report.engine == f"container {container_name(paths().state)}"
    changed = recipe(
        env={"set": {"NCCL_DEBUG": {"value": "WARN", "reason": "another"}}},
        image={"ref": "org/engine:v0.33.1", "vllm_version": "0.33.1", "arch": ARCH},
        latency={"max_step_tokens": 512},
    )
    found = {(row.layer, row.subject) for row in find_drift(changed).rows}
    assert {("environment", "NCCL_DEBUG"), ("image", "image")} <= found
    assert ("process", "--max-num-batched-tokens") in found
    assert start(recipe()).engine_url == stack.engine_url  # it runs already
    stop()
    assert not (podman / f"{container_name(paths().state)}.json").exists()
    assert not Path(f"/proc/{noted['pid']}").exists()


def test_secrets_are_given_and_stand_on_no_command_line(podman: Path) -> None:
    stack = start(recipe())
    noted = container(podman)
    assert stack.engine_key
    environ = Path(f"/proc/{noted['pid']}/environ").read_text("utf-8").split("\0")
    assert f"VLLM_API_KEY={stack.engine_key}" in environ
    assert "HF_TOKEN=hf_hidden" in environ
    assert not [one for one in noted["names"] if one.startswith("AUTOSRE")]
    record = read_json(paths().state / "engine.json")
    assert record is not None
    for pid in (noted["pid"], record["supervisor"][0], record["child"][0]):
        words = Path(f"/proc/{pid}/cmdline").read_text("utf-8")
        assert stack.engine_key not in words
        assert "hf_hidden" not in words


def test_a_client_that_is_killed_leaves_no_second_engine(podman: Path) -> None:
    start(recipe())
    before = container(podman)["pid"]
    record = read_json(paths().state / "engine.json")
    assert record is not None
    os.kill(record["child"][0], signal.SIGKILL)
    until(lambda: container(podman)["pid"] != before, "another container")
    until(lambda: status().state == "ready", "a ready stack")
    until(lambda: not Path(f"/proc/{before}").exists(), "the end of the first engine")


def test_an_engine_that_ends_in_its_container_is_told_with_its_words(podman: Path) -> None:
    (podman / "vllm").write_text("print('ValueError: no such model'); raise SystemExit(1)", "utf-8")
    with pytest.raises(Exception, match="no such model"):
        start(recipe())


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tools_are_told_the_same_but_for_the_gpu(
    tool: str, tmp_path: Path, _own_folders: None
) -> None:
    loaded = load_recipe("qwen3.8-27b-nvfp4")
    environ = {"HF_TOKEN": "hf_hidden", "PATH": "/bin", "AWS_SECRET": "x"}
    folders = paths()
    argv = container_command(loaded, folders, tool=tool, port=8010, environ=environ)
    name = container_name(folders.state)
    run = argv[argv.index(name) + 1 :]
    assert run[:6] == [tool, "run", "--rm", "--name", name, "--network=host"]
    gpu = "--device=nvidia.com/gpu=all" if tool == "podman" else "--gpus=all"
    assert gpu in run
    assert "--shm-size=17179869184" in run
    assert "--cap-drop=ALL" in run
    mounts = [run[at + 1] for at, word in enumerate(run) if word == "--volume"]
    assert mounts[0] == "/data/huggingface:/data/huggingface:ro"
    assert mounts[1] == "/data/vllm-cache:/root/.cache"
    given = [run[at + 1] for at, word in enumerate(run) if word == "--env"]
    assert "HF_HUB_OFFLINE=1" in given
    assert [one for one in given if "=" not in one] == ["VLLM_API_KEY", "HF_TOKEN"]
    assert not [word for word in argv if "hf_hidden" in word]
    at = run.index("--entrypoint")
    assert run[at : at + 5] == [
        *("--entrypoint", "vllm", "docker.io/vllm/vllm-openai:v0.33.0"),
        *("serve", "unsloth/Qwen3.8-27B-NVFP4"),
    ]
    assert container_environ(loaded, environ, key="k") == {
        "PATH": "/bin",
        "HF_TOKEN": "hf_hidden",
        "VLLM_API_KEY": "k",
    }


@pytest.mark.parametrize(
    ("ref", "digest", "whole"),
    [
        ("vllm/vllm-openai:v1", None, "docker.io/vllm/vllm-openai:v1"),
        ("engine", None, "docker.io/library/engine"),
        ("localhost/engine:1", None, "localhost/engine:1"),
        ("nvcr.io/nvidia/vllm:25.09", None, "nvcr.io/nvidia/vllm:25.09"),
        ("host:5000/a", "sha256:" + "0" * 64, "host:5000/a@sha256:" + "0" * 64),
        ("a/b:v1", "sha256:" + "0" * 64, "docker.io/a/b@sha256:" + "0" * 64),
    ],
)
def test_an_image_is_named_in_full_and_by_its_digest(
    ref: str, digest: str | None, whole: str
) -> None:
    image = {"ref": ref, "vllm_version": "0.33.0", "arch": ARCH}
    assert image_reference(recipe(image=image | ({"digest": digest} if digest else {}))) == whole


def failed(found: Recipe) -> str:
    checks = preflight(found, place="local").checks
    return "\n".join(f"{one.message} {one.remedy}" for one in checks if one.state == "fail")


def test_what_a_container_lacks_is_told_before_it_is_started(
    podman: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"amd64": "arm64", "arm64": "amd64"}[ARCH]
    image = {"ref": "org/engine:v0.33.0", "vllm_version": "0.33.0", "arch": other}
    assert f"this machine is {ARCH}" in failed(recipe(image=image))
    storage = {"hf_cache": {"host_path": "/nowhere/at-all", "mount": "/m"}}
    assert "/nowhere/at-all" in failed(recipe(storage=storage))
    assert failed(recipe()) == ""
    program(podman.parent / "bin" / "podman", "echo cannot connect >&2; exit 1")
    assert "cannot connect" in failed(recipe())
    monkeypatch.setenv("AUTOSRE_CONTAINER", "nerdctl")
    monkeypatch.setenv("PATH", str(podman.parent / "bin"))
    assert "there is no `nerdctl`" in failed(recipe())
    with pytest.raises(ProvisionError, match="nerdctl"):
        start(recipe())


def test_the_setting_decides_whether_an_image_is_local(
    podman: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place_for(recipe()).name == "local"
    assert place_for(recipe(), "cluster").name == "cluster"
    monkeypatch.setenv("AUTOSRE_CONTAINER", "auto")
    assert place_for(recipe()).name == "local"
    monkeypatch.delenv("AUTOSRE_CONTAINER")
    assert place_for(recipe()).name == "cluster"
    with pytest.raises(RecipeError):
        place_for(recipe(), "local")
    assert "AUTOSRE_CONTAINER" in failed_without_tool(lambda: start(recipe()))


def failed_without_tool(call: Callable[[], object]) -> str:
    with pytest.raises(ProvisionError) as caught:
        call()
    return str(caught.value)
