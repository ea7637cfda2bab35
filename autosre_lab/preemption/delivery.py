"""The hook as a file: where it is, what it holds, and what it said when it was loaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from autosre_lab.recipe.command import HOOK_FOLDER, HOOK_MODULE

__all__ = [
    "HOOK_FOLDER",
    "HOOK_MODULE",
    "STATUS_FILE",
    "STATUS_VARIABLE",
    "PreemptionStatus",
    "hook_file",
    "hook_sha256",
    "hook_text",
    "parse_status",
]

STATUS_VARIABLE = "AUTOSRE_PREEMPT_STATUS"
"""The variable that tells the hook where to write its status."""

STATUS_FILE = "/tmp/autosre_preempt_status.json"  # noqa: S108 - in the engine's own container
"""Where it writes it by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreemptionStatus:
    """What the hook said when vLLM made its scheduler.

    Attributes:
        state: ``refused``: it left vLLM's own scheduler alone; ``off``: it switched itself off.
        reasons: Why it is not active.
        vllm: The version it found.
        sha256: The digest of the file that was loaded.
        base: The class of vLLM that it builds on.
        digests: Of the source of vLLM's methods.
        options: In force, defaults among them; empty where it is not active.
    """

    state: Literal["active", "refused", "off"]
    reasons: tuple[str, ...] = ()
    vllm: str = ""
    sha256: str = ""
    base: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    options: dict[str, int] = field(default_factory=dict)


def hook_file() -> Path:
    """Return the file that vLLM imports; it is alone in its folder, which goes on PYTHONPATH."""
    return Path(__file__).with_name("hook") / f"{HOOK_MODULE}.py"


@cache
def hook_text() -> str:
    """Return what is in it."""
    return hook_file().read_text(encoding="utf-8")


def hook_sha256() -> str:
    """Return the digest of what is in it."""
    return hashlib.sha256(hook_text().encode()).hexdigest()


def parse_status(text: str) -> PreemptionStatus | None:
    """Read the status file; None where it is not one."""
    try:
        said = json.loads(text)
        if said["status"] not in ("active", "refused", "off"):
            return None
        return PreemptionStatus(
            state=said["status"],
            reasons=tuple(map(str, said.get("reasons", ()))),
            vllm=str(said.get("vllm", "")),
            sha256=str(said.get("sha256", "")),
            base=str(said.get("base", "")),
            digests={str(k): str(v) for k, v in said.get("digests", {}).items()},
            options={str(k): int(v) for k, v in said.get("options", {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
