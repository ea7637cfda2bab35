"""`autosre-claude`: the agent on a model of your own."""

from __future__ import annotations

from autosre_lab.agents.door import open_door

__all__ = ["main"]


def main() -> None:
    """Become Claude Code, with the arguments of this process."""
    open_door("claude")


if __name__ == "__main__":
    main()
