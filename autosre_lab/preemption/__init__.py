"""Requests that matter more take the place of those that run: the hook into vLLM's scheduler."""

from __future__ import annotations

from autosre_lab.preemption.delivery import (
    HOOK_FOLDER,
    HOOK_MODULE,
    STATUS_FILE,
    STATUS_VARIABLE,
    PreemptionStatus,
    hook_file,
    hook_sha256,
    hook_text,
    parse_status,
)

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
