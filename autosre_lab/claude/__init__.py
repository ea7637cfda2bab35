"""The door to Claude Code as a module; the launcher is `autosre_lab.agents.claude`."""
