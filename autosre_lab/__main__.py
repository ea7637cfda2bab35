"""``python -m autosre_lab``: the same commands as ``autosre``."""

from __future__ import annotations

from autosre_lab.cli import main

if __name__ == "__main__":
    main(prog_name="autosre")
