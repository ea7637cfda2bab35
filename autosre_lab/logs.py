"""The one logging set-up: libraries only log, whoever owns the process configures it."""

from __future__ import annotations

import logging
import sys

from autosre_lab.errors import ConfigError

__all__ = ["LEVELS", "configure_logging", "get_logger"]

LEVELS = ("debug", "info", "warning", "error")

_ROOT = "autosre_lab"


class _ToStandardError(logging.Handler):
    """Writes to what is standard error at that moment: notebooks and tests replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module of this package (`name` is its ``__name__``)."""
    return logging.getLogger(name)


def configure_logging(level: str = "warning") -> None:
    """Send this package's log records to standard error, one line each.

    Calling it again changes the level and adds no second handler.

    Args:
        level: debug, info, warning or error.

    Raises:
        ConfigError: The level is none of these.
    """
    if level.lower() not in LEVELS:
        raise ConfigError(f"unknown log level {level!r}", remedy=f"one of {', '.join(LEVELS)}")
    root = logging.getLogger(_ROOT)
    root.setLevel(level.upper())
    root.propagate = False
    if not any(isinstance(handler, _ToStandardError) for handler in root.handlers):
        handler = _ToStandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
        root.addHandler(handler)
