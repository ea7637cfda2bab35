"""The door `python -m autosre_lab.claude`; the launcher is `autosre_lab.agents.claude`."""
