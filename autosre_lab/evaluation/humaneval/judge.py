"""Tests a function that a model wrote, in the sandbox, without being within its reach.

It is started by its text (standard library only) and reads a problem, the code and a mark from its
standard input. The code runs in a process of its own; this one keeps the tests and the mark, calls
the function over a pipe, and prints the mark if all tests pass. What comes back over the pipe is
read as plain values, so that no object of the model's (one that equals everything) reaches a test;
and this process cannot be traced, nor its memory or descriptors be opened, by the other.
"""

from __future__ import annotations

import ast
import ctypes
import json
import subprocess
import sys
from typing import Any

_NOT_DUMPABLE = 4
_PLAIN = (str, bytes, int, float, complex, bool, type(None))

# The function's side. Results are told as text; what is no plain value has none.
_CALLED = """
import sys
_in, _out = sys.stdin.buffer, sys.stdout.buffer
sys.stdin = open('/dev/null'); sys.stdout = sys.stderr
def _plain(value, depth=0):
    kind = type(value)
    if depth > 50: raise ValueError('too deep')
    if kind in (str, bytes, int, float, complex, bool, type(None)): return repr(value)
    if kind in (list, tuple, set, frozenset, dict):
        items = value.items() if kind is dict else value
        inner = ','.join([_plain(one, depth + 1) for one in items])
        return f"({kind.__name__!r},[{inner}])"
    if hasattr(value, '__next__'):
        return f"('iterator',[{','.join([_plain(one, depth + 1) for one in value])}])"
    for base in (bool, int, float, str, list, tuple, set, dict):
        if isinstance(value, base): return _plain(base(value), depth)
    raise TypeError(f'{kind.__name__} is no plain value')
def _value(node):
    import ast
    return ast.literal_eval(node)
def _serve(code, name):
    scope = {'__name__': 'answer'}
    exec(compile(code, 'answer', 'exec'), scope)
    function = scope[name]
    for line in _in:
        try: said = 'v' + _plain(function(*_value(line.decode())))
        except Exception as error: said = 'e' + repr(f'{type(error).__name__}: {error}'[:300])
        _out.write(said.replace('\\n', ' ').encode('utf-8', 'backslashreplace') + b'\\n')
        _out.flush()
_serve(_value(_in.readline().decode()), _value(_in.readline().decode()))
"""


class _CallFailedError(Exception):
    """The function raised, or its process ended."""


def main() -> None:
    """Judge what standard input has."""
    given = json.load(sys.stdin)
    sys.stdin.close()
    ctypes.CDLL(None).prctl(_NOT_DUMPABLE, 0, 0, 0, 0)
    scope: dict[str, Any] = {"__name__": "tests"}
    exec(given["prompt"] + "\n    pass\n", scope)  # noqa: S102
    exec(given["test"], scope)  # noqa: S102
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _CALLED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: S101
    to, back = process.stdin, process.stdout
    for one in (given["code"], given["entry_point"]):
        to.write(repr(one).encode("utf-8", "backslashreplace") + b"\n")

    def call(*arguments: Any) -> Any:
        try:
            to.write(repr(arguments).encode("utf-8", "backslashreplace") + b"\n")
            to.flush()
        except OSError:
            raise _CallFailedError("ended before its tests") from None
        line = back.readline().decode("utf-8", "replace")
        if not line.endswith("\n"):
            raise _CallFailedError("ended before its tests")
        if line[0] == "e":
            raise _CallFailedError(str(ast.literal_eval(line[1:])))
        return _value(ast.parse(line[1:].strip(), mode="eval").body)

    scope[given["entry_point"]] = call  # one problem's tests call it by its name
    try:
        scope["check"](call)
    except Exception as error:
        said = f"{type(error).__name__}: {error}".removeprefix("_CallFailedError: ")
        sys.stdout.write(said.rstrip(": ")[:200] + "\n")
        sys.exit(1)
    finally:
        process.kill()
    sys.stdout.write(given["mark"] + "\n")


def _value(node: ast.expr) -> Any:
    """Return the plain value that a text stands for; containers are (kind, items)."""
    if isinstance(node, ast.Tuple) and len(node.elts) == 2:
        kind, items = node.elts
        if isinstance(kind, ast.Constant) and isinstance(items, ast.List):
            values = [_value(one) for one in items.elts]
            makes: dict[Any, Any] = {"list": list, "tuple": tuple, "set": set, "dict": dict}
            makes |= {"frozenset": frozenset, "iterator": iter}
            return makes[kind.value](values)
    if isinstance(node, ast.Name) and node.id in ("inf", "nan"):
        return float(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Name):
        return -float(node.operand.id)
    found = ast.literal_eval(node)
    if type(found) not in _PLAIN:
        raise _CallFailedError("its answer is no plain value")
    return found


if __name__ == "__main__":
    main()
