"""Snapshots are searched, cut, compared and masked without a browser; steps are read."""

from __future__ import annotations

import pytest

from autosre_lab.browser.capture import fitting_scale
from autosre_lab.browser.snapshot import (
    MASK,
    changed_lines,
    cut_snapshot,
    find_in_snapshot,
    mask_values,
)
from autosre_lab.browser.steps import BrowserStep, parse_steps
from autosre_lab.errors import ConfigError

TREE = """\
- generic [ref=e1]:
  - navigation [ref=e2]:
    - link "Home" [ref=e3]
  - main [ref=e4]:
    - heading "Prices" [ref=e5]
    - table [ref=e6]:
      - row "Apple 3" [ref=e7]
      - row "Pear 4" [ref=e8]"""


def test_what_is_found_is_shown_with_all_it_stands_in() -> None:
    assert find_in_snapshot(TREE, "pear").splitlines() == [
        "- generic [ref=e1]:",
        "  - main [ref=e4]:",
        "    - table [ref=e6]:",
        '      - row "Pear 4" [ref=e8]',
    ]
    assert "Apple" in find_in_snapshot(TREE, "/a.ple \\d/")
    assert find_in_snapshot(TREE, "[ref=e3]").count("\n") == 2
    assert find_in_snapshot(TREE, "plum") == ""
    with pytest.raises(ConfigError, match="regular expression"):
        find_in_snapshot(TREE, "/(/")


def test_a_snapshot_is_cut_at_a_line_and_says_how_much_is_missing() -> None:
    cut = cut_snapshot(TREE, 60)
    assert TREE.startswith(cut.text)
    assert cut.lines_left_out == 8 - len(cut.text.splitlines())
    assert cut_snapshot(TREE, 10_000).lines_left_out == 0
    assert len(cut_snapshot("x" * 500, 100).text) == 100


def test_only_what_changed_is_told_whatever_the_refs_are_now() -> None:
    after = TREE.replace("e7", "e70").replace('"Pear 4"', '"Pear 5"')
    assert changed_lines(TREE, after, most=10) == [
        '+       - row "Pear 5" [ref=e8]',
        '- - row "Pear 4"',
    ]
    assert changed_lines(TREE, TREE, most=10) == []
    many = changed_lines("", TREE, most=3)
    assert len(many) == 4
    assert many[-1] == "(5 more changed lines)"


def test_values_of_password_fields_cannot_be_read() -> None:
    text = '- textbox "Pass" [ref=e5]: hunter2\n- textbox "Pin" [ref=e6]: "12"\n- text: 12 apples'
    masked = mask_values(text, ["hunter2", "12"])
    assert "hunter2" not in masked
    assert f'- textbox "Pin" [ref=e6]: {MASK}' in masked
    assert "12 apples" in masked


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "nothing to do"),
        ([{"action": "explode"}], "unknown action 'explode'"),
        ([{"action": "click"}], "click needs a target"),
        ([{"action": "goto"}], "goto needs a value"),
        ([{"action": "reload"}, {"action": "press"}], "step 2: press needs a value"),
        ([{"action": "click", "ref": "e1"}], "unknown key ref"),
        ([{"action": "reload"}] * 21, "too many"),
    ],
)
def test_steps_that_cannot_be_done_are_named(given: list[dict[str, str]], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_steps(given)


def test_a_target_is_a_ref_or_a_selector_and_an_empty_text_clears() -> None:
    (step,) = parse_steps([{"action": "fill", "target": "e12", "value": ""}])
    assert step == BrowserStep(action="fill", target="e12", value="")
    refs = {
        target: BrowserStep(action="click", target=target).ref
        for target in ("f2e3", "ref=e4", "#id")
    }
    assert refs == {"f2e3": "f2e3", "ref=e4": "e4", "#id": None}


@pytest.mark.parametrize("size", [(1280, 800), (1280, 16_000), (100, 40), (4000, 4000)])
def test_a_picture_is_never_larger_than_a_model_takes(size: tuple[int, int]) -> None:
    width, height = size
    scale = fitting_scale(width, height)
    assert scale <= 1
    assert max(width, height) * scale <= 1568.001
    assert width * height * scale**2 <= 1_150_001
