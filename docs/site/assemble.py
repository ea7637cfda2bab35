"""Assembles the site's source: every page of the repository, and the generated reference.

``python docs/site/assemble.py FOLDER`` fills FOLDER. The pages keep their places in the tree, so
that their links to each other go on to work.
"""

from __future__ import annotations

import ast
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]

INDEX = """\
# autosre_lab

Claude Code on your own hardware: vLLM serves the model, a proxy speaks Anthropic's Messages API,
and a lab stands around it.

```{toctree}
:caption: Begin
:maxdepth: 1

docs/start
docs/howto/index
docs/concepts
docs/lab
docs/panels
reference/troubleshooting
```

```{toctree}
:caption: Reference
:maxdepth: 1

docs/commands
reference/settings
reference/recipe
reference/python
recipes/README
charts/README
```

```{toctree}
:caption: More
:maxdepth: 1

docs/measured
docs/limits
docs/safety
docs/faults
SECURITY
ARCHITECTURE
CONTRIBUTING
CHANGELOG
README
parts
```
"""


def pages() -> Iterator[Path]:
    """Yield the pages of the repository."""
    yield from sorted(CLONE.glob("*.md"))
    for folder in ("autosre_lab", "charts", "docs", "recipes"):
        yield from sorted((CLONE / folder).rglob("*.md"))


def settings_page() -> str:
    """Return every setting: what it decides, takes, and is called as a variable."""
    from autosre_lab.settings_file import explain_settings

    rows = [
        f"| `{one.setting}` | {_cell(one.meaning)} | {_cell(one.takes)} | `{one.default or ' '}` "
        f"| `{one.variable}` |"
        for one in explain_settings(environ={"HOME": "/home/me"})
    ]
    head = [
        "# Settings",
        "",
        "`autosre configure set NAME VALUE` writes one into `~/.config/autosre/settings.yaml`; a "
        "variable is stronger.",
        "",
        "| setting | decides | takes | default | variable |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows, ""])


def recipe_page() -> str:
    """Return the recipe's schema, section by section."""
    from autosre_lab.recipe import recipe_json_schema

    schema = recipe_json_schema()
    lines = [
        "# Recipe schema",
        "",
        "`autosre.recipe/v1`, from the schema that files are checked by.",
        "",
    ]
    sections = {"Recipe": schema, **schema.get("$defs", {})}
    for name, section in sections.items():
        keys = section.get("properties", {})
        if not keys:
            continue
        lines += [
            f"## {name}",
            "",
            section.get("description", ""),
            "",
            "| key | is | type |",
            "| --- | --- | --- |",
        ]
        for key, value in keys.items():
            lines.append(
                f"| `{key}` | {_cell(value.get('description', ''))} | {_cell(_kind(value))} |"
            )
        lines.append("")
    return "\n".join(lines)


def _kind(value: dict[str, object]) -> str:
    if "$ref" in value:
        return str(value["$ref"]).rpartition("/")[2]
    if "const" in value or "enum" in value:
        return ", ".join(json.dumps(one) for one in value.get("enum", [value.get("const")]))  # type: ignore[attr-defined]
    several = value.get("anyOf") or value.get("oneOf")
    if isinstance(several, list):
        return " or ".join(_kind(one) for one in several)
    return str(value.get("type", ""))


def troubleshooting_page() -> str:
    """Return every error with its remedy, by what is seen: read from the source's own texts."""
    lines = [
        "# Troubleshooting",
        "",
        "By symptom: what is said, and what to do. The texts are those of the program; `…` stands "
        "for what differs. Search for the words that you see.",
        "",
        "## Why an engine or the proxy ended",
        "",
        "| cause that is named | what to do |",
        "| --- | --- |",
    ]
    from autosre_lab.engine import diagnosis

    lines += [f"| {_cell(cause)} | {_cell(remedy)} |" for _, cause, remedy in diagnosis._SIGNS]
    found: dict[str, dict[str, str]] = {}
    for file in sorted((CLONE / "autosre_lab").rglob("*.py")):
        part = file.relative_to(CLONE / "autosre_lab").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not (
                isinstance(node, ast.Call) and node.args and _name(node.func).endswith("Error")
            ):
                continue
            remedy = next((one.value for one in node.keywords if one.arg == "remedy"), None)
            if remedy is not None and len(said := _text(node.args[0]).strip("… ")) > 8:
                found.setdefault(part, {})[said] = _text(remedy)
    for part, errors in found.items():
        lines += ["", f"## {part}", "", "| what is said | what to do |", "| --- | --- |"]
        lines += [f"| {_cell(said)} | {_cell(to_do)} |" for said, to_do in sorted(errors.items())]
    return "\n".join([*lines, ""])


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _text(node: ast.expr) -> str:
    """Return a text as it will be read, with … for what is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(one) if isinstance(one, ast.Constant) else "…" for one in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return f"{_text(node.body)} / {_text(node.orelse)}"
    return "…"


def python_page() -> str:
    """Return the library's reference, which Sphinx fills from the docstrings."""
    parts = ["autosre_lab", "autosre_lab.recipe", "autosre_lab.bench", "autosre_lab.errors"]
    blocks = [f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n" for name in parts]
    return "\n".join(["# Python", "", *blocks])


def parts_page() -> str:
    """Return the list of the folders' own pages."""
    inner = [one.relative_to(CLONE).with_suffix("") for one in pages()]
    named = [str(one) for one in inner if one.parts[0] == "autosre_lab"]
    return "\n".join(["# Each part", "", "```{toctree}", ":maxdepth: 1", "", *named, "```", ""])


def _cell(text: object) -> str:
    plain = " ".join(str(text).split()).replace("|", "\\|")
    return plain.replace("<", "&lt;").replace("{", "&#123;")


def main() -> None:
    """Fill the folder."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    for page in pages():
        target = folder / page.relative_to(CLONE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(page, target)
    shutil.copytree(CLONE / "notebooks" / "images", folder / "notebooks" / "images")
    made = {
        "index.md": INDEX,
        "parts.md": parts_page(),
        "reference/settings.md": settings_page(),
        "reference/recipe.md": recipe_page(),
        "reference/troubleshooting.md": troubleshooting_page(),
        "reference/python.md": python_page(),
    }
    for name, text in made.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
