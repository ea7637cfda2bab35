"""The two services' command lines and environments."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.engine.guard import guard_folder
from autosre_lab.preemption import STATUS_VARIABLE, hook_file
from autosre_lab.provision.installed_engine import installed_python
from autosre_lab.settings import Paths, setting_variables

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = [
    "ENGINE_GUARD",
    "ENGINE_KEY",
    "engine_command",
    "engine_environ",
    "engine_key",
    "engine_python_path",
    "is_guarded",
    "proxy_command",
    "proxy_environ",
]

_KEPT = (
    # What any process needs, and what a person may have set for the network or the GPU.
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "CUDA_HOME", "CUDA_VISIBLE_DEVICES"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HF_ENDPOINT"),
)


ENGINE_KEY = "VLLM_API_KEY"
"""Where vLLM reads the key that its clients have to show; on a command line all would read it."""

ENGINE_GUARD = "autosre_engine_guard.EngineGuard"
"""vLLM guards some of its routes with the key; this guards the others that do work."""

_PROXY_SETTINGS = (
    *("AUTOSRE_PROXY_ORIGINS", "AUTOSRE_PROXY_WEB_SEARCH", "XDG_CONFIG_HOME"),
    *("AUTOSRE_PROXY_RESUME_TRIES", "AUTOSRE_PROXY_RESUME_FOR", "AUTOSRE_PROXY_RESUME_TOKENS"),
)
"""Besides the settings of the machine, which the process that searches for the proxy reads."""


def engine_command(recipe: Recipe, *, python: Path, model: Path, port: int) -> list[str]:
    """Return the argument list of vLLM as a local process on loopback, or of its stand-in."""
    from autosre_lab.recipe import build_vllm_serve_cmd

    command = python.with_name("vllm")
    executable = [str(command), "serve"]
    if python == installed_python(recipe) and not command.exists():
        executable = [str(python), "-m", "vllm.entrypoints.cli.main", "serve"]
    if _is_scripted(recipe):
        executable = [str(python), "-m", "autosre_lab.scripted"]
    built = build_vllm_serve_cmd(
        recipe,
        host="127.0.0.1",
        port=port,
        model_path=model,
        executable=executable,
    )
    return [*built, "--middleware", ENGINE_GUARD] if is_guarded(recipe) else built


def _is_scripted(recipe: Recipe) -> bool:
    return recipe.runtime is not None and recipe.runtime.device == "scripted"


def is_guarded(recipe: Recipe) -> bool:
    """Whether the engine's other routes are guarded with its key."""
    return not _is_scripted(recipe) and ENGINE_KEY not in recipe.env.unset


def engine_key(recipe: Recipe, environ: Mapping[str, str], *, before: str | None) -> str | None:
    """Return what the engine asks its clients for: without, any local user could drive it.

    Args:
        recipe: Says whether the operator has a key (`env.secret`), or wants none (`env.unset`).
        environ: The operator's environment.
        before: The key of the engine before, which the proxy that runs knows.
    """
    if ENGINE_KEY in recipe.env.set:
        return recipe.env.set[ENGINE_KEY].value
    if ENGINE_KEY in recipe.env.secret and environ.get(ENGINE_KEY):
        return environ[ENGINE_KEY]
    if ENGINE_KEY in recipe.env.unset:
        return None
    return before or secrets.token_urlsafe(24)


def engine_environ(
    recipe: Recipe,
    folders: Paths,
    *,
    python: Path,
    environ: Mapping[str, str],
    key: str | None = None,
) -> dict[str, str]:
    """Return vLLM's whole environment: little of ours, the caches in our folder, the recipe's.

    Args:
        recipe: What to serve.
        folders: Where our caches are.
        python: The engine's Python.
        environ: The operator's environment.
        key: What the engine asks its clients for; see `engine_key`.
    """
    from autosre_lab.recipe import build_runtime_env

    kept = {name: environ[name] for name in _KEPT if name in environ}
    cache = folders.cache
    caches = {
        "XDG_CACHE_HOME": cache,
        "VLLM_CACHE_ROOT": cache / "vllm",
        "TORCHINDUCTOR_CACHE_DIR": cache / "torchinductor",
        "TRITON_CACHE_DIR": cache / "triton",
        "HF_HOME": environ.get("HF_HOME") or cache / "huggingface",
        # vLLM would write there.
        "XDG_CONFIG_HOME": cache / "vllm-config",
        "VLLM_CONFIG_ROOT": cache / "vllm-config",
    }
    path = os.pathsep.join((str(python.parent), environ.get("PATH", os.defpath)))
    ours = {"PATH": path, "PYTHONUNBUFFERED": "1", "VLLM_NO_USAGE_STATS": "1"}
    theirs = {name: environ.get(name, "") for name in recipe.env.secret}
    result = kept | {name: str(value) for name, value in caches.items()} | ours
    result |= build_runtime_env(recipe, secrets=theirs)
    # What our own processes import is not the engine's: see `engine_python_path`.
    result.pop("PYTHONPATH", None)
    if "PYTHONPATH" in kept:
        result["PYTHONPATH"] = kept["PYTHONPATH"]
    if recipe.runtime is not None and recipe.runtime.device == "cuda":
        result = _without_flashinfer(python) | result
    if recipe.scheduler.preemption.mode == "hook":
        result[STATUS_VARIABLE] = str(folders.state / "preemption.json")
    for name in recipe.env.unset:
        result.pop(name, None)
    if key is not None:
        result[ENGINE_KEY] = key
    return result


def _without_flashinfer(python: Path) -> dict[str, str]:
    """Return what vLLM needs where its sampler's package is not: it would end at the first token.

    Looked for beside the Python, as a virtual environment has it, and a vendor's image.
    """
    lib = python.parent.parent
    patterns = [
        f"{where}/python3*/{kind}-packages/flashinfer"
        for where in ("lib", "lib64", "local/lib")
        for kind in ("site", "dist")
    ]
    patterns += ["lib/python3/dist-packages/flashinfer"]
    if any(any(lib.glob(pattern)) for pattern in patterns):
        return {}
    return {"VLLM_USE_FLASHINFER_SAMPLER": "0"}


def engine_python_path(recipe: Recipe) -> dict[str, str | None]:
    """Return the engine's own PYTHONPATH, not its supervisor's: the hook's and the guard's."""
    from autosre_lab.recipe import build_runtime_env

    stand_ins = dict.fromkeys(recipe.env.secret, "-")
    environment = build_runtime_env(recipe, secrets=stand_ins, hook_folder=hook_file().parent)
    folders = [environment.get("PYTHONPATH"), guard_folder() if is_guarded(recipe) else None]
    return {"PYTHONPATH": os.pathsep.join(str(folder) for folder in folders if folder) or None}


def proxy_command(
    *, port: int, engine_url: str, request_log: Path, keys: Path, responses: Path | None = None
) -> list[str]:
    """Return the argument list of the proxy; the token is not in it.

    Args:
        port: On loopback.
        engine_url: The engine.
        request_log: Where each request leaves a line.
        keys: The keys of single clients; the file need not be there.
        responses: Where responses are stored; None stores none.
    """
    stored = [] if responses is None else ["--responses-dir", str(responses)]
    return [
        *(sys.executable, "-m", "autosre_lab.proxy", str(port), engine_url),
        *("--host", "127.0.0.1", "--request-log", str(request_log)),
        *("--keys-file", str(keys)),
        *stored,
    ]


def proxy_environ(token: str, key: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy's environment, with the token that its clients have to show.

    Args:
        token: That token.
        key: What the proxy has to show to the engine.
        environ: The operator's environment.
    """
    names = {*_KEPT, *_PROXY_SETTINGS, *setting_variables()}
    kept = {name: value for name, value in environ.items() if name in names}
    ours = {"AUTOSRE_PROXY_TOKEN": token, "PYTHONUNBUFFERED": "1"}
    return kept | ours | ({} if key is None else {"AUTOSRE_ENGINE_KEY": key})
