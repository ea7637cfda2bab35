"""What can be done in a page, as words: read from what a caller gives, and checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from autosre_lab.errors import ConfigError

__all__ = ["ACTIONS", "Action", "BrowserStep", "parse_steps"]

Action = Literal[
    "click",
    "dblclick",
    "hover",
    "fill",
    "type",
    "press",
    "select",
    "check",
    "uncheck",
    "scroll",
    "upload",
    "drag",
    "goto",
    "back",
    "forward",
    "reload",
    "wait_for",
    "dialog_accept",
    "dialog_dismiss",
    "close_tab",
]
ACTIONS: tuple[str, ...] = get_args(Action)

NEEDS_TARGET = frozenset(
    {"click", "dblclick", "hover", "fill", "select", "check", "uncheck", "upload", "drag"}
)
NEEDS_VALUE = frozenset({"fill", "type", "press", "select", "upload", "drag", "goto", "wait_for"})

_REF = re.compile(r"(?:ref=)?((?:f\d+)?e\d+)")
_KEYS = frozenset({"action", "target", "value"})
STEPS_AT_MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserStep:
    """One thing to do.

    Attributes:
        action: What.
        target: The element it is done to: a ref of a snapshot, or a selector; empty for none.
        value: Text to fill in, key, option, URL, file, text to wait for, scroll distance in pixels
            or the target of a drag.
    """

    action: Action
    target: str = ""
    value: str = ""

    @property
    def ref(self) -> str | None:
        """The target if it is a ref, as snapshots write it; else None."""
        return ref_of(self.target)


def ref_of(target: str) -> str | None:
    """Return the ref that a target names; None if it is a selector."""
    match = _REF.fullmatch(target)
    return match[1] if match else None


def parse_steps(given: Sequence[Mapping[str, Any]]) -> list[BrowserStep]:
    """Return the steps that a caller wants.

    Raises:
        ConfigError: One of them is unknown or lacks something; it names the first one.
    """
    if not given:
        raise ConfigError("there is nothing to do", remedy=f"give an action: {', '.join(ACTIONS)}")
    if len(given) > STEPS_AT_MOST:
        raise ConfigError(
            f"{len(given)} steps are too many at once", remedy=f"give at most {STEPS_AT_MOST}"
        )
    return [_step(number, one) for number, one in enumerate(given, start=1)]


def _step(number: int, given: Mapping[str, Any]) -> BrowserStep:
    action = str(given.get("action", ""))
    where = f"step {number}: "
    if unknown := sorted(given.keys() - _KEYS):
        raise ConfigError(
            f"{where}unknown key {', '.join(unknown)}", remedy="a step has action, target, value"
        )
    if action not in ACTIONS:
        raise ConfigError(
            f"{where}unknown action {action!r}", remedy=f"one of {', '.join(ACTIONS)}"
        )
    target, value = (str(given.get(key) or "") for key in ("target", "value"))
    if action in NEEDS_TARGET and not target:
        raise ConfigError(
            f"{where}{action} needs a target", remedy="give a ref of the snapshot, such as e12"
        )
    # An empty text is a value: it clears a field.
    if action in NEEDS_VALUE and not value and not (action == "fill" and "value" in given):
        raise ConfigError(f"{where}{action} needs a value", remedy=_VALUES[action])
    return BrowserStep(action=action, target=target, value=value)  # type: ignore[arg-type]


_VALUES = {
    "fill": "the text; an empty one clears the field",
    "type": "the text, typed key by key into the target or where the focus is",
    "press": "a key, such as Enter or Control+a",
    "select": "the option's label or value",
    "upload": "the path of a file in the working folder",
    "drag": "the ref of the element to drop it on",
    "goto": "an http or https URL",
    "wait_for": "a text to wait for; !text waits until it is gone; a number waits for seconds",
}
