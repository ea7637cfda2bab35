"""Serves chat completions at the pace of a machine that is made up."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from autosre_lab.scripted.answers import answer_to
from autosre_lab.scripted.chat_engine import chunks_of, engine_error, token_ids
from autosre_lab.scripted.prefix_cache import PrefixCache
from autosre_lab.scripted.series import Series

__all__ = ["Pace", "ScriptedEngine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast the machine that there is not works.

    Attributes:
        prefill_tps: Prompt tokens a second.
        step_s: Seconds that a step takes beside that.
        token_s: Seconds from one token to the next of a request that is alone.
        crowd: By how much each further running request slows that.
    """

    prefill_tps: float = 6000.0
    step_s: float = 0.004
    token_s: float = 0.012
    crowd: float = 0.08

    def times_faster(self, factor: float) -> Pace:
        """Return the pace of a machine that does everything so many times as fast."""
        return replace(
            self,
            prefill_tps=self.prefill_tps * factor,
            step_s=self.step_s / factor,
            token_s=self.token_s / factor,
        )


class ScriptedEngine:
    """vLLM's routes, as far as the proxy, the benchmarks and the dashboards use them.

    Args:
        model: The served name.
        max_model_len: The window; a longer prompt is refused in vLLM's words.
        max_num_seqs: Requests that run at a time; others wait.
        step_tokens: Prompt tokens of a step; while one runs, no token is generated.
        prefix_caching: Keep blocks of prompts.
        pace: The machine.
        api_key: What clients of `/v1` have to show, as with vLLM; empty for nothing.
    """

    def __init__(
        self,
        model: str,
        *,
        max_model_len: int = 32_768,
        max_num_seqs: int = 8,
        step_tokens: int = 2048,
        prefix_caching: bool = True,
        pace: Pace | None = None,
        api_key: str = "",
    ) -> None:
        self.model = model
        self.max_model_len = max_model_len
        self.step_tokens = max(1, step_tokens)
        self.pace = pace or Pace()
        self.cache = PrefixCache(blocks=4096 if prefix_caching else 0, block_tokens=16)
        self.series = Series(model, self._cache_config(prefix_caching=prefix_caching))
        self._api_key = api_key
        self._slots = asyncio.Semaphore(max_num_seqs)
        self._computing = asyncio.Lock()
        self._running = self._waiting = self._number = 0

    @property
    def app(self) -> web.Application:
        """The routes, to be run with `handler_cancellation`."""
        app = web.Application(client_max_size=64 * 1024**2, middlewares=[self._guarded])
        app.router.add_get("/health", self._health)
        app.router.add_get("/version", self._version)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        shown = request.headers.get("authorization", "")
        wanted = f"Bearer {self._api_key}"
        if self._api_key and request.path.startswith("/v1") and shown != wanted:
            return web.json_response({"error": "Unauthorized"}, status=401)
        return await handler(request)

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "scripted"})

    async def _metrics(self, request: web.Request) -> web.Response:
        self._level()
        return web.Response(body=self.series.text(), content_type="text/plain")

    async def _models(self, request: web.Request) -> web.Response:
        card = {"id": self.model, "object": "model", "owned_by": "script", "created": 1}
        card |= {"root": self.model, "max_model_len": self.max_model_len}
        return web.json_response({"object": "list", "data": [card]})

    async def _tokenize(self, request: web.Request) -> web.Response:
        ids = token_ids(await request.json())
        told = {"count": len(ids), "max_model_len": self.max_model_len, "tokens": ids}
        return web.json_response(told)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = await request.json()
        arrived = time.perf_counter()
        ids = token_ids(body)
        if len(ids) >= self.max_model_len:
            return engine_error(
                400,
                f"This model's maximum context length is {self.max_model_len} tokens. However, "
                f"your prompt contains {len(ids)} input tokens.",
            )
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        self._running += 1
        try:
            return await self._answer(request, body, ids, arrived)
        finally:
            self._running -= 1
            self._slots.release()

    async def _answer(
        self, request: web.Request, body: Mapping[str, Any], ids: list[int], arrived: float
    ) -> web.StreamResponse:
        began = time.perf_counter()
        hit = await self._prefill(ids)
        first = time.perf_counter()
        self.series.observe(
            request_queue_time_seconds=began - arrived,
            request_prefill_time_seconds=first - began,
            time_to_first_token_seconds=first - arrived,
        )
        self._number += 1
        turn = replace(answer_to(body, self._number), cached_tokens=hit)
        response: web.StreamResponse | None = None
        if body.get("stream"):
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
        sent: list[dict[str, Any]] = []
        generated = 0
        for chunk in chunks_of(turn, prompt_tokens=len(ids)):
            if chunk["choices"] and _text_of(chunk):
                if len(ids) + generated >= self.max_model_len:
                    continue
                if generated:
                    await self._token()
                generated += 1
                self.series.step(self._running, 1)
            usage = {**chunk["usage"], "completion_tokens": generated}
            sent.append({"id": "chatcmpl-1", "model": self.model, **chunk, "usage": usage})
            if response is not None:
                await response.write(f"data: {json.dumps(sent[-1])}\n\n".encode())
        self._ended(arrived, first, generated, turn.finish_reason or "stop")
        if response is None:
            return web.json_response(_whole(sent))
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def _prefill(self, ids: list[int]) -> int:
        """Compute a prompt step by step; tokens of others wait meanwhile."""
        hit = self.cache.hit(ids)
        self.series.prompt(len(ids), hit)
        for at in range(hit, len(ids), self.step_tokens):
            tokens = min(self.step_tokens, len(ids) - at)
            async with self._computing:
                await asyncio.sleep(self.pace.step_s + tokens / self.pace.prefill_tps)
            self.series.step(tokens, 0)
        self.cache.keep(ids)
        return hit

    async def _token(self) -> None:
        pause_s = self.pace.token_s * (1 + self.pace.crowd * (self._running - 1))
        await asyncio.sleep(pause_s)
        async with self._computing:
            self.series.observe(inter_token_latency_seconds=pause_s)

    def _ended(self, arrived: float, first: float, generated: int, reason: str) -> None:
        now = time.perf_counter()
        self.series.end(reason, generated)
        self.series.observe(
            e2e_request_latency_seconds=now - arrived,
            request_decode_time_seconds=now - first,
            request_inference_time_seconds=now - first,
            request_time_per_output_token_seconds=(now - first) / max(1, generated - 1),
        )

    def _level(self) -> None:
        usage = len(self.cache) / self.cache.blocks if self.cache.blocks and self._running else 0.0
        self.series.level(running=self._running, waiting=self._waiting, usage=usage)

    def _cache_config(self, *, prefix_caching: bool) -> dict[str, str]:
        size, blocks = self.cache.block_tokens, self.cache.blocks
        return {
            "block_size": str(size),
            "enable_prefix_caching": str(prefix_caching),
            "num_gpu_blocks": str(blocks),
            "kv_cache_size_tokens": str(size * blocks),
        }


def _text_of(chunk: Mapping[str, Any]) -> object:
    delta = chunk["choices"][0]["delta"]
    return delta.get("content") or delta.get("tool_calls")


def _whole(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The chunks as one answer; calls of tools are only ever asked for in streams here."""
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    text = "".join(str(choice["delta"].get("content") or "") for choice in choices)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": choices[-1]["finish_reason"],
    }
    last = {name: chunks[-1][name] for name in ("id", "model", "usage")}
    return {**last, "object": "chat.completion", "choices": [choice]}
