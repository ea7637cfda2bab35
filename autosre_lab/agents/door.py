"""What the doors to the agents (`autosre_lab.claude`, `autosre_lab.codex`) have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from autosre_lab.errors import AutosreError
from autosre_lab.logs import configure_logging
from autosre_lab.settings import load_settings

__all__ = ["open_door"]

USAGE_ERROR = 2


def open_door(run: Callable[[Sequence[str]], NoReturn]) -> None:
    """Run, and end as the agent ends; our own failures end with 2 and say what to do."""
    try:
        configure_logging(load_settings().log_level)
        run(sys.argv[1:])
    except AutosreError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(USAGE_ERROR) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
