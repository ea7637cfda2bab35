"""Make the flag table of one vLLM version, from vLLM's own parser.

Run it with the Python of an environment that has that vLLM; nothing else is needed there::

    PYTHONPATH=CLONE VLLM_ENV/bin/python -m autosre_lab.recipe.flag_table --out FOLDER

A vLLM that is only unzipped works over another version's dependencies, because its parser needs
no compiled code: put the folder first on PYTHONPATH. The table is what lets a recipe be linted
without vLLM: names, aliases, boolean pairs, value types, choices, the keys of JSON values, the
parsers that are registered, and the ``VLLM_*`` variables that this version reads.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

__all__ = ["FORMAT", "collect_table", "main", "table_text"]

FORMAT = "autosre.flags/v1"

_TYPES = {
    "None": "str",
    "NoneType": "str",
    "str": "str",
    "int": "int",
    "float": "float",
    "human_readable_int": "human_int",
    "human_readable_int_or_auto": "human_int_or_auto",
    "loads": "json",
    "parse_dataclass": "json",
    "union_dict_and_str": "json_or_str",
    "<lambda>": "str",
}

_DEPRECATED = re.compile(r"(?im)^\s*deprecated:|^--\S+ is deprecated|this option is deprecated")

# Flags whose JSON is validated only when the engine starts, and by what.
_LATE_JSON = {"--speculative-config": "SpeculativeConfig"}


def main(argv: list[str] | None = None) -> int:
    """Write ``vllm-<version>.json`` into the folder given by ``--out``."""
    parser = argparse.ArgumentParser(prog="autosre_lab.recipe.flag_table", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for vllm-<version>.json")
    parser.add_argument("--version", help="version to write down, if vLLM does not know its own")
    options = parser.parse_args(argv)
    # vLLM collects its help texts only if help is asked for; they say what is deprecated.
    sys.argv = ["vllm", "serve", "--help=all"]
    table = collect_table(options.version)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"vllm-{table['vllm']}.json"
    file.write_text(table_text(table), encoding="utf-8")
    print(f"{file}: {len(table['flags'])} flags, {len(table['env'])} variables")  # noqa: T201
    return 0


def collect_table(version: str | None = None) -> dict[str, Any]:
    """Read the flag table out of the vLLM that this Python can import."""
    flags: dict[str, Any] = {}
    parser = _serve_parser()
    deprecated: set[argparse.Action] = getattr(parser, "_deprecated", set())
    for action in parser._actions:
        longs = [o for o in action.option_strings if o.startswith("--")]
        if not longs or longs[0] == "--help":
            continue
        spellings = [o for o, a in parser._option_string_actions.items() if a is action]
        flag = _describe(action, longs[0], spellings)
        if action in deprecated or _says_deprecated(action):
            flag["deprecated"] = True
        flags[longs[0]] = flag
    _add_registered(flags)
    return {
        "format": FORMAT,
        "vllm": version or _version(),
        "flags": dict(sorted(flags.items())),
        "env": sorted(importlib.import_module("vllm.envs").environment_variables),
    }


def table_text(table: dict[str, Any]) -> str:
    """Return the table as JSON with one line per flag, so that a diff of two versions reads."""
    lines = [
        f"  {json.dumps(name)}: {json.dumps(flag, sort_keys=True)}"
        for name, flag in table["flags"].items()
    ]
    head = {key: value for key, value in table.items() if key not in ("flags", "env")}
    parts = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    parts.append(' "flags": {\n' + ",\n".join(lines) + "\n }")
    env = ",\n".join(f"  {json.dumps(name)}" for name in table["env"])
    parts.append(' "env": [\n' + env + "\n ]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _version() -> str:
    """Return vLLM's version without its build part ("+cpu", "+cu130")."""
    text: str = importlib.import_module("vllm").__version__
    return text.split("+", 1)[0]


def _serve_parser() -> argparse.ArgumentParser:
    """Return the parser of ``vllm serve``; its module moves from version to version."""
    platform = importlib.import_module("vllm.platforms").current_platform
    if not platform.device_type:
        # A CUDA build on a machine without a GPU; the defaults need some device to be named.
        platform.device_type = "cuda"
    root = Path(str(importlib.import_module("vllm").__file__)).parent
    for file in sorted(root.glob("entrypoints/**/cli_args.py")):
        if "def make_arg_parser" not in file.read_text(encoding="utf-8"):
            continue
        name = ".".join(("vllm", *file.relative_to(root).with_suffix("").parts))
        module = importlib.import_module(name)
        parser_class = importlib.import_module("vllm.utils.argparse_utils").FlexibleArgumentParser
        parser: argparse.ArgumentParser = module.make_arg_parser(parser_class())
        return parser
    raise SystemExit(f"no make_arg_parser in {root}/entrypoints: this vLLM is built otherwise")


def _says_deprecated(action: argparse.Action) -> bool:
    return (
        bool(getattr(action, "deprecated", False))
        or type(action).__name__.startswith("Deprecated")
        or bool(_DEPRECATED.search(action.help or ""))
    )


def _describe(action: argparse.Action, name: str, spellings: list[str]) -> dict[str, Any]:
    aliases = [o for o in spellings if o != name]
    flag: dict[str, Any] = {}
    if isinstance(action, argparse.BooleanOptionalAction):
        flag["kind"] = "pair"
        # Newer versions pair --enable-x with --disable-x too.
        negatives = {
            *getattr(action, "negative_option_strings", ()),
            *(o for o in aliases if o.startswith("--no-")),
        }
        aliases = [o for o in aliases if o not in negatives]
        if others := sorted(negatives - {f"--no-{o[2:]}" for o in (name, *aliases)}):
            flag["negatives"] = others
    elif action.nargs == 0:
        flag["kind"] = "switch"
    else:
        flag["kind"] = "append" if type(action).__name__ == "_AppendAction" else "value"
        inner, optional = _unwrap(action.type)
        flag["type"] = _type_name(inner)
        if optional:
            flag["optional"] = True
        if action.nargs is not None:
            flag["nargs"] = action.nargs
        if action.choices is not None:
            flag["choices"] = [choice for choice in action.choices if choice is not None]
        if keys := _json_keys(name, inner):
            flag["keys"] = keys
    if aliases:
        flag["aliases"] = aliases
    if action.default is None or (
        isinstance(action.default, (bool, int, float, str)) and action.default != argparse.SUPPRESS
    ):
        flag["default"] = action.default
    return flag


def _unwrap(convert: Any) -> tuple[Any, bool]:
    """Return the innermost converter, and whether "None" and "" are accepted around it."""
    optional = False
    while getattr(convert, "__name__", "") in ("_optional_type", "_parse_type"):
        optional = optional or convert.__name__ == "_optional_type"
        names: Iterable[str] = convert.__code__.co_freevars
        cells = dict(zip(names, convert.__closure__ or (), strict=False))
        convert = cells["return_type"].cell_contents
    return convert, optional


def _type_name(convert: Callable[[str], object] | None) -> str:
    return _TYPES.get(getattr(convert, "__name__", str(convert)), "str")


def _json_keys(name: str, convert: Any) -> list[str]:
    """Return the keys that a JSON value of this flag may have; empty where vLLM does not say."""
    config: Any = None
    if getattr(convert, "__name__", "") == "parse_dataclass":
        config = (convert.__defaults__ or (None,))[0]
    elif name in _LATE_JSON:
        config = getattr(importlib.import_module("vllm.config"), _LATE_JSON[name], None)
    if config is None or not dataclasses.is_dataclass(config):
        return []
    return sorted(field.name for field in dataclasses.fields(config) if field.init)


def _add_registered(flags: dict[str, Any]) -> None:
    """Add the parsers that come with vLLM: the command line takes any text, the start does not."""
    tools = importlib.import_module("vllm.tool_parsers").ToolParserManager
    reasoning = importlib.import_module("vllm.reasoning").ReasoningParserManager
    for name, registry in (("--tool-call-parser", tools), ("--reasoning-parser", reasoning)):
        if name in flags:
            flags[name]["registered"] = sorted(registry.list_registered())


if __name__ == "__main__":
    sys.exit(main())
