"""The one HTTP client here: it connects to what the guard has checked, and stops in time.

curl as curl_cffi builds it speaks like a browser, and by itself also opens ``file:`` and
``dict:`` URLs, follows redirects anywhere and obeys proxies of the environment. All of that is
off: one hop at a time, each checked, each connection pinned to checked addresses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urljoin

from autosre_lab.errors import (
    AutosreError,
    BlockedError,
    FetchError,
    FetchTimeoutError,
    MissingExtraError,
)
from autosre_lab.web.address_guard import AddressGuard, CheckedUrl, shown_url
from autosre_lab.web.addresses import parse_address
from autosre_lab.web.hygiene import one_line

if TYPE_CHECKING:
    from curl_cffi import CurlOpt
    from curl_cffi.requests import Response, Session

__all__ = ["GuardedClient", "Reply"]

DEADLINE_S = 20.0
"""Seconds for all hops of one request together."""
MAX_BYTES = 5_000_000
"""Bytes of a body, after decompression."""
MAX_REDIRECTS = 5
CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ABORT = 0xFFFFFFFF
"""What a curl write callback returns to end the transfer."""
_AS_BROWSER: Literal["chrome"] = "chrome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a site answered in the end.

    Attributes:
        url: The URL that answered, after redirects.
        status: HTTP status code.
        headers: Header fields by name in small letters; of repeated ones the last.
        body: The body, decompressed; empty where it was not wanted.
        is_cut: Whether the body is longer than the client takes.
        is_unwanted: Whether the body was not read, for its content type.
        redirects: The URLs that led here, in order.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    is_cut: bool = False
    is_unwanted: bool = False
    redirects: tuple[str, ...] = ()

    @property
    def content_type(self) -> str:
        """The media type in small letters, without parameters; empty where none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class GuardedClient:
    """Fetches what an `AddressGuard` lets through.

    Args:
        guard: Judges every URL, redirects included.
        proxy: A proxy that a person has configured; then it resolves names and decides what is
            reached, and only the URL's form is judged here. Proxies of the environment are not
            used.
        deadline_s: Seconds for one request with all its redirects.
        max_bytes: Bytes of a body after decompression; the rest is left.
        clock: Seconds on a clock that only goes forward.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        proxy: str = "",
        deadline_s: float = DEADLINE_S,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._guard = guard
        self._proxy = proxy
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._clock = clock

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        wanted: Callable[[str], bool] | None = None,
        permit: Callable[[str], None] | None = None,
        follow: bool = True,
        max_bytes: int | None = None,
    ) -> Reply:
        """Fetch a URL, following at most five redirects. Blocks; call it in a thread.

        Args:
            url: What to fetch.
            headers: Further header fields; credentials among them stay with the first origin.
            form: Fields to POST; a GET is sent when not given.
            wanted: Says by content type whether a body is read at all.
            permit: Asked with every URL, redirects included, before it is fetched; raises where
                it must not be.
            follow: Whether redirects are followed, or returned as they are.
            max_bytes: Bytes of the body, where it shall be fewer than the client's.

        Raises:
            BlockedError: The URL, or a redirect, leads where it must not.
            FetchTimeoutError: It took too long.
            FetchError: The site cannot be reached, or does not speak HTTP as it should.
        """
        ends_at = self._clock() + self._deadline_s
        fields = {name.lower(): value for name, value in (headers or {}).items()}
        cookies: dict[str, str] = {}
        passed: list[str] = []
        target = self._check(url)
        for _ in range(MAX_REDIRECTS + 1):
            if permit is not None:
                permit(target.url)
            hop = self._hop(target, fields, cookies, form, wanted, max_bytes, ends_at)
            location = hop.reply.headers.get("location")
            if not follow or hop.reply.status not in _REDIRECTS or not location:
                return Reply(
                    url=target.url,
                    status=hop.reply.status,
                    headers=hop.reply.headers,
                    body=hop.reply.body,
                    is_cut=hop.reply.is_cut,
                    is_unwanted=hop.reply.is_unwanted,
                    redirects=tuple(passed),
                )
            passed.append(target.url)
            following = self._check_redirect(target, location)
            cookies.update(hop.cookies)
            if following.origin != target.origin:
                fields = {name: value for name, value in fields.items() if name not in CREDENTIALS}
                cookies = {}
            if form is not None and (
                hop.reply.status not in (307, 308) or following.origin != target.origin
            ):
                form = None
            target = following
        raise FetchError(
            f"{shown_url(url)} redirects more than {MAX_REDIRECTS} times",
            remedy=f"fetch where it was going: {shown_url(target.url)}",
        )

    def _check(self, url: str) -> CheckedUrl:
        return self._guard.check_form(url) if self._proxy else self._guard.check(url)

    def _check_redirect(self, origin: CheckedUrl, location: str) -> CheckedUrl:
        # Header bytes come as Latin-1 or UTF-8; a URL's own characters are ASCII in both.
        try:
            following = urljoin(origin.url, location.strip())
        except ValueError:
            following = location
        try:
            return self._check(following)
        except BlockedError as error:
            raise BlockedError(
                f"{shown_url(origin.url)} redirects to what is refused: {error.message}",
                remedy=error.remedy,
                url=error.url,
                reason=error.reason,
            ) from error

    def _hop(
        self,
        target: CheckedUrl,
        fields: Mapping[str, str],
        cookies: Mapping[str, str],
        form: Mapping[str, str] | None,
        wanted: Callable[[str], bool] | None,
        max_bytes: int | None,
        ends_at: float,
    ) -> _Hop:
        remaining_s = ends_at - self._clock()
        if remaining_s <= 0:
            raise self._too_late(target)
        try:
            from curl_cffi.requests import Session
        except ImportError as error:
            raise MissingExtraError("reading the web", extra="web") from error
        sink = _Sink(wanted, self._max_bytes if max_bytes is None else max_bytes)
        options = _curl_options(target, pinned=not self._proxy)
        with Session[Any](
            trust_env=False,
            allow_redirects=False,
            impersonate=_AS_BROWSER,
            proxy=self._proxy or None,
            curl_options=options,
            use_thread_local_curl=False,
        ) as session:
            sink.session = session
            try:
                answer: Response = session.request(
                    "GET" if form is None else "POST",
                    target.url,
                    headers=dict(fields),
                    cookies=dict(cookies),
                    data=None if form is None else dict(form),
                    timeout=remaining_s,
                    content_callback=sink,
                    # Over plain HTTP curl would offer an upgrade to HTTP/2, which no browser does.
                    http_version="v1" if target.scheme == "http" else None,
                    # As it is: the guard has written the URL, and curl must not rewrite it.
                    quote=False,
                )
            except Exception as error:
                answer = self._despite(error, sink, target)
        self._verify_peer(answer, target)
        return _Hop(
            Reply(
                url=target.url,
                status=answer.status_code,
                headers={name.lower(): value or "" for name, value in answer.headers.items()},
                body=bytes(sink.body),
                is_cut=sink.is_cut,
                is_unwanted=sink.is_unwanted,
            ),
            {cookie.name: cookie.value or "" for cookie in answer.cookies.jar},
        )

    def _despite(self, error: Exception, sink: _Sink, target: CheckedUrl) -> Response:
        """Return the answer of a transfer that we ended ourselves; raise for any other failure."""
        from curl_cffi.requests.exceptions import RequestException, SSLError, Timeout

        if not isinstance(error, RequestException):
            raise error
        answer: Response | None = error.response
        if answer is not None and (sink.is_cut or sink.is_unwanted):
            return answer
        shown = shown_url(target.url)
        if isinstance(error, Timeout):
            raise self._too_late(target) from error
        if isinstance(error, SSLError):
            raise FetchError(
                f"{shown}: no trusted TLS connection ({_reason(error)})",
                remedy="another source; certificates are not ignored here",
            ) from error
        raise FetchError(
            f"{shown} cannot be fetched ({_reason(error)})",
            remedy="check the address, try again later, or use another source",
        ) from error

    def _too_late(self, target: CheckedUrl) -> AutosreError:
        return FetchTimeoutError(
            f"{shown_url(target.url)} was not there after {self._deadline_s:g} s",
            remedy="try again later, or use another source",
        )

    def _verify_peer(self, answer: Response, target: CheckedUrl) -> None:
        """Make sure that the connection went to a checked address: pinning must have worked."""
        if self._proxy or not answer.primary_ip:
            return
        peer = str(parse_address(answer.primary_ip))
        if peer not in target.addresses:
            raise BlockedError(
                f"{shown_url(target.url)} is refused: the connection went to {peer}, "
                "an address that was not checked",
                remedy="use another source",
                url=shown_url(target.url),
                reason="the connection went to an address that was not checked",
            )


@dataclass(frozen=True, slots=True)
class _Hop:
    reply: Reply
    cookies: dict[str, str]


class _Sink:
    """Takes a body piece by piece, as far as it is wanted."""

    def __init__(self, wanted: Callable[[str], bool] | None, max_bytes: int) -> None:
        self.session: Session[Any] | None = None
        self.body = bytearray()
        self.is_cut = False
        self.is_unwanted = False
        self._wanted = wanted
        self._max_bytes = max_bytes
        self._begun = False

    def __call__(self, chunk: bytes) -> int:
        if not self._begun and self._wanted is not None and self.session is not None:
            self._begun = True
            if not self._wanted(_content_type(self.session)):
                self.is_unwanted = True
                return _ABORT
        room = self._max_bytes - len(self.body)
        self.body += chunk[:room]
        if len(chunk) > room:
            self.is_cut = True
            return _ABORT
        return len(chunk)


def _content_type(session: Session[Any]) -> str:
    from curl_cffi import CurlInfo

    told = session.curl.getinfo(CurlInfo.CONTENT_TYPE)
    text = told.decode("latin-1") if isinstance(told, bytes) else ""
    return text.partition(";")[0].strip().lower()


def _curl_options(target: CheckedUrl, *, pinned: bool) -> dict[CurlOpt, Any]:
    from curl_cffi import CurlOpt

    options: dict[CurlOpt, Any] = {
        CurlOpt.PROTOCOLS_STR: b"http,https",
        CurlOpt.REDIR_PROTOCOLS_STR: b"http,https",
        CurlOpt.PATH_AS_IS: 1,
    }
    if pinned:
        options[CurlOpt.NOPROXY] = b"*"
        addresses = ",".join(f"[{one}]" if ":" in one else one for one in target.addresses)
        if ":" not in target.host:
            options[CurlOpt.RESOLVE] = [f"{target.host}:{target.port}:{addresses}".encode()]
    return options


def _reason(error: Exception) -> str:
    # curl's sentence, without its link to a page of error codes.
    return one_line(str(error.args[0] if error.args else error).partition(" See ")[0], 200)
