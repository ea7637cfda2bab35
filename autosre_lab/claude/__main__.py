"""`autosre claude` as a module: Claude Code on a model of your own, with its own arguments."""

from __future__ import annotations

from autosre_lab.agents.door import open_door

if __name__ == "__main__":
    open_door("claude")
