"""The proxy over HTTP: its routes, and the one ladder that turns a failure into an answer."""

from __future__ import annotations

import asyncio
import datetime
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
from aiohttp import web

from autosre_lab.logs import get_logger
from autosre_lab.proxy import refusals
from autosre_lab.proxy.config import ProxyConfig
from autosre_lab.proxy.counting import encode_prompt
from autosre_lab.proxy.cross_origin import allow_page, preflight
from autosre_lab.proxy.dialect import Ask, Client, Dialect, Page, RequestAnswerer
from autosre_lab.proxy.exchange import EventStreamOf, Exchange
from autosre_lab.proxy.messages.dialect import MessagesDialect
from autosre_lab.proxy.refusals import BadRequestError, Refusal, Refused, refusal_of_status
from autosre_lab.proxy.request_log import RequestRecord
from autosre_lab.proxy.responses.dialect import ResponsesDialect
from autosre_lab.proxy.running import resend_key
from autosre_lab.proxy.state import ProxyState
from autosre_lab.proxy.upstream import EngineUnreachableError
from autosre_lab.serving.body import BodyError
from autosre_lab.serving.http_server import read_body
from autosre_lab.serving.reach import Denial

__all__ = ["Proxy", "create_app"]

logger = get_logger(__name__)

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that went away; only in our log and metrics, nobody receives it."""

_SHOWN_CHARS = 200
_VERSIONS = re.compile(r"^(?:/v1)+(?=/v1/)")
_SLASHES = re.compile(r"//+")
_VARIABLE = re.compile(r"\{(\w+):([^}]+)\}")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(config: ProxyConfig) -> web.Application:
    """Return the proxy as an aiohttp application.

    It has to be run with `handler_cancellation=True`, as `serve` does: that is how a client that
    goes away ends the engine's work.

    Args:
        config: What it serves and how.

    Raises:
        ConfigError: The request log cannot be written.
    """
    return Proxy(config).app


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    method: str
    text: str
    path: re.Pattern[str]
    handler: Handler
    dialect: Dialect
    open_to_all: bool = False


class Proxy:
    """The routes of all dialects, and what they share.

    Args:
        config: What it serves and how.
        dialects: The APIs that it speaks; errors outside their routes are in the first one's form.

    Attributes:
        app: The aiohttp application.
    """

    def __init__(self, config: ProxyConfig, dialects: Sequence[Dialect] = ()) -> None:
        self._config = config
        self._state = ProxyState(config)
        searches = config.search is not None
        self._dialects: Sequence[Dialect] = dialects or (
            MessagesDialect(searches=searches),
            ResponsesDialect(config.responses_dir, searches=searches),
        )
        self._routes = self._made_routes()
        # The routes as most clients write them; the patterns are for all the others.
        self._plain = {(route.method, route.text): route for route in self._routes}
        self.app = web.Application()
        for method, path in self._plain:
            if "{" not in path:
                self.app.router.add_route(method, path, self._answer, expect_handler=self._expected)
        # Paths that clients write otherwise need fixing first, so one route takes all the others.
        self.app.router.add_route("*", "/{path:.*}", self._answer, expect_handler=self._expected)
        self.app.on_startup.append(self._open)
        self.app.on_shutdown.append(self._drain)
        self.app.on_cleanup.append(self._close)
        if config.origins:
            self.app.on_response_prepare.append(self._allow_page)

    async def _open(self, app: web.Application) -> None:
        await self._state.open()

    async def _drain(self, app: web.Application) -> None:
        await self._state.drain()
        for dialect in self._dialects:
            await dialect.close()

    async def _close(self, app: web.Application) -> None:
        await self._state.close()

    # Routes -------------------------------------------------------------------------------------

    def _made_routes(self) -> list[_Route]:
        main = self._dialects[0]
        routes = [
            _route("GET", "/", self._root, main, open_to_all=True),
            _route("GET", "/health", self._health, main, open_to_all=True),
            _route("GET", "/metrics", self._metrics, main),
            _route("POST", "/warm", self._warm, main),
        ]
        for dialect in self._dialects:
            answers = self._answers(dialect)
            routes.append(_route("POST", dialect.answer_path, answers, dialect))
            if dialect.count_path is not None:
                count = partial(self._count, dialect)
                routes.append(_route("POST", dialect.count_path, count, dialect))
            for path, page in dialect.pages.items():
                routes.append(_route("GET", path, self._page(page, path), dialect))
            own = dialect.routes(answers, self._state, self._config.max_body_bytes)
            routes += [_route(method, path, handler, dialect) for method, path, handler in own]
        # A dialect's own route counts, where it has one for what all have.
        return list({(route.method, route.text): route for route in routes}.values())

    async def _expected(self, request: web.Request) -> web.Response | None:
        """Ask for the body where the client waits to be asked; it expects nothing else."""
        if request.headers.get("expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
            return None
        return self.say_error(Denial(417, "Expect can only be 100-continue"))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Find the route, check who asks, and turn every failure into the dialect's form."""
        path, method = request.path, request.method
        route = self._plain.get((method, path))
        matching: list[_Route] = []
        if route is not None:
            dialect = route.dialect
        else:
            path = plain_path(path)
            method = "GET" if method == "HEAD" else method
            matching = [one for one in self._routes if one.path.fullmatch(path)]
            route = next((one for one in matching if one.method == method), None)
            dialect = matching[0].dialect if matching else self._dialect_of(path)
        if method == "OPTIONS" and "origin" in request.headers:
            return preflight(request, self._config.origins) or self._error(
                dialect, refusals.forbidden("this web page may not ask this server")
            )
        if route is None or not route.open_to_all:
            refusal = self._state.gate.check(
                request.headers, "" if route is None else route.text, dialect
            )
            if refusal is not None:
                return self._error(dialect, refusal)
        if route is None:
            shown = path[:_SHOWN_CHARS].encode("ascii", "replace").decode("ascii")
            if matching:
                return self._error(dialect, refusals.method_not_allowed(request.method, shown))
            return self._error(dialect, refusals.not_found(shown))
        try:
            return await route.handler(request)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            return self._error(dialect, self._refusal(error))

    def _dialect_of(self, path: str) -> Dialect:
        near = (one for one in self._dialects if path.startswith(one.answer_path))
        return next(near, self._dialects[0])

    async def _allow_page(self, request: web.Request, response: web.StreamResponse) -> None:
        allow_page(request, response, self._config.origins)

    # Failures -----------------------------------------------------------------------------------

    def _refusal(self, error: Exception) -> Refusal:
        """The one ladder: from whatever went wrong to what a client is told."""
        if isinstance(error, EngineUnreachableError):
            self._state.profiles.forget()
        if isinstance(error, Refused):
            return error.refusal
        if isinstance(error, BadRequestError):
            return refusals.bad_request(error.message, error.code)
        if isinstance(error, BodyError):
            return denied(error.denial)
        logger.error("a request failed", exc_info=error)
        return refusals.unexpected(type(error).__name__)

    def _error(
        self, dialect: Dialect, refusal: Refusal, record: RequestRecord | None = None
    ) -> web.Response:
        request_id = record.request_id if record is not None else _request_id()
        status, body = dialect.error(refusal, request_id)
        if record is not None:
            record.status = status
            record.error = dialect.error_type(refusal)
        return web.Response(
            status=status,
            body=body,
            content_type="application/json",
            headers={**refusal.headers, dialect.id_header: request_id},
        )

    def say_error(self, denial: Denial) -> web.Response:
        """Answer what is not even a request, in the first dialect's form."""
        return self._error(self._dialects[0], denied(denial))

    # The small routes -----------------------------------------------------------------------------

    async def _root(self, request: web.Request) -> web.Response:
        names = ", ".join(dialect.name for dialect in self._dialects)
        return _json({"name": "autosre_lab proxy", "api": names})

    async def _health(self, request: web.Request) -> web.Response:
        return _json({"status": "ok", "running": len(self._state.running)})

    async def _metrics(self, request: web.Request) -> web.Response:
        self._state.metrics.running.set(len(self._state.running))
        return web.Response(body=self._state.metrics.text(), content_type="text/plain")

    async def _warm(self, request: web.Request) -> web.Response:
        """Have the engine compute how a session begins, unless it has anything else to do."""
        launch = request.query.get("launch", "")
        state = self._state
        begun = False
        if not state.closing and not len(state.running):
            model = (await state.profiles.current(images=False)).model
            begun = state.leading.start(launch, state.upstream, model)
        return _json({"begun": begun})

    def _page(self, page: Page, path: str) -> Handler:
        pattern = _pattern(path)

        async def answer(request: web.Request) -> web.Response:
            found = pattern.fullmatch(plain_path(request.path))
            parts: Mapping[str, str] = found.groupdict() if found else {}
            return _json(page(await self._state.upstream.models(), parts))

        return answer

    # Counting and answering -----------------------------------------------------------------------

    def _count(self, dialect: Dialect, request: web.Request) -> Awaitable[web.StreamResponse]:
        async def counted(ask: Ask, record: RequestRecord, _: float) -> web.StreamResponse:
            record.kind = "count_tokens"
            profile = await self._state.profiles.current(images=ask.images)
            prompt = encode_prompt(dialect.chat(ask, profile, priority=0))
            tokens = await self._state.upstream.count(prompt.tokenize_body())
            record.input_tokens = tokens
            record.status = 200
            return _json(dialect.count(tokens))

        return self._recorded(dialect, request, counted, counting=True)

    def _answers(self, dialect: Dialect) -> RequestAnswerer:
        def answers(
            http: web.Request,
            body: bytes | None = None,
            *,
            headers: Mapping[str, str] | None = None,
            request_id: str = "",
            events_to: EventStreamOf | None = None,
        ) -> Awaitable[web.StreamResponse]:
            def answered(
                ask: Ask, record: RequestRecord, started_s: float
            ) -> Awaitable[web.StreamResponse]:
                return Exchange(
                    self._state, dialect, http, ask, record, started_s, events_to
                ).answer()

            return self._recorded(
                dialect,
                http,
                answered,
                counting=False,
                body=body,
                headers=headers,
                request_id=request_id,
            )

        return answers

    async def _recorded(
        self,
        dialect: Dialect,
        request: web.Request,
        answer: Callable[[Ask, RequestRecord, float], Awaitable[web.StreamResponse]],
        *,
        counting: bool,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> web.StreamResponse:
        """Decode a request and answer it; whatever happens, it leaves its line in the log."""
        started_s = time.perf_counter()
        record = _record("count_tokens" if counting else "main", request_id)
        gate, key = self._state.gate, None
        try:
            key = gate.begin(request.headers, record)
            headers = request.headers if headers is None else headers
            client = _client(dialect, headers)
            record.session, record.agent = client.session, client.agent
            if body is None:
                body = await read_body(request, self._config.max_body_bytes)
            record.bytes_in = len(body)
            body = await dialect.complete(body)
            ask = gate.capped(dialect.decode(body, headers, counting=counting), key)
            record.kind = ask.kind
            record.model = ask.model
            record.stream = ask.stream
            record.messages = ask.messages
            record.tools = ask.tools
            if not counting:
                await self._admit(client, ask, dialect, body, record)
            return await answer(ask, record, started_s)
        except (asyncio.CancelledError, ConnectionError):
            record.disconnected = not self._state.closing
            record.status = record.status or CLIENT_CLOSED_REQUEST
            self._state.metrics.disconnects.inc()
            raise
        except Exception as error:
            return self._error(dialect, self._refusal(error), record)
        finally:
            record.total_ms = round((time.perf_counter() - started_s) * 1e3, 3)
            self._state.metrics.requests(record.kind, record.status).inc()
            self._state.log.add(record)
            gate.end(key, record)

    async def _admit(
        self, client: Client, ask: Ask, dialect: Dialect, body: bytes, record: RequestRecord
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler runs in one
        if self._state.closing:
            raise Refused(refusals.closing())
        running = self._state.running
        key = resend_key(client, dialect.sent_again(body)) if client.session else None
        if key is not None and await running.replace(key, task):
            record.resend = True
            self._state.metrics.resends.inc()
        if not running.admits(ask.kind):
            raise Refused(refusals.full(ask.kind, len(running)))
        running.add(task)
        await self._state.leading.give_way()


def plain_path(path: str) -> str:
    """Return a request's path as the routes are written.

    A base URL may end in a slash or in `/v1`, and then its client asks for `//v1/messages` or
    `/v1/v1/messages`.
    """
    path = _VERSIONS.sub("", _SLASHES.sub("/", path))
    return path.rstrip("/") or "/"


def denied(denial: Denial) -> Refusal:
    """Return what the gate before us said as a refusal."""
    return refusal_of_status(denial.status, denial.message)


def _route(
    method: str, path: str, handler: Handler, dialect: Dialect, *, open_to_all: bool = False
) -> _Route:
    return _Route(
        method=method,
        text=path,
        path=_pattern(path),
        handler=handler,
        dialect=dialect,
        open_to_all=open_to_all,
    )


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(_VARIABLE, path)
    # split gives text, name, pattern, text, name, pattern, …
    return re.compile(
        "".join(
            re.escape(parts[at]) if at % 3 == 0 else f"(?P<{parts[at]}>{parts[at + 1]})"
            for at in range(len(parts))
            if at % 3 != 2
        )
    )


def _client(dialect: Dialect, headers: Mapping[str, str]) -> Client:
    client = dialect.client(headers)
    for what, value in (("session", client.session), ("agent", client.agent)):
        if value and not (value.isascii() and value.isprintable()):
            raise BadRequestError(f"the header that names the {what} is not plain ASCII text")
    return Client(session=client.session[:_SHOWN_CHARS], agent=client.agent[:_SHOWN_CHARS])


def _record(kind: str, request_id: str) -> RequestRecord:
    now = datetime.datetime.now(datetime.UTC)
    return RequestRecord(
        time=now.isoformat(timespec="milliseconds"),
        request_id=request_id or _request_id(),
        kind=kind,
    )


def _request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
