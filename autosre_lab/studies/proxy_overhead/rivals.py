"""Other proxies that speak the Messages API, each in an environment of its own.

They live under the data folder, so that nothing of theirs meets this project's dependencies, and
they are installed only when somebody asks. Versions are pinned: a ratio means nothing without the
number of what it was measured against.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autosre_lab.errors import ConfigError, ProvisionError
from autosre_lab.progress import step
from autosre_lab.studies.proxy_overhead.load import LoadTarget

__all__ = [
    "RIVAL_NAMES",
    "Contender",
    "clean_environment",
    "install_rival",
    "own_proxy",
    "rival",
    "rival_folder",
    "rival_is_installed",
]

_VERSIONS = {"litellm": "1.106.2", "ccr": "2.0.0"}
RIVAL_NAMES = tuple(_VERSIONS)
"""Names that `--rivals` takes: LiteLLM and claude-code-router."""

MESSAGES_PATH = "/v1/messages?beta=true"
MESSAGES_END = b'"message_stop"'
_KEY = "sk-autosre-benchmark-0000000000000000"
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
_INSTALL_TIMEOUT_S = 1800.0
_CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way from the client to the upstream, ready to be started.

    Attributes:
        name: As the table shows it.
        version: Of what is measured.
        argv: The command that starts it.
        env: Its whole environment.
        files: What to write before the start, path to text.
        target: Where it answers the Messages API.
        ready_path: A GET here answers 200 as soon as it serves.
    """

    name: str
    version: str
    argv: Sequence[str]
    env: Mapping[str, str]
    files: Mapping[Path, str]
    target: LoadTarget
    ready_path: str


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment in which no setting of the person at the keyboard takes part."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**kept, "HOME": str(home), "NO_PROXY": "*", **more}


def rival_folder(data: Path, name: str) -> Path:
    """Return where a rival is, or would be, installed.

    Raises:
        ConfigError: There is no such rival.
    """
    if name not in _VERSIONS:
        raise ConfigError(
            f"unknown rival {name!r}", remedy=f"the rivals are: {', '.join(RIVAL_NAMES)}"
        )
    return data / "rivals" / f"{name}-{_VERSIONS[name]}"


def rival_is_installed(data: Path, name: str) -> bool:
    """Tell whether a rival was installed to the end."""
    return _complete_mark(rival_folder(data, name)).exists()


def install_rival(data: Path, name: str) -> None:
    """Install a rival, unless it is; after an interruption, call it again.

    Raises:
        ConfigError: There is no such rival.
        ProvisionError: pip or npm failed.
    """
    folder = rival_folder(data, name)
    if rival_is_installed(data, name):
        return
    folder.mkdir(parents=True, exist_ok=True)
    with step(f"Install {name} {_VERSIONS[name]}"):
        if name == "litellm":
            venv = folder / "venv"
            _install([sys.executable, "-m", "venv", str(venv)], name)
            pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
            _install([*pip, "install", "--quiet", f"litellm[proxy]=={_VERSIONS[name]}"], name)
        else:
            package = f"@musistudio/claude-code-router@{_VERSIONS[name]}"
            npm = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund"]
            _install([*npm, "--ignore-scripts", package], name)
    _complete_mark(folder).write_text(_VERSIONS[name] + "\n", encoding="utf-8")


def rival(name: str, *, data: Path, run_folder: Path, port: int, upstream_port: int) -> Contender:
    """Return how to start an installed rival in front of the upstream.

    Args:
        name: One of `RIVAL_NAMES`.
        data: The data folder.
        run_folder: A folder for this run only; becomes the rival's home.
        port: Where it shall listen, on loopback.
        upstream_port: Where the upstream listens.

    Raises:
        ConfigError: There is no such rival, or it is not installed.
    """
    if not rival_is_installed(data, name):
        raise ConfigError(
            f"{name} {_VERSIONS[name]} is not installed",
            remedy="add --install-rivals, which puts it under the data folder, or leave it out",
        )
    make = _litellm if name == "litellm" else _claude_code_router
    return make(rival_folder(data, name), run_folder, port, upstream_port)


def own_proxy(
    *,
    version: str,
    run_folder: Path,
    port: int,
    upstream_port: int,
    name: str = "autosre",
    checkout: Path = _CHECKOUT,
) -> Contender:
    """Return how to start this project's proxy as the stack does, request log and all.

    Args:
        version: Of what is measured.
        run_folder: A folder for this run only.
        port: Where it shall listen, on loopback.
        upstream_port: Where the upstream listens.
        name: As the table shows it.
        checkout: Where the package lies: this one, or an older state to compare with.
    """
    return Contender(
        name=name,
        version=version,
        argv=[
            # -P: the folder in which the benchmark was started must not win over the checkout.
            *(sys.executable, "-P", "-m", "autosre_lab.proxy"),
            *(str(port), f"http://127.0.0.1:{upstream_port}"),
            *("--host", "127.0.0.1"),
            *("--request-log", str(run_folder / f"{name}.jsonl")),
        ],
        env=clean_environment(
            run_folder,
            AUTOSRE_PROXY_TOKEN=_KEY,
            PYTHONPATH=str(checkout),
        ),
        files={},
        target=_target(port),
        ready_path="/health",
    )


def as_responses(target: LoadTarget) -> LoadTarget:
    """Return where a contender answers the Responses API, asked as Codex asks."""
    return LoadTarget(
        port=target.port,
        path="/v1/responses",
        headers={
            "authorization": f"Bearer {_KEY}",
            "originator": "codex_exec",
            "session-id": "00000000-0000-4000-8000-000000000000",
            "thread-id": "00000000-0000-4000-8000-000000000000",
            "x-codex-turn-metadata": '{"request_kind":"turn","thread_source":"user"}',
            "user-agent": "codex_exec/0.171.0",
        },
        end=b"response.completed",
    )


def _target(port: int) -> LoadTarget:
    return LoadTarget(
        port=port,
        path=MESSAGES_PATH,
        # The headers of a real first request that a proxy may look at.
        headers={
            "authorization": f"Bearer {_KEY}",
            "anthropic-version": "2023-06-01",
            "anthropic-beta": (
                "claude-code-20250219,interleaved-thinking-2025-05-14,"
                "context-management-2025-06-27,prompt-caching-scope-2026-01-05,effort-2025-11-24"
            ),
            "x-claude-code-session-id": "00000000-0000-4000-8000-000000000000",
            "x-stainless-timeout": "600",
            "user-agent": "claude-cli/2.1.197 (external, sdk-cli)",
            "x-app": "cli",
        },
        end=MESSAGES_END,
    )


def _litellm(folder: Path, run_folder: Path, port: int, upstream_port: int) -> Contender:
    config = run_folder / "litellm.yaml"
    settings = {
        "model_list": [
            {
                "model_name": "*",
                "litellm_params": {
                    "model": "hosted_vllm/scripted-model",
                    "api_base": f"http://127.0.0.1:{upstream_port}/v1",
                    "api_key": "none",
                    # The Responses API is translated, as ours is; otherwise it is passed through.
                    "use_chat_completions_api": True,
                },
            }
        ],
        "litellm_settings": {"drop_params": True, "num_retries": 0, "telemetry": False},
    }
    return Contender(
        name="litellm",
        version=_VERSIONS["litellm"],
        argv=[
            str(folder / "venv" / "bin" / "litellm"),
            *("--config", str(config), "--host", "127.0.0.1", "--port", str(port)),
        ],
        env=clean_environment(
            run_folder,
            LITELLM_MASTER_KEY=_KEY,
            LITELLM_LOCAL_MODEL_COST_MAP="True",  # no look-up of prices in the network
            LITELLM_LOG="ERROR",
            NO_COLOR="1",
        ),
        files={config: json.dumps(settings)},  # JSON is YAML
        target=_target(port),
        ready_path="/health/liveliness",
    )


def _claude_code_router(folder: Path, run_folder: Path, port: int, upstream_port: int) -> Contender:
    node = shutil.which("node")
    if node is None:
        raise ConfigError("claude-code-router needs Node.js", remedy="install Node.js 20 or newer")
    settings = {
        "LOG": False,
        "NON_INTERACTIVE_MODE": True,
        "HOST": "127.0.0.1",
        "PORT": port,
        "Providers": [
            {
                "name": "scripted",
                "api_base_url": f"http://127.0.0.1:{upstream_port}/v1/chat/completions",
                "api_key": "none",
                "models": ["scripted-model"],
            }
        ],
        "Router": {"default": "scripted,scripted-model"},
    }
    package = folder / "node_modules" / "@musistudio" / "claude-code-router"
    return Contender(
        name="ccr",
        version=_VERSIONS["ccr"],
        argv=[node, str(package / "dist" / "cli.js"), "start"],
        env=clean_environment(run_folder),
        files={run_folder / ".claude-code-router" / "config.json": json.dumps(settings)},
        target=_target(port),
        ready_path="/health",
    )


def _complete_mark(folder: Path) -> Path:
    return folder / "installed"


def _install(argv: list[str], name: str) -> None:
    try:
        done = subprocess.run(
            argv,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_INSTALL_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProvisionError(
            f"{name} could not be installed: {error}",
            remedy="the benchmark also runs without rivals: leave --rivals out",
        ) from error
    if done.returncode:
        raise ProvisionError(
            f"{name} could not be installed: {argv[0]} ended with {done.returncode}\n"
            + "\n".join(done.stdout.splitlines()[-5:]),
            remedy="the benchmark also runs without rivals: leave --rivals out",
        )
