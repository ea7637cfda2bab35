"""The door `python -m autosre_lab.codex`; the launcher is `autosre_lab.agents.codex`."""
