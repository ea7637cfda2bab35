"""Pages try to reach what must not be reached; that server never hears of it."""

from __future__ import annotations

import asyncio

import pytest

from autosre_lab.browser.egress import EgressProxy
from autosre_lab.errors import BlockedError
from autosre_lab.web import AddressGuard, AllowList
from tests.browser.conftest import Run, Visitor
from tests.browser.sites import Site

pytestmark = pytest.mark.browser


def test_a_page_full_of_tricks_reaches_nothing(
    visitor: Visitor, evil: Site, evil_other: Site, refused: Site
) -> None:
    told = visitor.goto(f"{evil.url}/attack?other={evil_other.url}")
    assert "Attack" in told
    assert "refused:" in told
    told += visitor.click('button "Open"')
    visitor.do({"action": "wait_for", "value": "0.5"})
    for tab in list(visitor.session.tabs):
        visitor.do({"action": "wait_for", "value": "0.1"}, tab=tab)
    # What was tried did run: the frame of another process and the worker have been asked for.
    assert "/inner-attack" in " ".join(evil_other.hits)
    assert "/worker.js" in evil.hits
    assert refused.hits == []


@pytest.mark.parametrize(
    "spelling",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://127.1:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://0:{port}/",
        "http://①②⑦.0.0.1:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://user@127.0.0.1:{port}/",
        "http://127.0.0.1.:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[64:ff9b::7f00:1]:{port}/",
        "file:///etc/hostname",
        "view-source:http://127.0.0.1:{port}/",
        "chrome://version",
        "javascript:fetch('http://127.0.0.1:{port}/')",
        "data:text/html,<script>fetch('http://127.0.0.1:{port}/')</script>",
    ],
)
def test_every_spelling_of_a_refused_address_is_refused(
    visitor: Visitor, refused: Site, spelling: str
) -> None:
    with pytest.raises(BlockedError):
        visitor.goto(spelling.format(port=refused.port))
    assert refused.hits == []


@pytest.mark.parametrize("path", ["/redirect", "/hop", "/to-metadata"])
def test_a_redirect_to_a_refused_address_is_not_followed(
    visitor: Visitor, evil: Site, refused: Site, path: str
) -> None:
    with pytest.raises(BlockedError, match="must not"):
        visitor.goto(f"{evil.url}{path}")
    assert refused.hits == []


def test_a_redirect_to_a_file_shows_nothing_of_it(visitor: Visitor, evil: Site) -> None:
    with pytest.raises(Exception, match=r"cannot be opened|must not"):
        visitor.goto(f"{evil.url}/to-file")
    assert "root" not in visitor.see()


def test_a_link_to_a_refused_address_is_told(visitor: Visitor, evil: Site, refused: Site) -> None:
    visitor.goto(f"{evil.url}/attack?other={evil.url}")
    told = visitor.click('link "Link"')
    assert "refused:" in told
    assert "loopback" in told
    assert refused.hits == []


def test_the_way_out_connects_to_the_address_that_was_judged(
    run: Run, good: Site, refused: Site
) -> None:
    """A name that first is public and then loopback (DNS rebinding) leads to neither."""
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    names = {"rebinding.test": lambda: next(answers), "good.test": lambda: ["127.0.0.1"]}
    guard = AddressGuard(
        allow=AllowList.parse(f"good.test:{good.port},rebinding.test:{refused.port}"),
        resolve=lambda host, _: names[host](),
    )
    strict = AddressGuard(
        allow=AllowList.parse(f"127.0.0.9:{refused.port}"),
        resolve=lambda host, _: ["127.0.0.1"],
    )

    async def through(guard: AddressGuard, request: bytes) -> bytes:
        async with EgressProxy(guard) as proxy:
            port = int(proxy.url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            answer = await asyncio.wait_for(reader.read(), 10)  # to the end
            writer.close()
            return answer

    plain = f"GET http://good.test:{good.port}/ HTTP/1.1\r\nHost: good.test\r\n\r\n"
    assert b"<h1>Home</h1>" in run(through(guard, plain.encode()))
    tunnel = f"CONNECT rebinding.test:{refused.port} HTTP/1.1\r\nHost: x\r\n\r\n"
    assert b" 403 " in run(through(strict, tunnel.encode())).splitlines()[0]
    request = f"GET http://rebinding.test:{refused.port}/ HTTP/1.1\r\nHost: x\r\n\r\n"
    assert b" 403 " in run(through(strict, request.encode())).splitlines()[0]
    assert refused.hits == []
