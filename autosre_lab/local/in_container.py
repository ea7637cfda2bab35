"""``python -m autosre_lab.local.in_container TOOL NAME COMMAND …``: run a container once more.

What an earlier client that was killed has left under the name is deleted first; then this process
becomes the tool's, so that whoever supervises it signals the tool itself. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

__all__ = ["main"]

_REMOVE_TIMEOUT_S = 60.0


def main(argv: list[str]) -> int:
    """Delete what is left, then become the command; returns only where there is no such tool."""
    tool, name, *command = argv
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [tool, "rm", "--force", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_REMOVE_TIMEOUT_S,
            check=False,
        )
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
