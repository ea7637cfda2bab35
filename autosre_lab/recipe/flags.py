"""Flag tables: what ``vllm serve`` of one version accepts, without vLLM.

The tables are data files made by :mod:`autosre_lab.recipe.flag_table`. A person's own, for a
vLLM that we ship no table of, go into ``flags/`` of the config folder.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from autosre_lab.errors import RecipeError
from autosre_lab.settings import paths

__all__ = ["Flag", "FlagTable", "flag_table_versions", "load_flag_table", "parse_table"]

FORMAT = "autosre.flags/v1"

FlagKind = Literal["pair", "switch", "value", "append"]
FlagType = Literal["str", "int", "float", "human_int", "human_int_or_auto", "json", "json_or_str"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag of ``vllm serve``.

    Attributes:
        name: Its canonical long name, with dashes.
        kind: ``pair`` has ``--x`` and ``--no-x``, ``switch`` only ``--x``, ``value`` takes values,
            ``append`` takes one value each time it is given.
        type: How a value is read; None for pairs and switches.
        nargs: As argparse says it; None for one value.
        choices: The only values accepted; empty for any.
        registered: Names that come with vLLM where a plugin may add more; empty elsewhere.
        keys: Keys of a JSON value; empty where vLLM does not say.
        aliases: Other names, short ones included.
        negatives: Other ways to say ``--no-x``.
        optional: "None" and "" are accepted too.
        deprecated: vLLM will drop it.
    """

    name: str
    kind: FlagKind
    type: FlagType | None = None
    nargs: str | int | None = None
    choices: tuple[str | int | float, ...] = ()
    registered: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    optional: bool = False
    deprecated: bool = False
    default: object = None


@dataclass(frozen=True, slots=True)
class FlagTable:
    """All flags of one version, and the environment variables that it reads."""

    version: str
    flags: dict[str, Flag]
    env: frozenset[str]
    _aliases: dict[str, str] = field(init=False, repr=False, compare=False)
    _negatives: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = {alias: flag.name for flag in self.flags.values() for alias in flag.aliases}
        object.__setattr__(self, "_aliases", found)
        found = {other: flag.name for flag in self.flags.values() for other in flag.negatives}
        object.__setattr__(self, "_negatives", found)

    def find(self, option: str) -> tuple[Flag, bool] | None:
        """Return the flag that an option means, and whether it is the ``--no-`` form of it.

        Args:
            option: As on a command line, without a value; underscores count as dashes, and a
                path into a JSON value (``--compilation-config.mode``) is ignored.
        """
        name = option.split(".", 1)[0] if option.startswith("--") else option
        name = name.replace("_", "-") if name.startswith("--") else name
        if flag := self.flags.get(self._aliases.get(name, name)):
            return flag, False
        if negative := self._negatives.get(name):
            return self.flags[negative], True
        if name.startswith("--no-"):
            positive = f"--{name[5:]}"
            flag = self.flags.get(self._aliases.get(positive, positive))
            if flag is not None and flag.kind == "pair":
                return flag, True
        return None


def flag_table_versions() -> list[str]:
    """Return the versions of vLLM that there is a table of, oldest first."""
    found = {file.stem.removeprefix("vllm-") for d in _folders() for file in d.glob("vllm-*.json")}
    return sorted(found, key=_version_key)


def load_flag_table(version: str) -> FlagTable | None:
    """Return the table of one version of vLLM; None if there is none.

    Raises:
        RecipeError: The file is not a flag table.
    """
    base = version.split("+", 1)[0]
    for folder in _folders():
        file = folder / f"vllm-{base}.json"
        if file.is_file():
            return _read(file, file.stat().st_mtime_ns)
    return None


def parse_table(tree: dict[str, Any]) -> FlagTable:
    """Return the table in a tree that was read from JSON."""
    if tree.get("format") != FORMAT:
        raise ValueError(f"format is {tree.get('format')!r}, not {FORMAT!r}")
    flags: dict[str, Flag] = {}
    for name, entry in tree["flags"].items():
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        flags[name] = Flag(name=name, **fields)
    return FlagTable(tree["vllm"], flags, frozenset(tree["env"]))


@functools.lru_cache(maxsize=8)
def _read(file: Path, _changed_ns: int) -> FlagTable:
    try:
        return parse_table(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecipeError(
            f"{file} is not a flag table: {error}",
            remedy="make it again with `python -m autosre_lab.recipe.flag_table`, run by a Python "
            "that has this vLLM",
        ) from error


def _folders() -> tuple[Path, Path]:
    return (paths().config / "flags", Path(__file__).parent / "flag_tables")


def _version_key(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.split(".")]
