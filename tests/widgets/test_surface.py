from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from autosre_lab.widgets import Shown, badge_mark, interactive, surface
from autosre_lab.widgets.front import PATIENCE_S, front


class Both(Shown):
    def widget(self) -> Any:
        return "a widget"

    def static(self) -> Sequence[Any]:
        return ["a table", "a figure"]


@pytest.mark.parametrize(("looked_at", "parts"), [(True, 1), (False, 2)])
def test_the_widget_is_shown_where_somebody_looks_and_its_twin_elsewhere(
    looked_at: bool, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surface, "interactive", lambda: looked_at)
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    Both()._ipython_display_()
    assert len(shown) == parts


def test_a_test_run_is_not_interactive() -> None:
    assert not interactive()


def test_a_badge_is_words() -> None:
    assert repr(badge_mark("gpu")) == "measured on: GPU"
    assert "GPU" in badge_mark("gpu")._repr_html_()


def test_a_view_that_is_closed_or_silent_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("autosre_lab.widgets.front.time.monotonic", lambda: clock[0])
    told: list[bool] = []
    themes: list[bool] = []
    seen = front(on_views=told.append, on_theme=themes.append)
    assert seen.seen(), "nobody has had time to look"
    seen.views, seen.dark, seen.beat = 1, True, 1.0
    assert seen.seen()
    clock[0] += PATIENCE_S + 1
    assert not seen.seen()
    seen.beat = 2.0
    assert seen.seen()
    seen.views = 0
    assert not seen.seen()
    assert told == [False, True, False]
    assert themes == [True]
    seen.close()
