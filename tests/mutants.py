"""Small changes of the code that some test has to notice: `make mutants`.

    python -m tests.mutants                     every piece, one after the other
    python -m tests.mutants window statistics   some
    python -m tests.mutants --again window      only what nobody noticed the last time
    python -m tests.mutants --score             the table of what was run, for docs/mutants.md
    python -m tests.mutants --show window       what nobody noticed there, as diffs

A piece is a few modules and the fast tests that are about them. mutmut works on a copy of the
repository in build/mutants/, so that nothing of it can reach the working tree.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[1]
COPIES = REPOSITORY / "build" / "mutants"

MARKS = " and ".join(
    f"not {mark}"
    for mark in ("engine", "claude", "codex", "notebook", "wheel", "cluster", "browser")
)


DIFFS = """
import json, pathlib, sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
for key, path in json.loads(sys.argv[1]).items():
    print("#", key, get_diff_for_mutant(key, path=pathlib.Path(path)), sep="\\n")
"""
"""mutmut reads its settings where it runs, so a process in the copy makes the diffs."""

TOO_SLOW = (24, -24, 36, 152, 255)
WORDS: dict[int | None, str] = {None: "not run", 0: "survived", 5: "survived", 33: "survived"}
WORDS |= dict.fromkeys(TOO_SLOW, "too slow")
"""By pytest's exit code, and mutmut's 33 for code that no test reaches; all others are noticed."""

PATIENCE = "timeout_constant = 5.0"
"""Seconds, times mutmut's 15, beyond what the tests took: a busy machine is no endless loop."""

FEW_EXAMPLES = ("--hypothesis-profile=mutants", "--hypothesis-seed=0")
"""Properties are tried on few examples, the same each time; see tests/conftest.py."""


class Piece(NamedTuple):
    """What is changed, and the tests that have to notice."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


PIECES = {
    "window": Piece(("proxy/window",), ("proxy/test_window.py",)),
    "statistics": Piece(("bench/statistics",), ("bench/test_statistics.py",)),
    "rates": Piece(
        ("metrics/rates",),
        ("metrics/test_rates.py",),
    ),
    "verdict": Piece(("cluster/verdict",), ("cluster/test_verdict.py",)),
    "judgement": Piece(
        ("parity/judgement",),
        ("parity/test_objects.py", "parity/test_environment.py", "parity/test_command_line.py"),
    ),
    "addresses": Piece(
        ("web/address_guard", "web/addresses"),
        ("web/test_address_guard.py", "web/test_url_verdict.py"),
    ),
    "tuning": Piece(
        ("tuning/journal", "tuning/verdict"), ("tuning/test_journal.py", "tuning/test_verdict.py")
    ),
    "messages": Piece(
        (
            "proxy/messages/content",
            "proxy/messages/conversation",
            "proxy/messages/request",
            "proxy/messages/tools",
            "proxy/messages/turns",
            "proxy/messages/claude_code",
        ),
        (
            "proxy/messages/test_chat_request.py",
            "proxy/messages/test_chat_request_properties.py",
            "proxy/messages/test_content.py",
            "proxy/messages/test_conversation.py",
            "proxy/messages/test_request.py",
            "proxy/messages/test_tools.py",
            "proxy/messages/test_turns.py",
            "proxy/messages/test_thinking.py",
        ),
    ),
    "messages-stream": Piece(
        ("proxy/messages/stream", "proxy/blocks", "proxy/answer"),
        (
            "proxy/messages/test_stream.py",
            "proxy/messages/test_stream_keepalive.py",
            "proxy/messages/test_stream_properties.py",
            "proxy/messages/test_stream_tools.py",
        ),
    ),
    "chunks": Piece(
        (
            "proxy/arguments",
            "proxy/chat_stream",
            "proxy/chunk_mending",
            "proxy/server_events",
            "proxy/tool_calls",
        ),
        (
            "proxy/test_chat_stream.py",
            "proxy/test_server_events.py",
            "proxy/messages/test_stream.py",
            "proxy/messages/test_stream_properties.py",
            "proxy/messages/test_stream_tools.py",
        ),
    ),
    "responses": Piece(
        (
            "proxy/responses/content",
            "proxy/responses/conversation",
            "proxy/responses/request",
            "proxy/responses/tools",
        ),
        ("proxy/responses/test_conversation.py", "proxy/responses/test_tools.py"),
    ),
    "responses-stream": Piece(
        ("proxy/responses/stream",),
        ("proxy/responses/test_stream.py", "proxy/responses/test_tools.py"),
    ),
}


def run(name: str, *, again: bool = False) -> None:
    """Run one piece on a copy of its own; what it printed goes to run.log beside it.

    Args:
        name: The piece.
        again: Only what nobody noticed the last time, with the tests as they are now.
    """
    copy = COPIES / name
    if again:
        forget_survivors(name)
    else:
        shutil.rmtree(copy, ignore_errors=True)
        fill(copy)
        with (copy / "pyproject.toml").open("a", encoding="utf-8") as project:
            project.write(settings(PIECES[name], sorted(one.name for one in copy.iterdir())))
    with (copy / "run.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", str(os.cpu_count() or 1)],
            cwd=copy,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if not verdicts(name):
        raise SystemExit(f"{name}: mutmut came to no verdict; see {copy / 'run.log'}")


def fill(copy: Path) -> None:
    """Copy what git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for file in filter(None, listed.split("\0")):
        if (REPOSITORY / file).is_file():
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / file, copy / file)


def forget_survivors(name: str) -> None:
    """Have the survivors, and what was too slow, tried again; the modules must be the same."""
    copy, piece = COPIES / name, PIECES[name]
    for module in piece.modules:
        file = f"autosre_lab/{module}.py"
        if (copy / file).read_bytes() != (REPOSITORY / file).read_bytes():
            raise SystemExit(f"{name}: {file} has changed; run the piece as a whole")
        meta = copy / "mutants" / f"{file}.meta"
        known = json.loads(meta.read_text("utf-8"))
        codes = known["exit_code_by_key"]
        known["exit_code_by_key"] = {
            key: None if code in WORDS else code for key, code in codes.items()
        }
        meta.write_text(json.dumps(known), encoding="utf-8")
    for folder in (copy, copy / "mutants"):
        shutil.rmtree(folder / "tests", ignore_errors=True)
        shutil.copytree(REPOSITORY / "tests", folder / "tests")
    # Which test reaches which function is found out once more.
    (copy / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)


def settings(piece: Piece, beside: list[str]) -> str:
    """Return mutmut's section. JSON's lists of strings are TOML's too."""
    lists = {
        "source_paths": ["autosre_lab"],
        "only_mutate": [f"autosre_lab/{one}.py" for one in piece.modules],
        "also_copy": [one for one in beside if one not in ("autosre_lab", "tests")],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-m", MARKS, *FEW_EXAMPLES],
        "pytest_add_cli_args_test_selection": [f"tests/{one}" for one in piece.tests],
    }
    lines = [f"{key} = {json.dumps(values)}" for key, values in lists.items()]
    return "\n".join(["", "[tool.mutmut]", "track_dependencies = false", PATIENCE, *lines, ""])


def verdicts(name: str) -> dict[str, dict[str, str]]:
    """Return what became of each change, by module."""
    found: dict[str, dict[str, str]] = {}
    for module in PIECES[name].modules:
        meta = COPIES / name / "mutants" / "autosre_lab" / f"{module}.py.meta"
        if meta.is_file():
            codes = json.loads(meta.read_text("utf-8"))["exit_code_by_key"]
            found[module] = {key: WORDS.get(code, "noticed") for key, code in codes.items()}
    return found


def score() -> str:
    """Return the table: each module's changes, and what became of them."""
    lines = ["| module | changes | noticed | too slow | survived |", "| --- " + "| ---: " * 4 + "|"]
    for name in PIECES:
        for module, found in verdicts(name).items():
            counts = Counter(found.values())
            note = f" ({counts['not run']} not run)" if counts["not run"] else ""
            figures = [counts[word] for word in ("noticed", "too slow", "survived")]
            cells = [f"`{module}.py`", f"{len(found)}{note}", *map(str, figures)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def show(name: str) -> str:
    """Return the diffs of what nobody noticed in one piece."""
    survived = {
        key: f"autosre_lab/{module}.py"
        for module, found in verdicts(name).items()
        for key, word in found.items()
        if word == "survived"
    }
    told = subprocess.run(
        [sys.executable, "-c", DIFFS, json.dumps(survived)],
        cwd=COPIES / name,
        check=True,
        capture_output=True,
        text=True,
    )
    return told.stdout


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=", ".join(PIECES))
    parser.add_argument("--again", action="store_true", help="only what nobody noticed before")
    parser.add_argument("--score", action="store_true", help="print the table of what was run")
    parser.add_argument("--show", action="store_true", help="print what nobody noticed")
    asked = parser.parse_args()
    if unknown := set(asked.pieces) - set(PIECES):
        parser.error(f"no such piece: {', '.join(sorted(unknown))}; there are {', '.join(PIECES)}")
    names = asked.pieces or list(PIECES)
    if not (asked.score or asked.show):
        for name in names:
            run(name, again=asked.again)
    if asked.show:
        for name in names:
            print(show(name))
    else:
        print(score(), end="")


if __name__ == "__main__":
    main()
