"""Every spelling of an address that is not the public internet's is refused, and says why."""

from __future__ import annotations

import asyncio
import pickle
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.errors import BlockedError, ConfigError, FetchError
from autosre_lab.web import AddressGuard, AllowList
from autosre_lab.web.address_guard import resolve_with_system, shown_url
from autosre_lab.web.addresses import judge_address, never_reason

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


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("http://1.255.1/", "http://1.255.0.1/"),
        ("http://1.2.65535/", "http://1.2.255.255/"),
        ("http://0x01.0x02.0x0304/", "http://1.2.3.4/"),
        ("http://010.1.1.1/", "http://8.1.1.1/"),
    ],
)
def test_numbers_are_read_as_c_reads_them(url: str, written: str) -> None:
    assert guard().check(url).url == written


@pytest.mark.parametrize(
    "host",
    [
        "1.2.3.4.5",
        "1.2.3.4.0",
        "256.1.1.1",
        "1.256.1",
        "1.2.65536",
        "1.16777216",
        "08",
        "1.2.3.256",
    ],
)
def test_numbers_that_c_refuses_are_refused(host: str) -> None:
    with pytest.raises(BlockedError) as caught:
        guard().check(f"http://{host}/")
    assert caught.value.reason == f"{host!r} is not an IPv4 address"
    assert caught.value.remedy == "use a public http or https address"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://0x/", "0.0.0.0 is this machine (0.0.0.0/8), not a public one"),
        ("http://127.0.0.1/", "127.0.0.1 is a loopback address (127.0.0.0/8), not a public one"),
        (
            "http://localhost/",
            "localhost has the address 127.0.0.1, which is a loopback address (127.0.0.0/8), not a "
            "public one",
        ),
        ("http://[::1]/", "::1 is the loopback address (::1), not a public one"),
        (
            "http://[::2]/",
            "::2 is 0.0.0.2 in IPv6 clothes, this machine (0.0.0.0/8), not a public one",
        ),
        (
            "http://[4000::1]/",
            "4000::1 is not a global unicast address (2000::/3), not a public one",
        ),
        ("http://example.com:81/", "port 81 is not 80 or 443"),
    ],
)
def test_a_refusal_says_exactly_why(url: str, why: str) -> None:
    with pytest.raises(BlockedError) as caught:
        guard().check(url)
    assert str(caught.value).startswith(f"{url} is refused: {why}")
    assert (caught.value.url, caught.value.reason) == (url, why)


@pytest.mark.parametrize(
    ("address", "inner"),
    [
        ("2001:0:7f00:1:0:0:f7f7:f7f7", "127.0.0.1"),  # Teredo's server
        ("2001:0:808:808:0:0:80ff:fffe", "127.0.0.1"),  # Teredo's client
        ("2002:7f00:1::", "127.0.0.1"),
        ("64:ff9b::7f00:1", "127.0.0.1"),
        ("2600::200:5efe:7f00:1", "127.0.0.1"),  # ISATAP
    ],
)
def test_an_address_in_an_address_is_named(address: str, inner: str) -> None:
    assert judge_address(address) == f"{inner} in IPv6 clothes, a loopback address (127.0.0.0/8)"


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00:0",
        "64:ff9b:1::a9fe:a9fe",
    ],
)
def test_metadata_behind_a_local_nat64_is_never_opened(address: str) -> None:
    assert never_reason(address) == (
        "169.254.169.254 in IPv6 clothes, a link-local address; cloud metadata lives there"
    )
    assert never_reason("64:ff9b:1::808:808") is None


def test_a_form_is_judged_without_asking_for_the_address() -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise AssertionError(host)

    forms = AddressGuard(allow=AllowList.parse("grafana.lab:3000"), resolve=resolve)
    checked = forms.check_form("https://example.com/a?b")
    assert (checked.url, checked.addresses) == ("https://example.com/a?b", ())
    assert (checked.scheme, checked.host, checked.port) == ("https", "example.com", 443)
    assert forms.check_form("http://grafana.lab:3000/").port == 3000
    assert forms.check_form(f"http://{PUBLIC}/").addresses == (PUBLIC,)
    for url in ("http://other.lab:3000/", "http://grafana.lab:3001/"):
        with pytest.raises(BlockedError, match="is not 80 or 443") as caught:
            forms.check_form(url)
        assert caught.value.remedy.endswith(f"AUTOSRE_FETCH_ALLOW={url[7:-1]}")
    for url in ("http://127.0.0.1/", "http://localhost/", "http://x.localhost/"):
        with pytest.raises(BlockedError, match="loopback"):
            forms.check_form(url)


def test_the_systems_resolver_returns_each_address_once() -> None:
    assert resolve_with_system("127.0.0.1", 80) == ["127.0.0.1"]


def test_a_shown_url_is_one_short_line_without_a_password() -> None:
    assert shown_url("http://me:s3cret@a/\nb") == "http://…@a/?b"
    assert shown_url("HTTP://ME:S3CRET@A/") == "HTTP://…@A/"
    long = "http://a/" + "x" * 191
    assert shown_url(long) == long
    assert shown_url(long + "x") == long[:199] + "…"


def test_without_idna_a_host_has_to_be_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "idna", None)
    with pytest.raises(BlockedError) as caught:
        guard().check("http://bücher.example/")
    assert caught.value.reason == (
        "its host is not ASCII, and the package idna of the web extra is not installed"
    )
    assert caught.value.remedy == "write the host in ASCII (xn--…)"


def test_the_resolver_is_asked_for_host_and_port() -> None:
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return [PUBLIC]

    AddressGuard(resolve=resolve).check("https://Example.com/")
    assert asked == [("example.com", 443)]


def test_a_host_without_an_address_says_what_to_check() -> None:
    def fails(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "unknown")

    def answers_nothing(host: str, port: int) -> Sequence[str]:
        return []

    nowhere = "http://nowhere.example/: the host nowhere.example has no address"
    for resolve, message, remedy in (
        (
            fails,
            f"{nowhere} ([Errno -2] unknown)",
            "check the spelling of the host, and that this machine has a resolver",
        ),
        (answers_nothing, nowhere, "check the spelling of the host"),
    ):
        with pytest.raises(FetchError) as caught:
            AddressGuard(resolve=resolve).check("http://nowhere.example/")
        assert (caught.value.message, caught.value.remedy) == (message, remedy)


@pytest.mark.parametrize(
    ("url", "addresses", "why"),
    [
        ("http://a.lab/", ["nonsense"], "its host has the address 'nonsense'"),
        (
            "http://a.lab/",
            ["169.254.169.254"],
            "a.lab has the address 169.254.169.254, which is a link-local address; cloud metadata "
            "lives there",
        ),
        (f"http://{'ü' * 90}.lab/", [], f"{'ü' * 80!r} is not a host name"),
        (f"http://{'9.' * 50}9/", [], f"{'9.' * 40!r} is not an IPv4 address"),
    ],
)
def test_what_is_never_fetched_says_exactly_why(url: str, addresses: list[str], why: str) -> None:
    with pytest.raises(BlockedError) as caught:
        guard().check_addresses(url, addresses)
    assert (caught.value.url, caught.value.reason) == (url, why)
    assert caught.value.remedy == "use a public http or https address"


@pytest.mark.parametrize(
    ("url", "why", "remedy"),
    [
        ("http://a/" + "x" * 8184, "longer than 8192 characters", "give a shorter URL"),
        ("http://a\t/", "it has control characters in it", "give the URL without them"),
        (
            "ftp://a/",
            "ftp: is not fetched, only http: and https: are",
            "write https://host/path",
        ),
        ("a/b", "it has no scheme, only http: and https: are", "write https://host/path"),
        (
            "http://me@a/",
            "it has a user or a password in front of the host",
            "leave out everything up to the @",
        ),
        ("http://a:99999/", "99999 is not a port", "use a public http or https address"),
        (
            "http://a:b/",
            "its host and port cannot be told apart",
            "use a public http or https address",
        ),
    ],
    ids=lambda text: text[:20],
)
def test_a_form_that_is_refused_says_exactly_why(url: str, why: str, remedy: str) -> None:
    with pytest.raises(BlockedError) as caught:
        guard().check(url)
    assert (caught.value.reason, caught.value.remedy) == (why, remedy)
    assert caught.value.url == shown_url(url)


def test_the_longest_url_is_read_and_spaces_around_one_are_left_out() -> None:
    longest = "http://a.example/" + "x" * 8175
    assert guard().check(f"  {longest} ").url == longest
    with pytest.raises(BlockedError, match="control characters"):
        guard().check("http://a.example/\t")
