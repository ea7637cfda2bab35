from __future__ import annotations

import pytest

from autosre_lab.badges import BADGES, Badge
from autosre_lab.cards import Card, badge_html, markdown_table

CARD = Card(
    title="a <b>",
    badge="scripted",
    head=("name", "value"),
    rows=(("x|y", "1"), ("<z>", "two\nlines")),
    notes=("mind & heed",),
)


def test_a_card_is_text_html_and_markdown_with_its_badge_in_words() -> None:
    bundle = CARD.mimebundle()
    assert set(bundle) == {"text/plain", "text/html", "text/markdown"}
    for text in bundle.values():
        assert "scripted engine" in text
        assert "value" in text


def test_what_a_card_holds_is_shown_and_never_run() -> None:
    shown = CARD.html()
    assert "a &lt;b&gt;" in shown
    assert "&lt;z&gt;" in shown
    assert "<z>" not in shown
    assert "two<br>lines" in shown
    assert r"x\|y" in CARD.markdown()


def test_the_first_cell_of_a_row_heads_it_for_whoever_cannot_see_the_table() -> None:
    assert 'scope="row"' in CARD.html()
    assert 'scope="col"' in CARD.html()


def test_a_card_without_head_is_names_and_values() -> None:
    plain = Card(title="stack", rows=(("model", "m"), ("window", "8,192 tokens")))
    assert plain.text().splitlines() == ["stack", "  model   m", "  window  8,192 tokens"]
    assert plain.markdown().splitlines()[2] == "|  |  |"


@pytest.mark.parametrize("badge", BADGES)
def test_badges_differ_in_words_sign_and_outline_not_in_colour(badge: Badge) -> None:
    shown = badge_html(badge)
    assert BADGES[badge] in shown
    others = [badge_html(other) for other in BADGES if other != badge]
    assert shown.partition("border:")[2][:12] not in "".join(others)
    assert "color:#" not in shown


def test_a_markdown_table_has_a_line_for_each_row() -> None:
    assert markdown_table(["a"], [["1"], ["2"]]).splitlines() == [
        "| a |",
        "| --- |",
        "| 1 |",
        "| 2 |",
    ]
