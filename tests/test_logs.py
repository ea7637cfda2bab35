from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.logs import configure_logging, get_logger

ours = logging.getLogger("autosre_lab")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    handlers, level, propagate = list(ours.handlers), ours.level, ours.propagate
    yield
    ours.handlers[:] = handlers
    ours.setLevel(level)
    ours.propagate = propagate


def test_each_record_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    get_logger("autosre_lab.some.module").info("it is %s", "so")
    get_logger("autosre_lab.some.module").debug("and more")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith("INFO    autosre_lab.some.module: it is so\n")
    assert shown.err.count("\n") == 1


def test_configuring_again_changes_the_level_and_says_nothing_twice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for level in ("error", "debug", "INFO"):
        configure_logging(level)
    get_logger("autosre_lab.x").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_a_handler_of_the_applications_own_does_not_take_ours_away(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours.addHandler(logging.NullHandler())
    configure_logging()
    get_logger("autosre_lab.x").warning("seen")
    assert "seen" in capsys.readouterr().err


def test_the_applications_own_logging_is_left_alone() -> None:
    before = list(logging.getLogger().handlers)
    configure_logging()
    assert logging.getLogger().handlers == before


def test_an_unknown_level_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="loud") as caught:
        configure_logging("loud")
    assert "debug, info, warning, error" in caught.value.remedy
