"""``python -m autosre_lab.studies.gpu``."""

from __future__ import annotations

import sys

from autosre_lab.studies.gpu.command import main

if __name__ == "__main__":
    sys.exit(main())
