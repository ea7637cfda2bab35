from __future__ import annotations

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.serving.reach import check_access, check_reach, is_loopback, read_origins

PAGE = "https://app.example:8443"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_loopback_is_reached_from_here_only(host: str) -> None:
    assert is_loopback(host)
    check_reach(host, None, server="it", remedy="")


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "", "[", "1"]
)
def test_beyond_it_a_token_is_needed(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="the server would listen"):
        check_reach(host, None, server="the server", remedy="set IT")
    check_reach(host, "token", server="the server", remedy="set IT")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, None),
        ({"host": "localhost:8011"}, None),
        ({"host": "[::1]:8011"}, None),
        ({"host": ""}, None),
        ({"host": "127.0.0.1", "origin": "http://localhost:8888"}, None),
        ({"host": "127.0.0.1", "origin": PAGE}, None),
        ({"host": "127.0.0.1", "origin": PAGE.upper()}, None),
        ({"host": "127.0.0.1", "origin": "https://app.example"}, 403),
        ({"host": "127.0.0.1", "origin": "https://evil.example"}, 403),
        ({"host": "127.0.0.1", "origin": "null"}, 403),
        ({"host": "127.0.0.1", "origin": "http://["}, 403),
        ({"host": "rebound.example"}, 403),
        ({"host": "["}, 400),
        ({"host": "127.0.0.1:notaport"}, 400),
    ],
)
def test_without_a_token_no_foreign_name_gets_in(
    headers: dict[str, str], status: int | None
) -> None:
    denial = check_access(headers, None, origins={PAGE})
    assert (denial.status if denial else None) == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "rebound.example", "authorization": "Bearer t"}, None),
        ({"host": "[", "authorization": "Bearer t"}, None),
        ({"authorization": "Bearer t", "origin": PAGE}, None),
        ({"authorization": "Bearer t", "origin": "https://evil.example"}, 403),
        ({"origin": PAGE}, 401),
        ({}, 401),
    ],
)
def test_with_a_token_the_token_decides_and_pages_are_listed(
    headers: dict[str, str], status: int | None
) -> None:
    denial = check_access(headers, "t", origins={PAGE})
    assert (denial.status if denial else None) == status


def test_origins_are_read_in_both_spellings() -> None:
    assert read_origins([" https://A.example/ , http://b.example:1", "vscode-webview://x"]) == {
        "https://a.example",
        "http://b.example:1",
        "vscode-webview://x",
    }
    assert read_origins([""]) == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "https://*.example",
        "app.example",
        "https://a.example/path",
        "https://u@a.example",
        "https://a.example:port",
        "https://",
        "null",
        "https://a.example?x",
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no origin"):
        read_origins([text])
