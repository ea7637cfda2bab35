"""What an API has to supply so that the proxy speaks it: translation only, no I/O.

The machinery (window, priority, keepalive, re-sends, the request log, the engine) is the same for
every API. It calls a `Dialect` for what a request means, and an `AnswerStream` for how an answer is
written. A new API is a folder beside `messages/` that has these two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from autosre_lab.engine.protocol import ServedModel
from autosre_lab.proxy.chat_stream import ChatChunk, TokenCounts
from autosre_lab.proxy.priority import RequestKind
from autosre_lab.proxy.profile import EngineProfile
from autosre_lab.proxy.refusals import Refusal
from autosre_lab.proxy.resuming import Delivered
from autosre_lab.proxy.web_search import SearchAsk

__all__ = [
    "AnswerStream",
    "Ask",
    "Canned",
    "Client",
    "Dialect",
    "OwnRoute",
    "Page",
    "RequestAnswerer",
    "ServedModels",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks, as far as the client says.

    Attributes:
        session: The conversation; "" where the client names none.
        agent: The subagent; "" for the main one.
    """

    session: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request, as far as the machinery reads it.

    Attributes:
        body: The request as the dialect decoded it; only the dialect looks into it.
        model: The name that the client asked for.
        kind: What it is for.
        stream: The client wants a stream.
        wanted: Tokens of answer asked for; None leaves it to what the window holds.
        messages: Messages in it.
        tools: Tools in it.
        images: It may show images.
        search: What it says of web searches to be made here; None where it asks for none.
        at_most: The most urgent class that who asks may have.
    """

    body: Any
    model: str
    kind: RequestKind = "main"
    stream: bool = False
    wanted: int | None = 1
    messages: int = 0
    tools: int = 0
    images: bool = False
    search: SearchAsk | None = None
    at_most: RequestKind = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Canned:
    """An answer that needs no engine.

    Attributes:
        body: The stream's events, or the whole answer.
        stop_reason: For the request log.
    """

    body: bytes
    stop_reason: str


Page = Callable[[Sequence[ServedModel], Mapping[str, str]], object]
"""Makes a page of what is served (a list of models, one model, a catalogue) from the models and
the variable parts of its path; encoded as JSON. Raises `Refused`."""


class AnswerStream(Protocol):
    """One answer on its way from the engine to the client.

    `start` or the first `feed` opens it, `finish` or `refuse` ends it; each returns the events to
    write. `whole` is the same answer for a client that wanted no stream, after `finish`.
    """

    inside_thinking: bool
    """The prompt ends with an opened `<think>`."""

    @property
    def started(self) -> bool:
        """Its opening has been written."""

    @property
    def first_token_seen(self) -> bool:
        """The engine has produced something of it."""

    @property
    def finish_reason(self) -> str | None:
        """The engine's reason to stop, one that ends an answer; None before it."""

    @property
    def stop_reason(self) -> str | None:
        """The API's own word for why it ended; None before `finish`."""

    @property
    def counts(self) -> TokenCounts:
        """The newest token counts."""

    def start(self, input_tokens: int) -> bytes:
        """Open it before the engine has said anything; nothing if it is open."""

    def keepalive(self) -> bytes:
        """Write what resets the client's watchdog; opens the answer if it is not open."""

    def feed(self, chunk: ChatChunk) -> bytes:
        """Translate one chunk of the engine."""

    def delivered(self) -> Delivered:
        """Return what the client has of it."""

    def rewind(self, *, continuing: bool, inside_thinking: bool = False) -> None:
        """Forget what has not gone out: the engine is asked again, or to continue the text."""

    def end_with_calls(self) -> None:
        """End it behind the whole tool calls that went out."""

    def finish(self) -> bytes:
        """End it; a second call writes nothing."""

    def refuse(self, refusal: Refusal) -> bytes:
        """End it with an error, in the middle."""

    def whole(self) -> bytes:
        """Return the whole answer as JSON, after `finish`."""


class RequestAnswerer(Protocol):
    """The machinery, as a dialect's own routes may use it."""

    def __call__(
        self,
        http: web.Request,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        request_id: str = "",
        events_to: Callable[[Mapping[str, str]], web.StreamResponse] | None = None,
    ) -> Awaitable[web.StreamResponse]:
        """Answer a request as the dialect's `answer_path` does.

        Args:
            http: Who asks.
            body: The request's body; None reads that of `http`.
            headers: What says who asks; None takes those of `http`.
            request_id: Its id; "" makes one.
            events_to: What a stream's events are written to; the HTTP answer by default.
        """


class ServedModels(Protocol):
    """What is served, as a dialect's own routes may ask."""

    async def models(self) -> Sequence[ServedModel]:
        """Return the engine's models."""

    async def sees_images(self) -> bool:
        """Whether they see images."""


OwnRoute = tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]
"""A route that one API has beside those that all have: method, path, handler."""


class Dialect(Protocol):
    """One API that clients speak."""

    name: str
    """For people: "anthropic-messages"."""

    answer_path: str
    """The route that answers (POST)."""

    count_path: str | None
    """The route that counts a prompt (POST), where the API has one."""

    id_header: str
    """The header that tells the client its request's id."""

    pages: Mapping[str, Page]
    """Further routes (GET), as aiohttp writes them: "/v1/models/{model:.+}"."""

    def routes(
        self, answers: RequestAnswerer, served: ServedModels, max_bytes: int
    ) -> Sequence[OwnRoute]:
        """Return the routes that only this API has. `max_bytes`: the largest body taken."""

    async def complete(self, body: bytes) -> bytes:
        """Put in what a request refers to instead of holding it. Raises `BadRequestError`."""

    async def keep(self, ask: Ask, answer: AnswerStream) -> None:
        """Remember an answer, before its end is told, where the API can be asked for it later."""

    async def close(self) -> None:
        """End what outlives a request: the proxy is told to end."""

    def client(self, headers: Mapping[str, str]) -> Client:
        """Tell who asks. Raises `BadRequestError` for a session that is no text."""

    def decode(self, body: bytes, headers: Mapping[str, str], *, counting: bool = False) -> Ask:
        """Decode and check a request. Raises `BadRequestError`."""

    def chat(self, ask: Ask, engine: EngineProfile, *, priority: int) -> dict[str, Any]:
        """Translate a request for the engine, without a limit of the answer."""

    def sent_again(self, body: bytes) -> bytes:
        """Return of a body what two sendings of one request share."""

    def canned(self, ask: Ask, request_id: str) -> Canned | None:
        """Answer without the engine, where that is the right answer."""

    def answer(
        self, ask: Ask, request_id: str, engine: EngineProfile, *, window_limited: bool
    ) -> AnswerStream:
        """Return the translation of the answer. `window_limited`: the limit ends at the window."""

    def count(self, tokens: int) -> object:
        """Return the answer of `count_path`."""

    def error(self, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
        """Return status and body of an error answer."""

    def error_type(self, refusal: Refusal) -> str:
        """Return the API's own word for a refusal, for the request log."""
