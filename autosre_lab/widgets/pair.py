"""Two lists to choose two results from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autosre_lab.widgets.surface import require_widgets

__all__ = ["PairChoice"]


class PairChoice:
    """A choice of two results.

    Args:
        neither: What the lists say while none is chosen.
        results: Returns what there is: a line to show, and the result's id.
        changed: Called when a choice was made.

    Attributes:
        chosen: The two ids; None where not two different ones are chosen.
        lists: The two lists; empty before they are shown.
    """

    def __init__(
        self,
        neither: str,
        results: Callable[[], list[tuple[str, str]]],
        changed: Callable[[], None],
    ) -> None:
        self._neither = neither
        self._results = results
        self._changed = changed
        self.chosen: tuple[str, str] | None = None
        self.lists: list[Any] = []

    def widget(self) -> Any:
        """Return the lists, one beside the other."""
        widgets = require_widgets()
        style, wide = {"description_width": "90px"}, {"width": "420px"}
        self.lists = [
            widgets.Dropdown(description=name, style=style, layout=wide)
            for name in ("First", "Second")
        ]
        self.offer()
        for one in self.lists:
            one.observe(lambda _: self._choose(), names="value")
        return widgets.HBox(self.lists, layout={"flex_flow": "row wrap"})

    def offer(self) -> None:
        """Offer the results that there are now, and keep what was chosen."""
        for one in self.lists:
            before = one.value or ""
            one.options = [(self._neither, ""), *self._results()]
            one.value = before

    def _choose(self) -> None:
        first, second = (str(one.value or "") for one in self.lists)
        self.chosen = (first, second) if first and second and first != second else None
        self._changed()
