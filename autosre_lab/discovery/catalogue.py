"""Everything there is, read again when a file has changed, shown in few words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from autosre_lab.agents.web_servers import WEB_SERVERS
from autosre_lab.discovery.entries import Entry, Kind
from autosre_lab.discovery.files import notebook_entries, recipe_entries
from autosre_lab.discovery.public_api import module_summaries, public_entries
from autosre_lab.discovery.ranking import rank, similar_names
from autosre_lab.discovery.shell_commands import read_commands
from autosre_lab.docstrings import parse_docstring
from autosre_lab.errors import ConfigError
from autosre_lab.extras import how_to_install
from autosre_lab.notebooks.shipped import notebooks_folder
from autosre_lab.recipe import recipe_names

__all__ = ["Catalogue", "Detail"]

Detail: TypeAlias = Literal["signature", "doc", "full", "source"]

_PACKAGE = Path(__file__).parents[1]
LINE_CHARS = 150
LIST_CHARS = 5_000
"""Characters of a list of modules: some 1,500 tokens."""
MOST_FOUND = 30
_DETAIL_CHARS = {"signature": 1_200, "doc": 4_000, "full": 8_000, "source": 20_000}


class Catalogue:
    """What the toolkit offers, as it is on disk at that moment.

    Args:
        root: The folder of the package.
        notebooks: The folder of the notebooks; that of the shipped ones when not given.
        commands: Reads the shell commands.
    """

    def __init__(
        self,
        root: Path = _PACKAGE,
        *,
        notebooks: Path | None = None,
        commands: Callable[[], list[Entry]] = read_commands,
    ) -> None:
        self._root = root
        self._notebooks = notebooks or notebooks_folder()
        self._commands = commands
        self._known: tuple[object, list[Entry]] | None = None

    def entries(self) -> list[Entry]:
        """Return everything; read again only if a file was added, removed or changed."""
        now = tuple(sorted(self._stamps()))
        if self._known is None or self._known[0] != now:
            found = [
                *self._commands(),
                *public_entries(self._root),
                *notebook_entries(self._notebooks),
                *_tools(),
                *recipe_entries(recipe_names()),
            ]
            self._known = (now, found)
        return self._known[1]

    def list_modules(self, prefix: str = "", *, depth: int = 1) -> str:
        """Return the modules below a prefix, one line each: name, first sentence, names, extra."""
        prefix = prefix.strip(".") or "autosre_lab"
        if prefix != "autosre_lab" and not prefix.startswith("autosre_lab."):
            prefix = f"autosre_lab.{prefix}"
        level = prefix.count(".") + max(depth, 0)
        shown = [
            module
            for module in module_summaries(self._root)
            if f"{module.name}.".startswith(f"{prefix}.") and module.name.count(".") <= level
        ]
        if not shown:
            raise self._unknown(prefix, [one.name for one in module_summaries(self._root)])
        lines = [
            _cut(
                f"{module.name} - {module.summary}"
                + (f" - {module.public} names" if module.public else "")
                + (f" [extra {module.needs}]" if module.needs else "")
            )
            for module in shown
        ]
        return _within(lines, LIST_CHARS)

    def search(self, query: str, *, kind: Kind | Literal["any"] = "any", limit: int = 8) -> str:
        """Return what fits some words best, one line each.

        Raises:
            ConfigError: The query is empty.
        """
        if not query.strip():
            raise ConfigError("the query is empty", remedy="say what you want to do, in words")
        pool = [entry for entry in self.entries() if kind in ("any", entry.kind)]
        found = rank(pool, query)[: max(1, min(limit, MOST_FOUND))]
        if not found:
            near = similar_names([entry.name for entry in pool], query)
            return "nothing fits." + (f" Did you mean: {', '.join(near)}?" if near else "")
        return "\n".join(
            _cut(
                f"{entry.name} ({entry.kind}) - {entry.summary}"
                + (f" [extra {entry.needs}]" if entry.needs else "")
            )
            for entry in found
        )

    def explain(self, name: str, *, detail: Detail = "signature") -> str:
        """Return how one entry is used.

        Raises:
            ConfigError: There is no such entry; names that look alike are in the remedy.
        """
        entry = self._find(name)
        lines = [f"{entry.name} ({entry.kind}) - {entry.summary}", "", entry.signature]
        parsed = parse_docstring(entry.doc)
        if detail in ("signature", "doc"):
            if detail == "doc" and parsed.text:
                lines += ["", parsed.text]
            for heading in ("Args", "Returns", "Raises", "Example", "Examples"):
                body = parsed.sections.get(heading)
                if body and (detail == "doc" or heading in ("Args", "Raises")):
                    lines += ["", f"{heading}:", body]
        elif detail == "full":
            lines += ["", entry.doc]
        elif entry.source:
            lines += ["", entry.source]
        if entry.kind == "function":
            module, _, short = entry.name.rpartition(".")
            lines += ["", f"use: from {module} import {short}"]
        elif entry.shell:
            lines += ["", f"shell: {entry.shell}"]
        if entry.needs:
            lines.append(f"needs: {how_to_install(entry.needs)}")
        if entry.where:
            lines.append(f"where: {entry.where}")
        return _within("\n".join(lines).split("\n"), _DETAIL_CHARS[detail])

    def _find(self, name: str) -> Entry:
        wanted = name.strip().lower()
        entries = self.entries()
        spellings: tuple[Callable[[str], str], ...] = (
            str,
            lambda known: known.removeprefix("autosre "),
            lambda known: known.rpartition(".")[2],
        )
        for spelling in spellings:
            for entry in entries:
                if spelling(entry.name.lower()) == wanted:
                    return entry
        raise self._unknown(name, [entry.name for entry in entries])

    @staticmethod
    def _unknown(name: str, names: list[str]) -> ConfigError:
        near = similar_names(names, name)
        remedy = f"did you mean {' or '.join(near)}?" if near else "look with search_commands"
        return ConfigError(f"there is no {name[:80]!r}", remedy=remedy)

    def _stamps(self) -> Iterator[tuple[str, int]]:
        folders = [(self._root, "*.py"), (self._notebooks, "*.ipynb")]
        for folder, pattern in folders:
            for file in folder.rglob(pattern):
                try:
                    yield str(file), file.stat().st_mtime_ns
                except OSError:
                    continue
        yield from ((name, 0) for name in recipe_names())


def _tools() -> list[Entry]:
    return [
        Entry(
            name=f"mcp__{server.name}__{tool}",
            kind="tool",
            summary=summary,
            signature=f"a tool of the {server.name} server",
            needs="web",
        )
        for server in WEB_SERVERS.values()
        for tool, summary in server.tools.items()
    ]


def _cut(line: str) -> str:
    return line if len(line) <= LINE_CHARS else line[: LINE_CHARS - 1] + "…"


def _within(lines: list[str], chars: int) -> str:
    kept: list[str] = []
    used = 0
    for line in lines:
        used += len(line) + 1
        if kept and used > chars:
            kept.append(f"… {len(lines) - len(kept)} more lines; ask for less, or for more detail")
            break
        kept.append(line)
    return "\n".join(kept)
