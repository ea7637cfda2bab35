"""One thing that was looked at, and what was found."""

from __future__ import annotations

import msgspec

__all__ = ["CheckResult", "verdict"]


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a check.

    Attributes:
        level: L0 to L4.
        name: What was checked; the same in every run.
        passed: None where it could not be told; that is never a pass.
        detail: What was found, in words.
    """

    level: str
    name: str
    passed: bool | None
    detail: str = ""


def verdict(results: list[CheckResult]) -> bool | None:
    """Return False if any failed, None if any could not be told, True if all passed."""
    if any(one.passed is False for one in results):
        return False
    return None if not results or any(one.passed is None for one in results) else True
