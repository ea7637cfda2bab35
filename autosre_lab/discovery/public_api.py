"""The public names of a package, read from its source by `ast`.

A package's ``__init__`` names them in ``__all__``; where each is defined follows from its imports,
as far as modules of the same package go.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from autosre_lab.discovery.entries import Entry
from autosre_lab.docstrings import parse_docstring

__all__ = ["ModuleSummary", "module_summaries", "public_entries"]

PACKAGE = "autosre_lab"

_EXTRAS = {
    # What a part imports, inside its functions, from outside the standard installation.
    "helm": "cluster",
    "kubernetes": "cluster",
    "optuna": "tune",
    "pandas": "notebooks",
    "papermill": "notebooks",
    "ipywidgets": "notebooks",
    "plotly": "notebooks",
    "pynvml": "gpu",
    "mcp": "web",
    "curl_cffi": "web",
    "playwright": "web",
    "trafilatura": "web",
    "pypdf": "web",
}
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSummary:
    """A module in one line: its name, its first sentence, how much it exports, what it needs."""

    name: str
    summary: str
    public: int
    needs: str


@dataclass(frozen=True, slots=True)
class _Module:
    name: str
    file: Path
    tree: ast.Module = field(repr=False)
    text: str = field(repr=False)

    @property
    def doc(self) -> str:
        return ast.get_docstring(self.tree) or ""

    @property
    def public(self) -> list[str]:
        return [str(name) for name in _assigned(self.tree, "__all__") or ()]


def module_summaries(root: Path) -> list[ModuleSummary]:
    """Return every module below a package's folder, sorted by name.

    Args:
        root: The folder of the package, ``…/autosre_lab``.
    """
    return [
        ModuleSummary(
            name=module.name,
            summary=parse_docstring(module.doc).summary.partition(". ")[0].rstrip("."),
            public=len(module.public),
            needs=_extra_of(module.tree),
        )
        for module in _modules(root)
    ]


def public_entries(root: Path) -> list[Entry]:
    """Return the public functions, classes and values, under the shortest name each has.

    Args:
        root: The folder of the package, ``…/autosre_lab``.
    """
    modules = {module.name: module for module in _modules(root)}
    found: dict[tuple[str, str], Entry] = {}
    for module in sorted(modules.values(), key=lambda one: (one.name.count("."), one.name)):
        if module.file.name != "__init__.py" and module.name.count(".") > 1:
            continue  # what its package does not hand out is not public
        for name in module.public:
            if name.startswith("__"):
                continue
            home = _home(modules, module, name)
            entry = _entry(f"{module.name}.{name}", *home, root) if home else None
            if home and entry:
                found.setdefault((home[0].name, name), entry)
    return sorted(found.values(), key=lambda entry: entry.name)


def _modules(root: Path) -> Iterator[_Module]:
    for file in sorted(root.rglob("*.py")):
        if "__pycache__" in file.parts:
            continue
        parts = [PACKAGE, *file.relative_to(root).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        if any(part.startswith("__") for part in parts):
            continue
        parsed = _parsed(file, file.stat().st_mtime_ns)
        if parsed is not None:
            yield _Module(".".join(parts), file, *parsed)


@lru_cache(maxsize=2048)
def _parsed(file: Path, changed: int) -> tuple[ast.Module, str] | None:
    try:
        text = file.read_text(encoding="utf-8")
        return ast.parse(text), text
    except (OSError, SyntaxError, ValueError):
        return None  # being edited; what it offers is back once it can be read


def _home(
    modules: dict[str, _Module], module: _Module, name: str
) -> tuple[_Module, ast.stmt] | None:
    """Return the module and the statement that define a public name."""
    seen: set[str] = set()
    while module.name not in seen:
        seen.add(module.name)
        if (defined := _definition(module.tree, name)) is not None:
            return module, defined
        following = _imported_from(module, name)
        if following is None or following not in modules:
            return None
        module = modules[following]
    return None


def _definition(tree: ast.Module, name: str) -> ast.stmt | None:
    for node in tree.body:
        if isinstance(node, _Definition) and node.name == name:
            return node
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return node
    return None


def _imported_from(module: _Module, name: str) -> str | None:
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and any((alias.asname or alias.name) == name for alias in node.names)
        ):
            return node.module
    return None


def _assigned(tree: ast.Module, name: str) -> list[object] | None:
    definition = _definition(tree, name)
    value = getattr(definition, "value", None)
    if value is None:
        return None
    try:
        return list(ast.literal_eval(value))
    except (ValueError, TypeError):
        return None


def _entry(name: str, module: _Module, node: ast.stmt, root: Path) -> Entry | None:
    doc = _doc(module.tree, node)
    parsed = parse_docstring(doc)
    return Entry(
        name=name,
        kind="function",
        summary=parsed.summary,
        signature=_signature(name, node),
        doc=doc,
        words=" ".join((*parsed.arguments, *_argument_names(node))),
        where=f"{module.file.relative_to(root.parent)}:{node.lineno}",
        source=ast.get_source_segment(module.text, node) or "",
        needs=_extra_of(module.tree),
    )


def _doc(tree: ast.Module, node: ast.stmt) -> str:
    if isinstance(node, _Definition):
        return ast.get_docstring(node) or ""
    # A value's docstring is the string that follows it.
    following = tree.body[tree.body.index(node) + 1 :][:1]
    for after in following:
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return str(after.value.value)
    return ""


def _signature(name: str, node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        prefix = "await " if isinstance(node, ast.AsyncFunctionDef) else ""
        return f"{prefix}{name}({ast.unparse(node.args)}){returns}"
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                arguments = ast.unparse(inner.args).partition(",")[2].strip()
                return f"class {name}({arguments})"
        fields = [
            ast.unparse(inner)
            for inner in node.body
            if isinstance(inner, ast.AnnAssign) and not ast.unparse(inner).startswith("_")
        ]
        methods = [
            inner.name
            for inner in node.body
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            and not inner.name.startswith("_")
        ]
        lines = [f"class {name}"]
        lines += [f"  {one}" for one in fields]
        lines += [f"  methods: {', '.join(methods)}"] if methods else []
        return "\n".join(lines)
    return name


def _argument_names(node: ast.stmt) -> list[str]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    arguments = node.args
    return [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def _extra_of(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            if extra := _EXTRAS.get(name.partition(".")[0]):
                return extra
    return ""
