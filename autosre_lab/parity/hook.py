"""The preemption hook: the mounted file, and whether vLLM's scheduler has really loaded it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from autosre_lab.parity.live import LiveEngine
from autosre_lab.parity.mismatch import Mismatch
from autosre_lab.preemption import (
    HOOK_MODULE,
    STATUS_FILE,
    STATUS_VARIABLE,
    hook_sha256,
    parse_status,
)

if TYPE_CHECKING:
    from autosre_lab.recipe import Recipe

__all__ = ["HookComparison", "compare_hook", "hook_paths"]

_FILE_MATTERS = "another hook schedules than this version of autosre has"
_LOADED_MATTERS = "the file was changed after the engine had loaded it"
_STATUS_MATTERS = "without it a high-priority request waits behind low-priority ones"


@dataclass(frozen=True, slots=True)
class HookComparison:
    """What was found.

    Attributes:
        mismatches: Each with why it matters.
        unread: Subject and reason of what could not be told.
    """

    mismatches: tuple[tuple[Mismatch, str], ...] = ()
    unread: tuple[tuple[str, str], ...] = ()


def hook_paths(
    recipe: Recipe, environment: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files to hash and the files to read; none for a recipe without the hook.

    Args:
        recipe: What should run.
        environment: What its engine should have been started with.
    """
    if recipe.scheduler.preemption.mode != "hook":
        return (), ()
    return (_hook_file(environment),), (_status_file(environment),)


def compare_hook(
    recipe: Recipe, environment: Mapping[str, str], live: LiveEngine
) -> HookComparison:
    """Return how the hook that runs differs from ours, and whether it is active.

    Args:
        recipe: What should run.
        environment: What its engine should have been started with.
        live: What was read with `hook_paths`.
    """
    if recipe.scheduler.preemption.mode != "hook":
        return HookComparison()
    mismatches: list[tuple[Mismatch, str]] = []
    unread: list[tuple[str, str]] = []
    file = _hook_file(environment)
    digest, ours = live.file_hashes.get(file), hook_sha256()
    if digest != ours:
        mismatches.append((_mismatch(file, ours, digest), _FILE_MATTERS))
    path = _status_file(environment)
    text = live.texts.get(path)
    status = parse_status(text) if text is not None else None
    if text is None:
        mismatches.append((_mismatch("status", "active", None), _STATUS_MATTERS))
    elif status is None:
        unread.append(("status", f"{path} is no status file of the hook"))
    else:
        if status.state != "active":
            said = ": ".join(filter(None, (status.state, "; ".join(status.reasons))))
            mismatches.append((_mismatch("status", "active", said), _STATUS_MATTERS))
        if status.sha256 and status.sha256 != digest:
            loaded = _mismatch("the loaded file", digest or "", status.sha256)
            mismatches.append((loaded, _LOADED_MATTERS))
    return HookComparison(tuple(mismatches), tuple(unread))


def _hook_file(environment: Mapping[str, str]) -> str:
    folder = environment.get("PYTHONPATH", "").partition(":")[0]
    return str(PurePosixPath(folder) / f"{HOOK_MODULE}.py")


def _status_file(environment: Mapping[str, str]) -> str:
    return environment.get(STATUS_VARIABLE, STATUS_FILE)


def _mismatch(subject: str, expected: str, live: str | None) -> Mismatch:
    kind = "missing" if live is None else "different"
    return Mismatch(subject=subject, kind=kind, expected=expected, live=live)  # type: ignore[arg-type]
