"""`python -m autosre_lab.bench.agreement`."""

from __future__ import annotations

import sys

from autosre_lab.bench.agreement.command import main

if __name__ == "__main__":
    sys.exit(main())
