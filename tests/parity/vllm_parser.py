"""Run by the Python of a real vLLM: what its own parser makes of command lines, as JSON."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys

from autosre_lab.recipe.flag_table import _serve_parser


def main() -> None:
    """Read lines, and write what each means; null for a line that the parser refuses."""
    parser = _serve_parser()
    meanings: list[str | None] = []
    for line in sys.stdin.read().splitlines():
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                found = vars(parser.parse_args(shlex.split(line)))
        except (SystemExit, Exception):
            meanings.append(None)
            continue
        plain = {
            key: json.dumps(value, sort_keys=True) if isinstance(value, dict) else repr(value)
            for key, value in found.items()
        }
        meanings.append(json.dumps(plain, sort_keys=True))
    sys.stdout.write(f"\n{json.dumps(meanings)}\n")


if __name__ == "__main__":
    main()
