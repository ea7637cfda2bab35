"""What Codex's own arguments ask for."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["is_headless", "names_profile", "needs_model", "subcommand", "writes"]

_HEADLESS = frozenset({"exec", "e", "review"})
_WITH_MODEL = frozenset({*_HEADLESS, "agents", "resume", "fork", "queue"})
_WITHOUT_MODEL = frozenset(
    {
        *("login", "logout", "mcp", "plugin", "app-server", "remote-control", "completion"),
        *("update", "doctor", "sandbox", "debug", "apply", "a", "archive", "delete", "unarchive"),
        *("migrate-rollouts", "migrate-nfs-db", "cloud", "exec-server", "features", "help"),
        *("mcp-server", "responses-api-proxy", "generate-ts"),
    }
)
_INFORMING = frozenset({"-h", "--help", "-V", "--version"})
_WITH_VALUE = frozenset(
    {"-c", "--config", "--enable", "--disable", "-m", "--model", "-p", "--profile", "-i", "--image"}
    | {"-s", "--sandbox", "-a", "--ask-for-approval", "-C", "--cd", "--add-dir", "--local-provider"}
)


def subcommand(arguments: Sequence[str]) -> str:
    """Return Codex's subcommand; "" where the terminal interface is started."""
    words = iter(arguments)
    for word in words:
        if word == "--":
            return ""
        if word in _WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word if word in _WITH_MODEL | _WITHOUT_MODEL else ""
    return ""


def is_headless(arguments: Sequence[str]) -> bool:
    """Whether nobody sits in front of it."""
    return subcommand(arguments) in _HEADLESS


def needs_model(arguments: Sequence[str]) -> bool:
    """Whether a model has to be served for these arguments: not for help, versions or `mcp`."""
    if subcommand(arguments) in _WITHOUT_MODEL:
        return False
    before_the_prompt = arguments[: list(arguments).index("--")] if "--" in arguments else arguments
    return not _INFORMING & set(before_the_prompt)


def names_profile(arguments: Sequence[str]) -> bool:
    """Whether the arguments name a profile of Codex's own."""
    words = arguments[: list(arguments).index("--")] if "--" in arguments else arguments
    return any(word in ("-p", "--profile") or word.startswith("--profile=") for word in words)


def writes(arguments: Sequence[str]) -> bool:
    """Whether the arguments let Codex write where it runs."""
    words = list(arguments)
    for at, word in enumerate(words):
        value = words[at + 1] if at + 1 < len(words) else ""
        if word in ("-s", "--sandbox") and value != "read-only":
            return True
        if word.startswith("--sandbox=") and word != "--sandbox=read-only":
            return True
        if word.startswith(("--dangerously", "--full-auto", "--yolo", "--approve")):
            return True
    return False
