"""URLs of images and documents that a client sends are judged like those that we fetch."""

from __future__ import annotations

import asyncio

import pytest

from autosre_lab.web import AllowList, why_not_fetch


def judged(url: str, address: str = "93.184.216.34", allow: str = "") -> str:
    def resolve(host: str, port: int) -> list[str]:
        if not address:
            raise OSError("no such host")
        return [address]

    return asyncio.run(why_not_fetch(url, allow=AllowList.parse(allow), resolve=resolve))


@pytest.mark.parametrize("url", ["https://example.com/a.png", "http://example.com/a?b=c"])
def test_a_public_url_may_be_fetched(url: str) -> None:
    assert judged(url) == ""


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/latest/meta-data", "link-local"),
        ("http://127.0.0.1:8010/v1/models", "loopback"),
        ("http://2130706433/", "loopback"),
        ("http://[::ffff:10.0.0.1]/", "private"),
        ("file:///etc/passwd", "only http"),
        ("https://user:word@example.com/", "a user or a password"),
        ("https://example.com:8443/", "port 8443"),
        ("nonsense", "no scheme"),
    ],
)
def test_what_must_not_be_fetched_has_a_reason(url: str, why: str) -> None:
    assert why in judged(url)


def test_a_name_with_a_private_address_is_refused_unless_it_is_allowed() -> None:
    assert "10.0.0.7" in judged("http://pictures.lab/a.png", "10.0.0.7")
    assert judged("http://pictures.lab/a.png", "10.0.0.7", allow="pictures.lab") == ""


def test_a_host_without_an_address_is_refused() -> None:
    assert "has no address" in judged("https://gone.example/", "")
