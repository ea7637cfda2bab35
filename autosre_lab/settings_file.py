"""The settings file, changed a line at a time, and what each setting is."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

from autosre_lab.docstrings import parse_docstring
from autosre_lab.errors import ConfigError
from autosre_lab.private_files import os_errors_explained
from autosre_lab.settings import (
    Settings,
    meaning_of,
    paths,
    read_file_settings,
    show_settings,
    usable_value,
    variable_of,
)

__all__ = ["SettingExplained", "explain_settings", "set_setting", "settings_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingExplained:
    """One setting, in words.

    Attributes:
        setting: Its name, as in ``settings.yaml``.
        value: What is in force.
        source: Where that came from: the default, the file, or a variable.
        default: What is in force where nothing is set.
        variable: The environment variable that is stronger than the file.
        meaning: What it decides.
        takes: What it has to be.
    """

    setting: str
    value: str
    source: str
    default: str
    variable: str
    meaning: str
    takes: str


def settings_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return where the settings file is or will be."""
    return paths(environ).config / "settings.yaml"


def explain_settings(
    *names: str, environ: Mapping[str, str] | None = None
) -> list[SettingExplained]:
    """Return what settings are; all of them where none is named.

    Raises:
        ConfigError: There is no such setting.
    """
    shown = show_settings(environ)
    said = parse_docstring(inspect.getdoc(Settings) or "").arguments
    defaults = {field.name: field.default for field in fields(Settings)}
    return [
        SettingExplained(
            setting=name,
            value=shown[name]["value"],
            source=shown[name]["source"],
            default=str(defaults[name]),
            variable=variable_of(name),
            meaning=said[name],
            takes=meaning_of(name),
        )
        for name in [_known(one) for one in names] or defaults
    ]


def set_setting(
    name: str,
    text: str | None,
    *,
    dry_run: bool = False,
    environ: Mapping[str, str] | None = None,
) -> tuple[Path, str]:
    """Write one setting into the settings file; comments and other lines stay as they are.

    Args:
        name: The setting.
        text: Its value, as it would be in its environment variable; None takes the line out.
        dry_run: Check everything, write nothing.
        environ: The environment that says where the file is; this process's own by default.

    Returns:
        The file, and its text afterwards.

    Raises:
        ConfigError: There is no such setting, it cannot have that value, or the file is spoilt.
        FileError: The file cannot be written.
    """
    name = _known(name)
    file = settings_file(environ)
    kind = get_type_hints(Settings)[name]
    value = None if text is None else usable_value(name, text, kind, where=name)
    tree = dict(read_file_settings(file))
    tree.pop(name, None)
    if text is not None:
        tree[name] = value
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    after = _edited(before, name, value if text is not None else None, tree)
    if not dry_run:
        _write(file, after)
    return file, after


def _edited(before: str, name: str, value: object, tree: Mapping[str, Any]) -> str:
    import yaml

    line = "" if value is None else yaml.safe_dump({name: value}, allow_unicode=True)
    pattern = re.compile(rf"^{name}[ \t]*:.*(?:\n|\Z)", re.MULTILINE)
    if pattern.search(before):
        after = pattern.sub(lambda _: line, before, count=1)
    else:
        after = before + ("\n" if before and not before.endswith("\n") else "") + line
    try:
        same = (yaml.safe_load(after) or {}) == tree
    except yaml.YAMLError:
        same = False
    # A value that went over several lines: then the comments are lost, and nothing else.
    return after if same else yaml.safe_dump(dict(tree), allow_unicode=True, sort_keys=False)


def _write(file: Path, text: str) -> None:
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    with os_errors_explained(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        target = file.resolve()  # one that is a link into somebody's dotfiles stays one
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _known(name: str) -> str:
    names = [field.name for field in fields(Settings)]
    wanted = name.lower().removeprefix("autosre_").replace("-", "_")
    if wanted in names:
        return wanted
    close = get_close_matches(wanted, names, n=1, cutoff=0.5)
    raise ConfigError(
        f"there is no setting {name!r}",
        remedy=(f"did you mean {close[0]}? " if close else "") + "`autosre configure` lists them",
    )
