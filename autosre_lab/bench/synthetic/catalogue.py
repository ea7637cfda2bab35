"""The workloads by name, and what each can be told."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from autosre_lab.bench.synthetic.claude_session import cc_session
from autosre_lab.bench.synthetic.single import decode, depth, prefill_curve, smoke
from autosre_lab.bench.workload import Workload
from autosre_lab.errors import BenchmarkError, ConfigError
from autosre_lab.private_files import write_whole

__all__ = [
    "WORKLOADS",
    "describe_workloads",
    "load_workload",
    "make_workload",
    "named_parameters",
    "parameters_in",
    "save_workload",
    "workload_names",
    "workload_rows",
]

WORKLOADS: dict[str, Callable[..., Workload]] = {
    "smoke": smoke,
    "decode": decode,
    "prefill-curve": prefill_curve,
    "depth": depth,
    "cc-session": cc_session,
}

_SCHEMA = "autosre.workload/v1"


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    schema: str
    workload: Workload


def workload_names() -> list[str]:
    """Return the names that `make_workload` takes."""
    return list(WORKLOADS)


def make_workload(name: str, *, seed: int = 0, **parameters: Any) -> Workload:
    """Make a workload: the same name, seed and parameters give the same, everywhere.

    Args:
        name: One of `workload_names()`.
        seed: What sizes and texts are drawn from.
        parameters: Of that workload; `describe_workloads` lists them.

    Raises:
        ConfigError: There is no such workload or parameter, or a value cannot be used.
    """
    maker = WORKLOADS.get(name)
    if maker is None:
        raise ConfigError(f"no workload {name!r}", remedy=f"there are {', '.join(WORKLOADS)}")
    known = _parameters(maker)
    for parameter, value in parameters.items():
        if parameter not in known:
            raise ConfigError(
                f"{name} has no parameter {parameter!r}",
                remedy=f"it has {', '.join(known) or 'none'}",
            )
        _check(name, parameter, value, known[parameter])
    return maker(seed=seed, **parameters)


def named_parameters(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE`` pairs as `make_workload` takes them; numbers and booleans are such.

    Raises:
        ConfigError: A pair has no name.
    """
    import yaml

    named: dict[str, Any] = {}
    for one in pairs:
        name, separator, value = one.partition("=")
        if not separator or not name:
            raise ConfigError(f"{one!r} names no parameter", remedy="write NAME=VALUE")
        named[name.replace("-", "_")] = yaml.safe_load(value)
    return named


def parameters_in(text: str) -> dict[str, Any]:
    """Read parameters as a form has them: ``requests: 4, content: code``.

    Raises:
        ConfigError: It is not of that form.
    """
    import yaml

    try:
        found = yaml.safe_load(f"{{{text}}}")
    except yaml.YAMLError as error:
        found = error
    if not isinstance(found, dict) or None in found.values():
        raise ConfigError(
            f"{text!r} are no parameters", remedy="write NAME: VALUE, with commas between"
        )
    return {str(name).replace("-", "_"): value for name, value in found.items()}


def workload_rows() -> list[dict[str, Any]]:
    """Return the workloads as rows: name, summary, parameters with their defaults."""
    return [
        {
            "name": name,
            "summary": (inspect.getdoc(maker) or "").split("\n")[0],
            "parameters": _parameters(maker),
        }
        for name, maker in WORKLOADS.items()
    ]


def describe_workloads() -> str:
    """Return the workloads with their parameters and defaults, as text."""
    parts = []
    for row in workload_rows():
        parameters = ", ".join(f"{key}={value}" for key, value in row["parameters"].items())
        parts.append(
            f"{row['name']}\n  {row['summary']}\n" + (f"  {parameters}\n" * bool(parameters))
        )
    return "\n".join(parts).rstrip()


def save_workload(workload: Workload, path: str | Path) -> Path:
    """Write a workload as JSON; `load_workload` gives an equal one."""
    content = msgspec.json.encode(_File(schema=_SCHEMA, workload=workload))
    return write_whole(Path(path), content)


def load_workload(path: str | Path) -> Workload:
    """Read a workload's file.

    Raises:
        BenchmarkError: There is none, or it is something else.
    """
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BenchmarkError(
            f"{path} is not a workload: {error}",
            remedy="give a weka trace, a transcript, what `save_workload` wrote, or a name that "
            "`autosre bench workloads` lists",
        ) from error
    if found.schema != _SCHEMA:
        raise BenchmarkError(
            f"{path} has schema {found.schema}, this version reads {_SCHEMA}",
            remedy="make it again with this version",
        )
    return found.workload


def _parameters(maker: Callable[..., Workload]) -> dict[str, Any]:
    parameters = inspect.signature(maker).parameters
    return {name: one.default for name, one in parameters.items() if name != "seed"}


def _check(workload: str, name: str, value: object, default: object) -> None:
    wanted = (int, float) if isinstance(default, float) else type(default)
    fits = isinstance(value, wanted) and not isinstance(value, bool)
    if not fits or (isinstance(value, (int, float)) and value < 0):
        raise ConfigError(
            f"{workload}'s {name} cannot be {value!r}", remedy=f"its default is {default!r}"
        )
