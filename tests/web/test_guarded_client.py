"""The client connects to what was checked and to nothing else, and stops in time."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Sequence

import pytest

from autosre_lab.errors import BlockedError, FetchError, FetchTimeoutError
from autosre_lab.web import AddressGuard, AllowList
from autosre_lab.web.guarded_client import GuardedClient
from tests.web.site import Answer, Site, serving


def to(location: str, status: int = 302, *, cookie: str = "") -> Answer:
    headers = {"Location": location, **({"Set-Cookie": cookie} if cookie else {})}
    return Answer(status=status, headers=headers)


def test_a_page_comes_with_the_hosts_own_name_from_the_checked_address(site: Site) -> None:
    site.answers["/a"] = Answer("hello", headers={"Content-Type": "text/plain; charset=utf-8"})

    reply = GuardedClient(site.guard()).get(f"{site.url}/a?b=c#d")

    assert (reply.status, reply.body, reply.content_type) == (200, b"hello", "text/plain")
    assert reply.url == f"{site.url}/a?b=c"
    assert site.paths == ["/a?b=c"]
    assert site.asked[0].headers["host"] == f"site.test:{site.port}"


def test_a_name_that_answers_differently_a_moment_later_changes_nothing(site: Site) -> None:
    site.answers["/"] = Answer("from the checked address")
    answers: list[Sequence[str]] = [["127.0.0.1"], ["127.0.0.2"]]

    def rebinding(host: str, port: int) -> Sequence[str]:
        return answers.pop(0)

    guard = AddressGuard(allow=AllowList.parse(f"site.test:{site.port}"), resolve=rebinding)

    assert GuardedClient(guard).get(f"{site.url}/").body == b"from the checked address"
    assert answers == [["127.0.0.2"]]


def test_rebinding_to_a_private_address_at_a_redirect_is_refused(site: Site) -> None:
    site.answers["/"] = to("/secret")
    answers: list[Sequence[str]] = [["127.0.0.1"], ["169.254.169.254"]]
    guard = AddressGuard(
        allow=AllowList.parse(f"site.test:{site.port}"), resolve=lambda host, port: answers.pop(0)
    )

    with pytest.raises(BlockedError, match=r"redirects to what is refused.*metadata"):
        GuardedClient(guard).get(f"{site.url}/")
    assert site.paths == ["/"]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://[::1]:{port}/",
        "http://2130706433:{port}/secret",
        "http://169.254.169.254/latest/meta-data/",
        "//127.0.0.1:{port}/secret",
        "file:///etc/hostname",
        "dict://127.0.0.1:{port}/stats",
        "gopher://127.0.0.1:{port}/_x",
        "ftp://127.0.0.1/",
        "data:text/html,hi",
        "http://user:pass@site.test:{port}/secret",
        "http://site.test:22/",
        "\\\\127.0.0.1\\secret",
    ],
)
def test_a_redirect_is_judged_like_a_first_url(site: Site, location: str) -> None:
    site.answers["/"] = to(location.format(port=site.port))
    site.answers["/secret"] = Answer("secret")

    try:
        reply = GuardedClient(site.guard()).get(f"{site.url}/")
    except BlockedError as error:
        assert "redirects to what is refused" in str(error)
        assert site.paths == ["/"]
    else:  # a backslash is a path to some readers: then it stays on this site
        assert reply.url.startswith(f"{site.url}/")


def test_five_redirects_are_followed_and_no_more(site: Site) -> None:
    for number in range(9):
        site.answers[f"/{number}"] = to(f"/{number + 1}")
    site.answers["/5"] = Answer("end")

    reply = GuardedClient(site.guard()).get(f"{site.url}/0")
    assert reply.redirects == tuple(f"{site.url}/{number}" for number in range(5))

    del site.answers["/5"]
    site.answers["/5"] = to("/6")
    with pytest.raises(FetchError, match="more than 5"):
        GuardedClient(site.guard()).get(f"{site.url}/0")


def test_credentials_stay_with_their_origin(site: Site) -> None:
    with serving() as other:
        site.answers["/"] = to("/in", cookie="session=1")
        site.answers["/in"] = to(f"{other.url}/out")
        other.answers["/out"] = Answer("out")

        reply = GuardedClient(site.guard(f"site.test:{other.port}")).get(
            f"{site.url}/", headers={"Authorization": "Bearer t0ken", "X-Kept": "yes"}
        )

    assert reply.body == b"out"
    within, outside = site.asked[1].headers, other.asked[0].headers
    assert (within["authorization"], within["cookie"]) == ("Bearer t0ken", "session=1")
    assert {"authorization", "cookie"} & set(outside) == set()
    assert outside["x-kept"] == "yes"


@pytest.mark.parametrize(("status", "body"), [(302, b""), (303, b""), (307, b"q=x"), (308, b"q=x")])
def test_a_form_is_sent_again_only_where_it_must_be(site: Site, status: int, body: bytes) -> None:
    site.answers["/"] = to("/next", status)
    site.answers["/next"] = Answer("ok")

    GuardedClient(site.guard()).get(f"{site.url}/", form={"q": "x"})

    assert [asked.body for asked in site.asked] == [b"q=x", body]


def test_proxies_of_the_environment_are_not_used(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.answers["/"] = Answer("direct")

    assert GuardedClient(site.guard()).get(f"{site.url}/").body == b"direct"


def test_a_configured_proxy_is_used_and_decides_where_a_name_leads(site: Site) -> None:
    site.answers["http://example.com/a"] = Answer("through the proxy")

    def resolve(host: str, port: int) -> Sequence[str]:
        raise AssertionError(host)

    client = GuardedClient(AddressGuard(resolve=resolve), proxy=site.local_url)

    assert client.get("http://example.com/a").body == b"through the proxy"
    with pytest.raises(BlockedError):
        client.get("http://127.0.0.1/")
    with pytest.raises(BlockedError):
        client.get("http://example.com:8443/")


def test_a_bomb_stops_at_the_cap_of_decoded_bytes(site: Site) -> None:
    bomb = gzip.compress(b"a" * 50_000_000)
    site.answers["/"] = Answer(bomb, headers={"Content-Encoding": "gzip"})

    reply = GuardedClient(site.guard(), max_bytes=1_000_000).get(f"{site.url}/")

    assert len(bomb) < 100_000
    assert (len(reply.body), reply.is_cut) == (1_000_000, True)


def test_a_body_of_an_unwanted_type_is_not_read(site: Site) -> None:
    site.answers["/"] = Answer(b"\x89PNG" * 100_000, headers={"Content-Type": "image/png"})

    reply = GuardedClient(site.guard()).get(f"{site.url}/", wanted=lambda kind: kind != "image/png")

    assert (reply.status, reply.body, reply.is_unwanted) == (200, b"", True)
    assert reply.content_type == "image/png"


def test_a_site_that_drips_is_left_when_the_time_is_over(site: Site) -> None:
    over = threading.Event()

    def drip() -> Iterator[bytes]:
        while not over.wait(0.05):
            yield b"x"

    site.answers["/"] = Answer(pieces=drip)
    try:
        with pytest.raises(FetchTimeoutError, match=r"0\.5 s"):
            GuardedClient(site.guard(), deadline_s=0.5).get(f"{site.url}/")
    finally:
        over.set()


def test_the_time_is_for_all_redirects_together(site: Site) -> None:
    site.answers["/"] = to("/")
    ticks = iter(range(0, 1000, 4))

    with pytest.raises(FetchTimeoutError):
        GuardedClient(site.guard(), deadline_s=10, clock=lambda: next(ticks)).get(f"{site.url}/")
    assert 1 <= len(site.asked) <= 3


@pytest.mark.parametrize(
    "headers",
    [{"X-Long": "x" * 1_000_000}, {"Content-Encoding": "gzip"}, {"Content-Length": "junk"}],
)
def test_a_broken_answer_is_an_error_that_says_so(site: Site, headers: dict[str, str]) -> None:
    site.answers["/"] = Answer(b"not gzip", headers=headers, pieces=lambda: iter(()))

    with pytest.raises(FetchError) as caught:
        GuardedClient(site.guard()).get(f"{site.url}/")
    assert len(str(caught.value)) < 1_000


def test_a_site_that_is_not_there_is_an_error_that_says_so() -> None:
    with serving() as gone:
        guard, url = gone.guard(), gone.url
    with pytest.raises(FetchError, match="cannot be fetched"):
        GuardedClient(guard).get(f"{url}/")
