"""Tables as a person reads them: words and units in the head, rounded numbers below."""

from __future__ import annotations

import re
from typing import Any

import numpy
import pandas
import pytest

from autosre_lab.widgets.tables import cell_text, column_label, table_html


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("output_tps", "output, tok/s"),
        ("ttft_p50", "first token p50"),
        ("ttft_s", "first token, s"),
        ("total_ms", "total, ms"),
        ("hit_rate", "from the cache"),
        ("max_step_tokens", "max step tokens"),
        ("s", "s"),
        ("identity", "identity"),
        ("measured on", "measured on"),
    ],
)
def test_a_column_is_named_in_words_with_its_unit(name: str, label: str) -> None:
    assert column_label(name) == label


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7.481e-05, "7.48e-05"),
        (0.0007481, "0.000748"),
        (7.481e-09, "7.48e-09"),
        (11378462720.0, "11,378,462,720"),
        (0.93811, "0.938"),
        (22.2345, "22.2"),
        (999.6, "1000"),
        (1234.5, "1,234"),
        (-0.04567, "-0.0457"),
        (0.0, "0"),
        (numpy.float32(1.5), "1.50"),
        (numpy.int64(12345), "12,345"),
        (True, "yes"),
        (numpy.bool_(False), "no"),
        ((0.833785, 0.945836), "0.834 to 0.946"),
        (None, "n/a"),
        (float("nan"), "n/a"),
        (float("inf"), "inf"),
        (pandas.NA, "n/a"),
        (pandas.NaT, "n/a"),
        ("2026-11-26T10:11:12.123456789+00:00", "2026-11-26 10:11:12"),
        ("a name", "a name"),
    ],
)
def test_a_value_is_rounded_and_said(value: Any, text: str) -> None:
    assert cell_text(value) == text


def test_numbers_stand_to_the_right_under_their_heading_and_empty_columns_are_left_out() -> None:
    table = pandas.DataFrame(
        {
            "turn": [1, 2],
            "ttft_s": [0.25, None],
            "cause": ["first turn", "<b>"],
            "warnings": ["", ""],
            "flag": [True, False],
        }
    ).set_index("turn")
    html = table_html(table, "Turns & more")
    heads = re.findall(r"<th([^>]*)>([^<]*)</th>", html)
    number = ' class="autosre-number"'
    assert heads == [(number, "turn"), (number, "first token, s"), ("", "cause"), ("", "flag")]
    assert f"<td{number}>0.250</td>" in html
    assert f"<td{number}>n/a</td>" in html
    assert "&lt;b&gt;" in html
    assert "Turns &amp; more" in html


def test_a_long_table_shows_its_end_and_says_so() -> None:
    html = table_html(pandas.DataFrame({"n": range(500)}), "Requests")
    assert "the last 200 of 500 rows" in html
    assert html.count("<tr>") == 201
    assert table_html(pandas.DataFrame({"n": []}), "None") == ""
