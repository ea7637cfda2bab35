"""Names that a package hands out and imports only when they are asked for (PEP 562)."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from functools import cache

__all__ = ["lazy_exports"]

_OUR_OWN = {"TYPE_CHECKING", "annotations", "lazy_exports"}
"""What a package needs to write itself, and nobody looks for in it."""

_BLOCK = re.compile(r"^if TYPE_CHECKING:\n((?:(?: {4}.*)?\n)+)", re.MULTILINE)
_IMPORT = re.compile(r"^ {4}from (\S+) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)


def lazy_exports(package: str) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__``.

    A package writes each name twice: in an import that only type checkers run, and in
    ``__all__``. The imports are read from its source when the first name is asked for::

        if TYPE_CHECKING:
            from autosre_lab.engine.backend import VllmBackend
        else:
            __getattr__, __dir__ = lazy_exports(__name__)

        __all__ = ["VllmBackend"]

    Modules of the package are attributes too, so that ``import autosre_lab`` is enough.

    Args:
        package: The package's ``__name__``.
    """

    @cache
    def homes() -> dict[str, str]:
        found: dict[str, str] = {}
        for block in _BLOCK.findall(_source(package)):
            for module, several, one in _IMPORT.findall(block):
                names = re.sub(r"#.*", "", several or one).split(",")
                found |= {name.strip(): module for name in names if name.strip()}
        return found

    @cache
    def modules() -> list[str]:
        import pkgutil  # milliseconds that only whoever asks has to spend

        return [one.name for one in pkgutil.iter_modules(sys.modules[package].__path__)]

    def get(name: str) -> object:
        if not name.startswith("_"):
            if name in homes():
                value = getattr(importlib.import_module(homes()[name]), name)
                setattr(sys.modules[package], name, value)
                return value
            if name in modules():
                return importlib.import_module(f"{package}.{name}")
        raise AttributeError(
            f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package]
        )

    def names() -> list[str]:
        shown = (one for one in modules() if not one.startswith("_"))
        return sorted({*vars(sys.modules[package]), *homes(), *shown} - _OUR_OWN)

    return get, names


def _source(package: str) -> str:
    spec = sys.modules[package].__spec__
    loader = getattr(spec, "loader", None)
    text = loader.get_source(package) if loader is not None else None
    return text or ""
