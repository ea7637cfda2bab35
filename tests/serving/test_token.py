from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.serving.token import read_token, shows_token


def test_a_file_comes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" from-file\n", encoding="utf-8")

    assert read_token("T", file, {"T": "from-environment"}) == "from-file"
    assert read_token("T", None, {"T": "from-environment\n"}) == "from-environment"
    assert read_token("T", None, {"T": ""}) is None
    assert read_token("T", None, {}) is None


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"two words", "schlüssel".encode(), b"\xff", b"a\x00b"]
)
def test_a_file_that_holds_no_token_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)

    with pytest.raises(ConfigError, match=str(file)):
        read_token("T", file)


def test_a_file_that_cannot_be_read_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        read_token("T", tmp_path / "none", option="--engine-key-file")
    assert "--engine-key-file" in caught.value.remedy


def test_a_variable_that_no_header_can_carry_is_named() -> None:
    with pytest.raises(ConfigError, match="MY_TOKEN") as caught:
        read_token("MY_TOKEN", None, {"MY_TOKEN": "geheim-ß"})
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({"authorization": "Bearer secret"}, True),
        ({"authorization": "bearer  secret "}, True),
        ({"x-api-key": "secret"}, True),
        ({"authorization": "Bearer wrong", "x-api-key": "secret"}, True),
        ({}, False),
        ({"authorization": "secret"}, False),
        ({"authorization": "Basic secret"}, False),
        ({"authorization": "Bearer secret2"}, False),
        ({"authorization": "Bearer \udcff"}, False),
        ({"x-api-key": ""}, False),
        ({"x-api-key": "SECRET"}, False),
    ],
)
def test_a_token_is_shown_as_a_bearer_or_as_an_api_key(
    headers: dict[str, str], shown: bool
) -> None:
    assert shows_token(headers, "secret") is shown
