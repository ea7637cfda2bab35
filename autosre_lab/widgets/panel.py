"""A panel: a form, what runs, and what came of it, redrawn while it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autosre_lab.badges import Badge
from autosre_lab.cards import badge_html
from autosre_lab.errors import AutosreError
from autosre_lab.markup import html_text
from autosre_lab.widgets.background import Work, error_html
from autosre_lab.widgets.badge import badge_mark
from autosre_lab.widgets.chart import chart, plotly_for_charts
from autosre_lab.widgets.figures import new_figure, table_of
from autosre_lab.widgets.front import front
from autosre_lab.widgets.paced import Paced
from autosre_lab.widgets.surface import Shown, interactive, require_widgets
from autosre_lab.widgets.tables import table_html
from autosre_lab.widgets.theme import STYLE

if TYPE_CHECKING:
    import pandas

__all__ = ["Panel"]

_FOLDED = {"height": "0px", "width": "100%", "overflow": "hidden", "flex": "0 0 auto"}


class Panel(Shown):
    """What the panels share. A subclass says what its form, tables and figures are.

    Args:
        title: Its heading.

    Attributes:
        badge: What produced the numbers; None before there are any.
        dark: Whether the page is dark.
        work: What runs.
        problem: What could not be shown, where it is not the work's own.
    """

    def __init__(self, title: str) -> None:
        # Here and now: two threads that both import pandas see half of it.
        table_of((), ("nothing",), "nothing")
        new_figure("")
        self.title = title
        self.badge: Badge | None = None
        self.dark = False
        self.problem: BaseException | None = None
        self._paced = Paced(self._redraw)
        self._stale = True
        self.work = Work(title, on_change=self._paced.ask)
        self._view: Any = None
        self._front: Any = None
        self._live: dict[str, Any] = {}
        self._boxes: dict[str, Any] = {}
        self._tables: Any = None
        self._head: Any = None

    # What a subclass says ------------------------------------------------------------------------

    def actions(self) -> Sequence[Any]:
        """Return the buttons that begin something; Stop stands beside them."""
        raise NotImplementedError

    def form(self) -> Mapping[str, Sequence[Any]]:
        """Return the fields by the heading under which they are folded away."""
        raise NotImplementedError

    def tables(self) -> Mapping[str, pandas.DataFrame]:
        """Return the tables by caption."""
        raise NotImplementedError

    def figures(self) -> Mapping[str, Any]:
        """Return the figures by name, always the same names."""
        raise NotImplementedError

    def notes(self) -> Sequence[str]:
        """Return HTML that stands below the heading."""
        return ()

    # What it does ---------------------------------------------------------------------------------

    def begin(self, call: Callable[[], Any]) -> Any:
        """Do something long: in the background where somebody looks, else here and now.

        Returns:
            What the call returned; None where it still runs, see `wait`.
        """
        self.problem = None
        if interactive():
            self.work.start(call)
            return None
        return call()

    def wait(self) -> None:
        """Wait for what was begun, so that the cells below show what came of it.

        The panel goes on moving and its Stop is heard meanwhile: JupyterLab 4.4 and newer send a
        widget's messages past a busy cell. Elsewhere interrupt the kernel; it stops the work too.

        Raises:
            BaseException: What the work raised.
            KeyboardInterrupt: The kernel was interrupted.
        """
        try:
            self.work.wait()
        except KeyboardInterrupt:
            self.work.stop()
            raise

    def button(self, name: str, icon: str, tooltip: str, call: Callable[[], object]) -> Any:
        """Return a button for a call, which does nothing while something runs."""

        def pressed(_: Any) -> None:
            if self.work.running:
                return
            self.problem = None
            try:
                call()
            except AutosreError as error:
                self.problem = error
            self.changed()

        button = require_widgets().Button(description=name, icon=icon, tooltip=tooltip)
        button.on_click(pressed)
        return button

    @staticmethod
    def bind(fields: Mapping[str, Any], asked: dict[str, Any]) -> None:
        """Have fields show what is asked, by name, and change it."""
        for name, field in fields.items():
            field.value = asked[name]
            field.observe(
                lambda change, name=name: asked.update({name: change["new"]}), names="value"
            )

    def changed(self) -> None:
        """Have what is shown drawn again, soon."""
        self._stale = True
        self._paced.ask()

    def static(self) -> Sequence[Any]:
        """Return badge, tables and figures."""
        figures, tables = self.figures(), self.tables()
        parts: list[Any] = [badge_mark(self.badge)] if self.badge is not None else []
        parts += [table for table in tables.values() if not table.empty]
        return [*parts, *(one for one in figures.values() if one.data)]

    def widget(self) -> Any:
        """Return buttons, progress, figures, tables, and the form."""
        if self._view is None:
            widgets = require_widgets()
            self._front = front(on_theme=self._themed)
            self._head, self._tables = widgets.HTML(), widgets.HTML()
            self._live = {name: chart() for name in self.figures()}
            # A figure takes no room before it has something to show, but all of the width: hidden
            # by `display` it would be drawn in a width of its own.
            self._boxes = {
                name: widgets.VBox([live], layout=dict(_FOLDED))
                for name, live in self._live.items()
            }
            row = [*self.actions(), self.work.button()]
            form = self.form()
            # What came of it stands first; what is asked is folded away below.
            folded = widgets.Accordion(
                [widgets.VBox(list(fields)) for fields in form.values()], titles=tuple(form)
            )
            self._view = widgets.VBox(
                [
                    self._front,
                    plotly_for_charts(),
                    widgets.HTML(f"<style>{STYLE}</style>"),
                    self._head,
                    widgets.HBox(row, layout={"flex_flow": "row wrap"}),
                    self.work.said(),
                    *self._boxes.values(),
                    self._tables,
                    folded,
                ]
            )
            self._view.add_class("autosre")
            self._redraw()
        return self._view

    def close(self) -> None:
        """End what runs and what is drawn."""
        self.work.close()
        self._paced.close(last=False)
        if self._view is not None:
            self._view.close()

    def _themed(self, dark: bool) -> None:  # noqa: FBT001 - as the front calls it
        self.dark = dark
        self.changed()

    def _redraw(self) -> None:
        if self._view is None or not self._stale or not self._front.seen():
            return
        self._stale = False
        try:
            figures, tables = self.figures(), self.tables()
        except Exception as error:  # shown where the figures would be
            self.problem = error
            figures, tables = {}, {}
        for name, figure in figures.items():
            self._live[name].show(figure)
            self._boxes[name].layout.height = "auto" if figure.data else _FOLDED["height"]
        texts = [table_html(table, caption) for caption, table in tables.items()]
        self._set(self._tables, "".join(texts))
        badge = "" if self.badge is None else f" {badge_html(self.badge)}"
        head = f'<div class="autosre-title">{html_text(self.title)}{badge}</div>'
        trouble = "" if self.problem is None else error_html(self.problem)
        self._set(self._head, "".join([head, *self.notes(), trouble]))

    @staticmethod
    def _set(view: Any, text: str) -> None:
        if view.value != text:
            view.value = text
