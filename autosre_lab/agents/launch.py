"""What would be run: a command and its environment, and how they are shown without secrets."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Browser", "Endpoint", "Launch", "show_launch"]

_SECRET_ENDINGS = ("_KEY", "_SECRET", "_TOKEN")


class Endpoint(Protocol):
    """What a launch must know of a running stack; `autosre_lab.Stack` is one."""

    @property
    def proxy_url(self) -> str:
        """Base URL of the proxy."""

    @property
    def token(self) -> str:
        """Bearer token the proxy asks for."""

    @property
    def model(self) -> str:
        """Name of the served model."""

    @property
    def max_model_len(self) -> int:
        """Served context window in tokens."""


class Browser(Protocol):
    """What a launch must know of a browser elsewhere; `lifecycle.stack_browser` finds one."""

    @property
    def url(self) -> str:
        """Base URL of its service."""

    @property
    def token(self) -> str:
        """What it asks for."""

    @property
    def kind(self) -> str:
        """How it is spoken to, as in ``AUTOSRE_BROWSER_KIND``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command and its environment, ready to be run.

    Attributes:
        argv: The command; holds no secret.
        env: The whole environment to run it in.
        added: The part of `env` that we set; holds the tokens.
        removed: Variables of the user's environment that were taken out.
        notes: What a person should know, a sentence each.
        noise: A line of standard error that holds one of these texts is not passed on.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = field(repr=False)
    added: dict[str, str] = field(repr=False)
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()


def show_launch(launch: Launch) -> str:
    """Return a launch as shell lines that could be pasted, with every secret masked."""
    lines = [f"# {note}" for note in launch.notes]
    lines += [f"unset {name}" for name in launch.removed]
    for name, value in sorted(launch.added.items()):
        is_secret = value and name.endswith(_SECRET_ENDINGS)
        shown = "'********'" if is_secret else shlex.quote(value)
        lines.append(f"export {name}={shown}")
    lines.append(shlex.join(launch.argv))
    return "\n".join(lines) + "\n"
