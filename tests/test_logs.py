from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.logs import configure_logging, get_logger


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger("autosre_lab")
    before = (root.level, list(root.handlers), root.propagate)
    yield
    root.setLevel(before[0])
    root.handlers[:], root.propagate = before[1], before[2]


def test_configured_twice_a_record_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning")
    configure_logging("info")
    get_logger("autosre_lab.engine").info("a remark")
    get_logger("autosre_lab.engine").debug("a detail")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("INFO    autosre_lab.engine: a remark")


def test_an_unknown_level_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="loud") as caught:
        configure_logging("loud")
    assert "warning" in caught.value.remedy
