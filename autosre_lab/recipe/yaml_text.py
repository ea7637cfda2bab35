"""Read YAML strictly: a key that stands twice is an error, not a silent override."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from autosre_lab.errors import RecipeError
from autosre_lab.yaml_bounds import MAX_BYTES, load_bounded

__all__ = ["read_mapping"]


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that knows which keys it has seen."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is not a text; quote it", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key} stands twice; keep one", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_mapping(file: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        RecipeError: It cannot be read, is not YAML, or is not a mapping.
    """
    try:
        with file.open(encoding="utf-8") as opened:
            # Of a device or a pipe no more than of a file.
            text = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise RecipeError(f"{file}: {error.strerror}", remedy="make the file readable") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{file} is not UTF-8 text", remedy="save it as UTF-8") from error
    try:
        loaded = load_bounded(text, _StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise RecipeError(
            f"{file}{where}: {error.problem}", remedy="fix the YAML at that place"
        ) from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{file} is not YAML: {error}", remedy="fix the file") from error
    if not isinstance(loaded, dict):
        what = "empty" if loaded is None else f"a {type(loaded).__name__}"
        raise RecipeError(
            f"{file} is {what}, not a mapping",
            remedy="write keys and values, the first of them `schema: autosre.recipe/v1`",
        )
    return loaded


def yaml_text(tree: object) -> str:
    """Return a tree as YAML for people: keys in their order, texts of several lines as lines."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as lines."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)
