"""The Anthropic Messages API over HTTP, in front of one vLLM."""

from __future__ import annotations

import asyncio
import datetime
import secrets
import time
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from autosre_lab.logs import get_logger
from autosre_lab.proxy import failures
from autosre_lab.proxy.access import check_access
from autosre_lab.proxy.config import ProxyConfig
from autosre_lab.proxy.counting import KnownPrompts, encode_prompt
from autosre_lab.proxy.exchange import Exchange, ExchangeFailed, header
from autosre_lab.proxy.failures import Failure
from autosre_lab.proxy.messages.chat_request import to_chat_request
from autosre_lab.proxy.messages.request import BadRequestError, decode_request
from autosre_lab.proxy.metrics import ProxyMetrics
from autosre_lab.proxy.prefix_memory import PrefixMemory
from autosre_lab.proxy.priority import AGENT_HEADER, SESSION_HEADER, RequestKind, classify
from autosre_lab.proxy.probe import ProfileSource
from autosre_lab.proxy.request_log import RequestLog, RequestRecord
from autosre_lab.proxy.running import RunningRequests, resend_key
from autosre_lab.proxy.upstream import EngineUnreachableError, TemplateRejectedError, Upstream

__all__ = ["Proxy", "create_app"]

logger = get_logger(__name__)

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that went away; only in our log and metrics, nobody receives it."""

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


class Proxy:
    """The routes and what they share.

    Attributes:
        config: What it was told.
        upstream: The engine.
        profiles: What the engine allows.
        known: Exact counts of earlier prompts.
        prefixes: How earlier prompts began.
        metrics: Its Prometheus metrics.
        closing: It was told to end.
    """

    def __init__(self, config: ProxyConfig) -> None:
        self.config = config
        self.upstream = Upstream(config.upstream, connect_timeout_s=config.connect_timeout_s)
        self.profiles = ProfileSource(self.upstream, ttl_s=config.profile_ttl_s)
        self.known = KnownPrompts()
        self.prefixes = PrefixMemory()
        self.metrics = ProxyMetrics()
        self.closing = False
        self._running = RunningRequests(config.max_running)
        self._log = RequestLog(config.request_log, max_bytes=config.request_log_bytes)
        self.app = web.Application(client_max_size=config.max_body_bytes + 1)
        self.app.router.add_get("/", self._guarded(self._root, open_to_all=True))
        self.app.router.add_get("/health", self._guarded(self._health, open_to_all=True))
        self.app.router.add_get("/metrics", self._guarded(self._metrics))
        self.app.router.add_get("/v1/models", self._guarded(self._models))
        self.app.router.add_get("/v1/models/{model:.+}", self._guarded(self._model))
        self.app.router.add_post("/v1/messages", self._guarded(self._messages))
        self.app.router.add_post("/v1/messages/count_tokens", self._guarded(self._count_tokens))
        self.app.router.add_route("*", "/{path:.*}", self._guarded(self._unknown))
        self.app.on_startup.append(self._open)
        self.app.on_shutdown.append(self._drain)
        self.app.on_cleanup.append(self._close)

    # Life ---------------------------------------------------------------------------------------

    async def _open(self, app: web.Application) -> None:
        await self.upstream.open()

    async def _drain(self, app: web.Application) -> None:
        self.closing = True
        await self._running.drain(self.config.shutdown_grace_s)

    async def _close(self, app: web.Application) -> None:
        await self.profiles.close()
        await self.upstream.close()
        self._log.close()

    def _guarded(self, handler: Handler, *, open_to_all: bool = False) -> Handler:
        """Check the token and turn every failure into Anthropic's shape."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if not open_to_all:
                refused = check_access(request.headers, self.config.token)
                if refused is not None:
                    return _error(refused, _request_id())
            try:
                return await handler(request)
            except ExchangeFailed as error:
                return _error(error.failure, _request_id())
            except EngineUnreachableError as error:
                return _error(error.failure, _request_id())
            except BadRequestError as error:
                return _error(failures.bad_request(error.message), _request_id())
            except web.HTTPRequestEntityTooLarge:
                return _error(failures.too_large(self.config.max_body_bytes), _request_id())
            except (asyncio.CancelledError, ConnectionError):
                raise
            except Exception as error:
                logger.exception("%s %s failed", request.method, request.path)
                return _error(failures.unexpected(type(error).__name__), _request_id())

        return guarded

    # The small routes -----------------------------------------------------------------------------

    async def _root(self, request: web.Request) -> web.Response:
        return _json({"name": "autosre_lab proxy", "api": "anthropic-messages"})

    async def _health(self, request: web.Request) -> web.Response:
        return _json({"status": "ok", "running": len(self._running)})

    async def _metrics(self, request: web.Request) -> web.Response:
        self.metrics.running.set(len(self._running))
        return web.Response(body=self.metrics.text(), content_type="text/plain")

    async def _models(self, request: web.Request) -> web.Response:
        cards = [_card(model.id, model.max_model_len) for model in await self.upstream.models()]
        return _json(
            {
                "object": "list",
                "data": cards,
                "has_more": False,
                "first_id": cards[0]["id"],
                "last_id": cards[-1]["id"],
            }
        )

    async def _model(self, request: web.Request) -> web.Response:
        served = (await self.upstream.models())[0]
        return _json(_card(request.match_info["model"], served.max_model_len))

    async def _unknown(self, request: web.Request) -> web.Response:
        known = {"/v1/messages", "/v1/messages/count_tokens", "/v1/models", "/health", "/metrics"}
        if request.path in known:
            failure = failures.method_not_allowed(request.method, request.path)
        else:
            failure = failures.not_found(request.path)
        return _error(failure, _request_id())

    # Counting -------------------------------------------------------------------------------------

    async def _count_tokens(self, request: web.Request) -> web.StreamResponse:
        started_s = time.perf_counter()
        record = _record(request, "count_tokens")
        try:
            body = await request.read()
            decoded = decode_request(body, counting=True)
            record.model = decoded.model
            record.bytes_in = len(body)
            record.messages = len(decoded.messages)
            record.tools = len(decoded.tools or ())
            profile = await self.profiles.current()
            prompt = encode_prompt(to_chat_request(decoded, profile, max_tokens=None))
            try:
                tokens = await self.upstream.count(prompt.tokenize_body())
            except TemplateRejectedError as error:
                raise ExchangeFailed(failures.bad_request(str(error))) from error
            record.input_tokens = tokens
            record.status = 200
            return _json({"input_tokens": tokens})
        except EngineUnreachableError as error:
            self.profiles.forget()
            return self._failed(error.failure, record)
        except ExchangeFailed as error:
            return self._failed(error.failure, record)
        except BadRequestError as error:
            return self._failed(failures.bad_request(error.message), record)
        finally:
            self._finish(record, started_s)

    # Messages -------------------------------------------------------------------------------------

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        started_s = time.perf_counter()
        record = _record(request, "main")
        try:
            body = await request.read()
            record.bytes_in = len(body)
            decoded = decode_request(body)
            kind: RequestKind = classify(request.headers, decoded)
            record.kind = kind
            record.model = decoded.model
            record.stream = bool(decoded.stream)
            record.messages = len(decoded.messages)
            record.tools = len(decoded.tools or ())
            await self._admit(request, kind, body, record)
            return await Exchange(self, request, decoded, record, started_s).answer()
        except ExchangeFailed as error:
            return self._failed(error.failure, record)
        except BadRequestError as error:
            return self._failed(failures.bad_request(error.message), record)
        except web.HTTPRequestEntityTooLarge:
            return self._failed(failures.too_large(self.config.max_body_bytes), record)
        except (asyncio.CancelledError, ConnectionError):
            record.disconnected = not self.closing
            record.status = record.status or CLIENT_CLOSED_REQUEST
            self.metrics.disconnects.inc()
            raise
        except Exception as error:
            logger.exception("request %s failed", record.request_id)
            return self._failed(failures.unexpected(type(error).__name__), record)
        finally:
            self._finish(record, started_s)

    async def _admit(
        self, request: web.Request, kind: RequestKind, body: bytes, record: RequestRecord
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler runs in one
        if self.closing:
            raise ExchangeFailed(failures.shutting_down())
        key = resend_key(request.headers, body)
        if key is not None and await self._running.replace(key, task):
            record.resend = True
            self.metrics.resends.inc()
        if not self._running.admits(kind):
            raise ExchangeFailed(failures.full(kind, len(self._running)))
        self._running.add(task)

    def _failed(self, failure: Failure, record: RequestRecord) -> web.Response:
        record.status = failure.status
        record.error = failure.type
        return _error(failure, record.request_id)

    def _finish(self, record: RequestRecord, started_s: float) -> None:
        record.total_ms = round((time.perf_counter() - started_s) * 1e3, 3)
        self.metrics.requests.labels(record.kind, record.status).inc()
        self._log.add(record)


def _record(request: web.Request, kind: str) -> RequestRecord:
    now = datetime.datetime.now(datetime.UTC)
    return RequestRecord(
        time=now.isoformat(timespec="milliseconds"),
        request_id=_request_id(),
        session=header(request.headers, SESSION_HEADER),
        agent=header(request.headers, AGENT_HEADER),
        kind=kind,
    )


def _request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")


def _error(failure: Failure, request_id: str) -> web.Response:
    return web.Response(
        status=failure.status,
        body=failures.error_body(failure, request_id),
        content_type="application/json",
        headers={**failure.headers, "request-id": request_id},
    )


def _card(model: str, max_model_len: int) -> dict[str, object]:
    """Describe a model so that both Anthropic's and OpenAI's clients can read it."""
    return {
        "type": "model",
        "id": model,
        "display_name": model,
        "created_at": "1970-01-01T00:00:00Z",
        "object": "model",
        "created": 0,
        "owned_by": "autosre",
        "max_model_len": max_model_len,
    }
