"""Every spelling of an address that is not the public internet's is refused, and says why."""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.errors import BlockedError, ConfigError, FetchError
from autosre_lab.web import AddressGuard, AllowList

PUBLIC = "93.184.215.14"

HOSTILE = (Path(__file__).parent / "hostile_urls.txt").read_text("utf-8").splitlines()


def answering(*addresses: str) -> Callable[[str, int], Sequence[str]]:
    def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


def guard(allow: str = "", *addresses: str) -> AddressGuard:
    return AddressGuard(allow=AllowList.parse(allow), resolve=answering(*(addresses or (PUBLIC,))))


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_url_is_refused_with_a_reason_and_a_remedy(url: str) -> None:
    with pytest.raises(BlockedError) as caught:
        guard().check(url)
    assert caught.value.reason
    assert caught.value.remedy
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://a\tb/", "http://a\r\nHost: x/", "http://a\x00/", "http:/\n/a"]
)
def test_control_characters_are_refused(url: str) -> None:
    with pytest.raises(BlockedError, match="control characters"):
        guard().check(url)


@pytest.mark.parametrize(
    ("url", "written_anew"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.com.:443/a?b#c", "https://example.com/a?b"),
        ("http://example.com?@127.0.0.1", "http://example.com/?@127.0.0.1"),
        ("http://example.com#@127.0.0.1", "http://example.com/"),
        ("http://bücher.example/ä b", "http://xn--bcher-kva.example/%C3%A4%20b"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("http://example.com/a\\b", "http://example.com/a%5Cb"),
        ("http://example.com/%2e%2e/x?q=a b", "http://example.com/%2e%2e/x?q=a%20b"),
        ("http://a_b.example.com/", "http://a_b.example.com/"),
        ("http://0x5db8d70e/", "http://93.184.215.14/"),
        ("http://[2606:4700:0::1111]/", "http://[2606:4700::1111]/"),
        ("http://[64:ff9b::5db8:d70e]/", "http://[64:ff9b::5db8:d70e]/"),
        ("http://[2002:5db8:d70e::1]/", "http://[2002:5db8:d70e::1]/"),
    ],
)
def test_a_public_url_is_written_anew_so_that_all_read_it_alike(
    url: str, written_anew: str
) -> None:
    assert guard().check(url).url == written_anew


def test_the_checked_url_carries_what_to_connect_to() -> None:
    checked = guard("", PUBLIC, "2606:4700::1111").check("https://example.com/x")
    assert checked.addresses == (PUBLIC, "2606:4700::1111")
    assert checked.origin == ("https", "example.com", 443)


@pytest.mark.parametrize("second", ["127.0.0.1", "10.0.0.1", "::1", "64:ff9b::7f00:1", "fe80::1"])
def test_one_address_that_is_not_public_refuses_the_host(second: str) -> None:
    with pytest.raises(BlockedError, match=r"example\.com has the address"):
        guard("", PUBLIC, second).check("http://example.com/")


def test_a_host_is_resolved_once_per_check() -> None:
    answers = [[PUBLIC], ["127.0.0.1"]]

    def rebinding(host: str, port: int) -> Sequence[str]:
        return answers.pop(0)

    rebound = AddressGuard(resolve=rebinding)
    assert rebound.check("http://example.com/").addresses == (PUBLIC,)
    with pytest.raises(BlockedError):
        rebound.check("http://example.com/")


def test_addresses_are_literal_without_asking_the_resolver() -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise AssertionError(host)

    assert AddressGuard(resolve=resolve).check(f"http://{PUBLIC}/").addresses == (PUBLIC,)


def test_a_host_without_an_address_is_an_error_of_its_own() -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(FetchError, match="no address") as caught:
        AddressGuard(resolve=resolve).check("http://nowhere.example/")
    assert not isinstance(caught.value, BlockedError)


def test_the_system_resolver_is_asked_when_none_is_given() -> None:
    with pytest.raises(BlockedError, match="loopback"):
        AddressGuard().check("http://localhost/")


def test_resolution_can_happen_in_a_thread() -> None:
    checked = asyncio.run(guard().check_async("http://example.com/"))
    assert checked == guard().check("http://example.com/")
    with pytest.raises(BlockedError):
        asyncio.run(guard().check_async("http://127.0.0.1/"))


@pytest.mark.parametrize(
    ("allow", "url", "addresses"),
    [
        ("grafana.lab", "http://grafana.lab/", ["10.0.0.7"]),
        ("grafana.lab:3000", "http://GRAFANA.lab.:3000/", ["10.0.0.7"]),
        ("grafana.lab:*", "http://grafana.lab:9999/", ["127.0.0.1"]),
        ("10.96.0.0/12", "http://service.lab/", ["10.96.0.5"]),
        ("10.96.0.0/12:*", "http://service.lab:8080/", ["10.96.0.5", "10.97.1.1"]),
        ("127.0.0.1:8000", "http://127.1:8000/", []),
        ("127.0.0.1:8000", "http://[::ffff:127.0.0.1]:8000/", []),
        ("[fd00:1::/64]:8080", "http://[fd00:1::5]:8080/", []),
        ("fd00:1::/64", "http://[fd00:1::5]/", []),
        ("x.lab, example.com:8443", "https://example.com:8443/", [PUBLIC]),
    ],
)
def test_the_allow_list_opens_exactly_what_it_names(
    allow: str, url: str, addresses: list[str]
) -> None:
    assert guard(allow, *addresses).check(url).port


@pytest.mark.parametrize(
    ("allow", "url", "addresses"),
    [
        ("grafana.lab:3000", "http://grafana.lab/", ["10.0.0.7"]),
        ("grafana.lab", "http://grafana.lab:3000/", ["10.0.0.7"]),
        ("grafana.lab", "http://x.grafana.lab/", ["10.0.0.7"]),
        ("10.96.0.0/12:*", "http://service.lab:8080/", ["10.96.0.5", "10.0.0.1"]),
        ("10.96.0.0/12", "http://service.lab:8080/", ["10.96.0.5"]),
        ("0.0.0.0/0:*,[::/0]:*", "http://169.254.169.254/", []),
        ("169.254.169.254", "http://169.254.169.254/", []),
        ("metadata.lab:*", "http://metadata.lab/", ["169.254.169.254"]),
        ("metadata.lab:*", "http://metadata.lab/", ["10.0.0.7", "fd00:ec2::254"]),
        ("[::/0]:*", "http://[64:ff9b::a9fe:a9fe]/", []),
        ("[::/0]:*", "http://[64:ff9b:1:a9fe:a9:fe00::]/", []),
        ("example.com:8443", "file://example.com:8443/x", [PUBLIC]),
    ],
)
def test_the_allow_list_opens_nothing_else_and_never_metadata(
    allow: str, url: str, addresses: list[str]
) -> None:
    with pytest.raises(BlockedError):
        guard(allow, *addresses).check(url)


def test_the_remedy_names_the_entry_that_would_open_it() -> None:
    with pytest.raises(BlockedError) as caught:
        guard("", "10.0.0.7").check("http://grafana.lab:3000/")
    assert "AUTOSRE_FETCH_ALLOW=grafana.lab:3000" in caught.value.remedy


@pytest.mark.parametrize(
    "entry",
    ["http://x", "a b", "10.0.0.0/99", "x:0", "x:65536", "x:abc", "[x]:1", "*", "10.0.0.1/8"],
)
def test_an_unreadable_entry_is_refused_by_name(entry: str) -> None:
    with pytest.raises(ConfigError, match="AUTOSRE_FETCH_ALLOW"):
        AllowList.parse(f"ok.lab,{entry}")


def test_addresses_that_a_browser_resolved_are_judged_alike() -> None:
    with pytest.raises(BlockedError):
        guard().check_addresses("http://example.com/", ["127.0.0.1"])
    assert guard().check_addresses("http://example.com/", [PUBLIC]).addresses == (PUBLIC,)


@given(st.ip_addresses(v=4, network="127.0.0.0/8"), st.sampled_from(["{:d}", "{:#x}", "0{:o}"]))
def test_no_spelling_of_a_loopback_number_passes(address: object, spelling: str) -> None:
    with pytest.raises(BlockedError):
        guard().check(f"http://{spelling.format(int(address))}/")  # type: ignore[call-overload]


@given(st.text(max_size=60))
def test_any_text_is_either_refused_or_a_public_address(text: str) -> None:
    try:
        checked = guard().check(f"http://{text}")
    except FetchError:
        return
    assert checked.port in (80, 443)
    assert guard().check(checked.url) == checked


def test_a_refusal_survives_pickling() -> None:
    error = BlockedError("it is refused", remedy="fix it", url="http://x/", reason="why")
    again = pickle.loads(pickle.dumps(error))
    assert (again.url, again.reason, str(again)) == ("http://x/", "why", str(error))
