"""Run by the Python of a real vLLM: what its own parser makes of command lines, as JSON."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shlex
import sys

from autosre_lab.recipe.flag_table import _serve_parser


def main() -> None:
    """Read lines, and write what each means; null for a line that the parser refuses."""
    parser = _serve_parser()
    lines = sys.stdin.read().splitlines()
    first, second = ([_meaning(parser, line) for line in lines] for _ in range(2))
    # Some values get a random name each time; they are equal to nothing.
    meanings = [one if one == other else None for one, other in zip(first, second, strict=True)]
    sys.stdout.write(f"\n{json.dumps(meanings)}\n")


def _meaning(parser: argparse.ArgumentParser, line: str) -> str | None:
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            found = vars(parser.parse_args(shlex.split(line)))
    except (SystemExit, Exception):
        return None
    plain = {
        key: json.dumps(value, sort_keys=True) if isinstance(value, dict) else repr(value)
        for key, value in found.items()
    }
    return json.dumps(plain, sort_keys=True)


if __name__ == "__main__":
    main()
