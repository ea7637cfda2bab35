"""What the doors to the agents (`autosre_lab.claude`, `autosre_lab.codex`) have in common."""

from __future__ import annotations

import sys

from autosre_lab.agents.named import AgentName, agent_named
from autosre_lab.agents.session import run_and_replace
from autosre_lab.errors import AutosreError
from autosre_lab.logs import configure_logging
from autosre_lab.private_files import in_words
from autosre_lab.settings import home_folder, load_settings

__all__ = ["open_door"]

USAGE_ERROR = 2


def open_door(name: AgentName) -> None:
    """Become an agent, with the arguments of this process.

    It ends as the agent ends; our own failures end with 2 and say what to do.
    """
    try:
        configure_logging(load_settings().log_level)
        home_folder()
        run_and_replace(agent_named(name), sys.argv[1:])
    except (AutosreError, OSError) as error:
        sys.stderr.write(f"error: {in_words(error)}\n")
        raise SystemExit(USAGE_ERROR) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
