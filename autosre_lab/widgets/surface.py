"""Whether somebody looks: then a widget is shown, else its static twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autosre_lab.errors import MissingExtraError
from autosre_lab.surroundings import surroundings

__all__ = ["Shown", "interactive", "require_widgets"]


def interactive() -> bool:
    """Tell whether a widget would be seen and could be moved.

    It would not be under papermill or nbconvert, in CI, with ``AUTOSRE_HEADLESS`` set, or outside
    a notebook.
    """
    return surroundings() == "notebook"


def require_widgets() -> Any:
    """Return ipywidgets.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import ipywidgets
    except ImportError as error:
        raise MissingExtraError("widgets", extra="notebooks") from error
    return ipywidgets


class Shown:
    """Something that is a widget where somebody looks, and tables and figures elsewhere.

    A subclass has both methods; a notebook shows it by naming it at a cell's end.
    """

    def widget(self) -> Any:
        """Return the widget, the same one each time."""
        raise NotImplementedError

    def static(self) -> Sequence[Any]:
        """Return what is shown instead where nobody can move a widget."""
        raise NotImplementedError

    def _ipython_display_(self) -> None:
        from IPython.display import display

        for part in [self.widget()] if interactive() else self.static():
            display(part)  # type: ignore[no-untyped-call]
