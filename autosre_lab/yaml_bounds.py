"""YAML that a person or a stranger wrote, read within bounds: size, depth, and what aliases make.

A few lines of aliases can stand for billions of values, and brackets can be nested deeper than
Python may recurse; whoever loads a file is told instead.
"""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["MAX_BYTES", "load_bounded"]

MAX_BYTES = 256 * 1024
"""Of one file; the largest that is shipped has 6 kB."""

MAX_DEPTH = 50
MAX_VALUES = 20_000
"""Keys and values, each alias counted as what it stands for."""


def load_bounded(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Return what a YAML text says.

    Args:
        text: The file's content.
        loader: A safe loader.

    Raises:
        yaml.YAMLError: It is not YAML, holds a value that is none, or is out of bounds.
    """
    if len(text) > MAX_BYTES:
        raise yaml.YAMLError(f"{len(text):,} characters; at most {MAX_BYTES:,} are read")
    _check_depth(text, loader)
    reading = loader(text)
    try:
        node = reading.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > MAX_VALUES:
            raise yaml.YAMLError(f"more than {MAX_VALUES:,} values; aliases count each time")
        return reading.construct_document(node)
    except (ValueError, TypeError, OverflowError) as error:
        # For instance a date that the calendar lacks.
        raise yaml.YAMLError(f"a value cannot be read: {error}") from error
    finally:
        reading.dispose()


def _check_depth(text: str, loader: type[yaml.SafeLoader]) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise yaml.YAMLError(f"nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node stands for when every alias is written out."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MAX_VALUES + 1  # what holds itself never ends
    if isinstance(node, yaml.MappingNode):
        count = 1 + sum(_values(key, known) + _values(value, known) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        count = 1 + sum(_values(one, known) for one in node.value)
    else:
        count = 1
    known[id(node)] = count
    return count
