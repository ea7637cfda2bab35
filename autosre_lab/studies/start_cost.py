"""What the command line costs before it does anything: `autosre study start-cost`.

Each command is run many times in turn with a bare Python, so that a busy machine slows both; what
is told is the difference of the medians, and of the fastest runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

__all__ = ["main", "measure"]

COMMANDS = {
    "bare Python": ("-c", "pass"),
    "import autosre_lab": ("-c", "import autosre_lab"),
    "autosre --help": ("-m", "autosre_lab", "--help"),
    "autosre bench --help": ("-m", "autosre_lab", "bench", "--help"),
    "autosre configure": ("-m", "autosre_lab", "configure"),
}


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of every run, by command."""
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, words in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, *words],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "AUTOSRE_CONFIG_DIR": "/nonexistent"},
            )
            took[name].append((time.perf_counter() - started) * 1000)
    return took


def main(argv: list[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="autosre study start-cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="runs of each command")
    took = measure(parser.parse_args(argv).rounds)
    median, fastest = (
        {name: pick(runs) for name, runs in took.items()} for pick in (statistics.median, min)
    )
    sys.stdout.write(f"{'ms over bare Python':28}{'median':>8}{'fastest':>9}\n")
    for name in COMMANDS:
        over = [figures[name] - figures["bare Python"] for figures in (median, fastest)]
        sys.stdout.write(f"{name:28}{over[0]:8.0f}{over[1]:9.0f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
