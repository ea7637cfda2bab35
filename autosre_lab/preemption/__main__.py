"""``autosre preemption install --python /opt/venv/bin/python``: see `shim`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from autosre_lab.errors import AutosreError, ConfigError
from autosre_lab.preemption.shim import SWITCH, install_shim, shim_state, uninstall_shim

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Install, look at or take away the shim; 2 for what the caller has to fix, 1 for the rest."""
    parser = argparse.ArgumentParser(
        prog="autosre preemption",
        description="Give vLLM the scheduler's hook where its command line cannot be changed. "
        f"It is active only where {SWITCH}=1 is set and vLLM is started with "
        "--scheduling-policy priority.",
    )
    parser.add_argument("do", choices=["install", "status", "uninstall"])
    parser.add_argument("--python", type=Path, required=True, help="the Python that runs vLLM")
    options = parser.parse_args(argv)
    try:
        if options.do == "uninstall":
            removed = uninstall_shim(options.python)
            said = "\n".join(f"removed {file}" for file in removed) or "there was nothing"
        else:
            ask = install_shim if options.do == "install" else shim_state
            found = ask(options.python)
            said = f"{found.state}: {found.folder}"
    except AutosreError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2 if isinstance(error, ConfigError) else 1
    sys.stdout.write(f"{said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
