"""Choose a recipe, look before anything is changed, start, switch and stop, watch the rollout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from autosre_lab import lifecycle
from autosre_lab.cards import Card
from autosre_lab.errors import AutosreError, ConfigError
from autosre_lab.markup import html_text
from autosre_lab.recipe import load_recipe
from autosre_lab.settings import load_settings
from autosre_lab.widgets.background import Work, error_html
from autosre_lab.widgets.deployment import CHECK_COLUMNS, check_rows, how_much
from autosre_lab.widgets.recipe_choice import recipe_picker
from autosre_lab.widgets.surface import Shown, interactive, require_widgets
from autosre_lab.widgets.theme import STYLE

if TYPE_CHECKING:
    from autosre_lab.lifecycle import Change
    from autosre_lab.parity import DriftReport
    from autosre_lab.stack import StackStatus

__all__ = ["DeployPanel", "deploy"]


class DeployPanel(Shown):
    """A stack's life by buttons. In a cluster nothing is changed while `dry_run` is on.

    Args:
        recipe: What is chosen at first; the setting `recipe` where empty.
        place: ``auto``, ``local`` or ``cluster``.
        dry_run: Refuse what would change a cluster.

    Attributes:
        work: What runs.
    """

    def __init__(self, recipe: str = "", *, place: str = "auto", dry_run: bool = True) -> None:
        self._recipe = recipe or load_settings().recipe
        self._place = place
        self._dry_run = dry_run
        self._checks: list[tuple[str, str, str, str]] = []
        self._changes: list[Change] = []
        self._drift: DriftReport | None = None
        self._view: Any = None
        self._parts: dict[str, Any] = {}
        self._status: StackStatus | None = None
        self.work = Work("Stack", on_stop=self._take_back, on_change=self._update)

    @property
    def recipe(self) -> str:
        """The chosen recipe's name or path."""
        return str(self._parts["recipe"].value) if self._parts else self._recipe

    @property
    def place(self) -> str | None:
        """Where; None leaves it to the recipe."""
        chosen = str(self._parts["place"].value) if self._parts else self._place
        return None if chosen == "auto" else chosen

    @property
    def dry_run(self) -> bool:
        """Whether a cluster is left alone."""
        return bool(self._parts["dry_run"].value) if self._parts else self._dry_run

    @property
    def may_start(self) -> bool:
        """Whether a start is allowed: not in a cluster while `dry_run` is on."""
        where = lifecycle.place_for(load_recipe(self.recipe), self.place)
        return where.name == "local" or not self.dry_run

    def status(self) -> StackStatus:
        """Return what runs now."""
        self._status = lifecycle.status(place=self.place)
        return self._status

    def check(self) -> None:
        """Preflight, and what a start would change; changes nothing."""
        self._begin("Check", self._check)

    def start(self) -> None:
        """Start the chosen recipe, or switch to it where another one runs.

        Where somebody looks it returns at once, and the panel shows how far it is.

        Raises:
            ConfigError: It would change a cluster, and `dry_run` is on.
        """
        self._begin("Start", self._start)

    def stop(self) -> None:
        """End the stack.

        Raises:
            ConfigError: It would change a cluster, and `dry_run` is on.
        """
        self._begin("Stop", self._end)

    def compare(self) -> None:
        """Compare what runs with its recipe."""
        self._begin("Compare", self._compare)

    def summary(self) -> dict[str, Any]:
        """Return the run's facts, for `summary.json`."""
        if self._status is None:
            with suppress(AutosreError):  # a cluster that cannot be asked has no state to tell
                self._status = lifecycle.status(place=self.place)
        status = self._status
        return {
            "recipe": self.recipe,
            "place": self.place or "auto",
            "dry_run": self.dry_run,
            "work": self.work.state,
            "state": None if status is None else status.state,
            "serves": None if status is None else status.recipe_name,
            "checks": {name: state.split()[-1] for state, name, *_ in self._checks},
            "changes": {one.part: how_much(one) for one in self._changes},
            "drift": None if self._drift is None else self._drift.to_json(),
        }

    def close(self) -> None:
        """Take the view away, and stop what it runs."""
        self.work.close()
        for part in self._parts.values():
            part.close()

    def static(self) -> Sequence[Any]:
        """Return the cards that the panel would show."""
        return [_Displayed(one) for one in self._cards()]

    def widget(self) -> Any:
        """Return the panel."""
        if self._view is None:
            self._build()
        return self._view

    def _begin(self, label: str, call: Callable[[], Any]) -> None:
        if interactive():
            if not self.work.running:
                self.work.start(call, label=f"{label} {self.recipe}")
        else:
            call()

    def _check(self) -> None:
        recipe = load_recipe(self.recipe)
        self._checks = check_rows(recipe, place=self.place)
        self._changes = lifecycle.find_changes(recipe, place=self.place)

    def _start(self) -> None:
        recipe = load_recipe(self.recipe)
        self._guard(lifecycle.place_for(recipe, self.place).name)
        running = lifecycle.status(place=self.place).recipe_name
        if running not in (None, recipe.name):
            lifecycle.switch(self.recipe, place=self.place)
        else:
            lifecycle.start(self.recipe, place=self.place)
        self._compare()

    def _end(self) -> None:
        self._guard(lifecycle.last_place(self.place).name)
        self._status = lifecycle.stop(place=self.place)
        self._drift = None

    def _compare(self) -> None:
        self._status = lifecycle.status(place=self.place)
        self._drift = lifecycle.find_drift(place=self.place)

    def _take_back(self) -> None:
        if self.work.label.startswith("Start"):
            self._status = lifecycle.stop(place=self.place)

    def _guard(self, place: str) -> None:
        if place == "cluster" and self.dry_run:
            raise ConfigError(
                "this would change the cluster, and DRY_RUN is on",
                remedy="look at what would change, then untick Dry run, or set DRY_RUN=False",
            )

    def _cards(self) -> list[Card]:
        cards = []
        if self._checks:
            wrong = sum(one[0].endswith("fail") for one in self._checks)
            cards.append(
                Card(
                    title=f"Preflight: {wrong or 'nothing'} in the way",
                    head=CHECK_COLUMNS,
                    rows=self._checks,
                )
            )
        for change in self._changes:
            lines = [] if change.unread else change.diff()
            cards.append(
                Card(
                    title=f"{change.part}: {how_much(change)}",
                    rows=[("\n".join(lines),)] if lines else (),
                )
            )
        if self._drift is not None:
            rows = [
                (
                    one.severity,
                    one.layer,
                    one.subject,
                    one.expected or "-",
                    one.live or "-",
                    one.why,
                )
                for one in self._drift.rows
            ]
            head = ("severity", "layer", "subject", "recipe", "live", "why") if rows else ()
            cards.append(Card(title=f"Drift: {self._drift.summary}", head=head, rows=rows))
        return cards

    def _build(self) -> None:
        widgets = require_widgets()
        parts = self._parts
        wide = widgets.Layout(width="auto")
        recipe = recipe_picker(self._recipe)
        place = widgets.Dropdown(
            options=[
                ("where the recipe says", "auto"),
                ("this machine", "local"),
                ("cluster", "cluster"),
            ],
            value=self._place,
            description="Place",
        )
        dry_run = widgets.Checkbox(
            value=self._dry_run, description="Dry run: leave a cluster alone", indent=False
        )
        buttons = {}
        for name, label, icon, tooltip, call in (
            ("look", "Check", "search", "Preflight, and what a start would change", self.check),
            ("begin", "Start or switch", "play", "Serve the chosen recipe", self.start),
            ("end", "Stop the stack", "power-off", "End what runs", self.stop),
            ("compare", "Compare", "balance-scale", "What runs against its recipe", self.compare),
        ):
            buttons[name] = widgets.Button(
                description=label, icon=icon, tooltip=tooltip, layout=wide
            )
            buttons[name].on_click(lambda _, call=call: call())
        parts.update(recipe=recipe, place=place, dry_run=dry_run, **buttons)
        parts["status"], parts["cards"] = widgets.HTML(), widgets.HTML()
        parts["style"] = widgets.HTML(f"<style>{STYLE}</style>")
        self._view = widgets.VBox(
            [
                parts["style"],
                recipe,
                widgets.HBox([place, dry_run]),
                widgets.HBox(list(buttons.values())),
                self.work.widget(),
                parts["status"],
                parts["cards"],
            ]
        )
        self._view.add_class("autosre")
        self._update()

    def _update(self) -> None:
        if "cards" not in self._parts:
            return
        for name in ("look", "begin", "end", "compare"):
            self._parts[name].disabled = self.work.running
        try:
            self._status = lifecycle.status(place=self.place)
            status = self._status._repr_mimebundle_()["text/html"]
        except AutosreError as error:
            status = error_html(error)
        self._parts["status"].value = status
        self._parts["cards"].value = "".join(_folded(one) for one in self._cards())


def deploy(recipe: str = "", *, place: str = "auto", dry_run: bool = True) -> DeployPanel:
    """Return a panel to choose, check, start, switch and stop a recipe's stack.

    Its twins without a widget are `check_table`, `change_table` and `drift_table`.

    Args:
        recipe: What is chosen at first; the setting `recipe` where empty.
        place: ``auto``, ``local`` or ``cluster``.
        dry_run: Refuse what would change a cluster.
    """
    return DeployPanel(recipe, place=place, dry_run=dry_run)


def _folded(card: Card) -> str:
    """Return a card that opens by a click; a diff in a type that keeps its columns."""
    if card.head or not card.rows:
        body = Card(title="", head=card.head, rows=card.rows).html()
    else:
        body = f"<pre>{html_text(card.rows[0][0])}</pre>"
    opened = " open" if card.head or card.title.startswith("command line") else ""
    return f"<details{opened}><summary>{html_text(card.title)}</summary>{body}</details>"


class _Displayed:
    def __init__(self, card: Card) -> None:
        self._card = card

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self._card.mimebundle()
