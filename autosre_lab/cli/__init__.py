"""The command line, `autosre`."""

from autosre_lab.cli.main import main

__all__ = ["main"]
