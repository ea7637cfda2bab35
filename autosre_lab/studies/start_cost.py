"""What the command line costs before it does anything: `autosre study start-cost`.

Each command is run many times in turn with a bare Python, so that a busy machine slows both; what
is told is the difference of the medians, of the fastest runs, and of the least processor time: a
machine that is always busy shows only the last.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

__all__ = ["main", "measure"]

COMMANDS = {
    "bare Python": ("-c", "pass"),
    "import autosre_lab": ("-c", "import autosre_lab"),
    "autosre --help": ("-m", "autosre_lab", "--help"),
    "autosre bench --help": ("-m", "autosre_lab", "bench", "--help"),
    "autosre configure": ("-m", "autosre_lab", "configure"),
}


def measure(rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return the milliseconds of every run, by command: on the clock, and of processor time."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, words in COMMANDS.items():
            took[name].append(_run([sys.executable, *words]))
    return took


def _run(argv: list[str]) -> tuple[float, float]:
    started = time.perf_counter()
    with subprocess.Popen(
        argv,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "AUTOSRE_CONFIG_DIR": "/nonexistent"},
    ) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, argv)
    wall_s = time.perf_counter() - started
    return wall_s * 1000, (used.ru_utime + used.ru_stime) * 1000


def main(argv: list[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="autosre study start-cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="runs of each command")
    took = measure(parser.parse_args(argv).rounds)
    columns: list[tuple[str, int, Callable[[Iterable[float]], float]]]
    columns = [("median", 0, statistics.median), ("fastest", 0, min), ("least CPU", 1, min)]
    sys.stdout.write(f"{'ms over bare Python':24}{''.join(f'{one[0]:>11}' for one in columns)}\n")
    for name in COMMANDS:
        over = [
            pick(run[at] for run in took[name]) - pick(run[at] for run in took["bare Python"])
            for _, at, pick in columns
        ]
        sys.stdout.write(f"{name:24}{''.join(f'{one:11.0f}' for one in over)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
