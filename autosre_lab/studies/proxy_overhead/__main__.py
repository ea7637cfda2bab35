"""`python -m autosre_lab.studies.proxy_overhead`."""

from __future__ import annotations

import sys

from autosre_lab.studies.proxy_overhead.command import main

if __name__ == "__main__":
    sys.exit(main())
