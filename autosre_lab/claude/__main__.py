"""`autosre claude` as a module: Claude Code on a model of your own, with its own arguments."""

from __future__ import annotations

import sys

from autosre_lab.agents.claude.session import run_and_replace
from autosre_lab.errors import AutosreError
from autosre_lab.logs import configure_logging
from autosre_lab.settings import load_settings

USAGE_ERROR = 2


def main() -> None:
    """Run, and end as Claude Code ends; our own failures end with 2 and say what to do."""
    try:
        configure_logging(load_settings().log_level)
        run_and_replace(sys.argv[1:])
    except AutosreError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(USAGE_ERROR) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
