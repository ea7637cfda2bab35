"""Who is looking: a person at a terminal, a person at a notebook, or nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Literal

__all__ = ["Surroundings", "in_kernel", "surroundings"]

Surroundings = Literal["terminal", "notebook", "headless"]

_NOBODY_LOOKS = ("AUTOSRE_HEADLESS", "CI")

_NOTEBOOK_FRONTENDS = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG", "VOILA_REQUEST_URL")
"""What Jupyter's server, VS Code, Colab and Voilà set for the kernels of notebooks open there.

Papermill and nbclient start the same kernel and set none: nobody would see a widget.
"""


def surroundings(environ: Mapping[str, str] | None = None) -> Surroundings:
    """Return where this process's messages are seen.

    ``AUTOSRE_HEADLESS`` or ``CI`` in the environment means headless, wherever it is.

    Args:
        environ: The environment to read; this process's own when not given.
    """
    env = os.environ if environ is None else environ
    if any(env.get(name) for name in _NOBODY_LOOKS):
        return "headless"
    if in_kernel():
        return "notebook" if any(env.get(name) for name in _NOTEBOOK_FRONTENDS) else "headless"
    return "terminal" if sys.stderr.isatty() else "headless"


def in_kernel() -> bool:
    """Whether this process is a notebook's kernel, whoever looks at the notebook."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it; nobody else pays for it
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"
