"""Searches for a server in a process of its own, which holds none of the server's secrets.

The proxy is asked for searches by whoever it serves, and what comes back is the web's: it is parsed
here, beside the proxy's streams and without its keys. What the process is told and answers is one
line of JSON each.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import resource
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

from autosre_lab.errors import AutosreError
from autosre_lab.web.request_rules import SearchOutcome, SearchRules
from autosre_lab.web.search_results import SearchResult

__all__ = ["SearchProcess", "serve"]

MEMORY_BYTES = 2 * 1024**3
MOST_WAITING = 32
"""Searches under way at a time; they are made one after the other."""
LONGEST_S = 60.0
"""Seconds until the process is given up; it answers within 45 by itself."""
LONGEST_LINE = 4 * 1024**2

_MODULE = "autosre_lab.web.search_process"
_NEEDED = ("curl_cffi", "idna", "lxml", "lxml_html_clean")


class SearchProcess:
    """Searches in another process, which starts with the first search and ends with its owner."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0

    @property
    def pid(self) -> int | None:
        """The process; None where none runs."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    @staticmethod
    def is_installed() -> bool:
        """Whether the packages of the `web` extra are here."""
        return all(importlib.util.find_spec(name) is not None for name in _NEEDED)

    async def search(self, query: object, rules: SearchRules, *, used: int = 0) -> SearchOutcome:
        """Answer one search; a failure is an outcome and never raised.

        Args:
            query: What the model asked.
            rules: What the request allows.
            used: Searches that the request has made before.
        """
        text = query if isinstance(query, str) else ""
        if len(self._asked) >= MOST_WAITING:
            return SearchOutcome(
                query=text, code="too_many_requests", message="too many searches are under way"
            )
        try:
            async with asyncio.timeout(LONGEST_S):
                answer = await self._answer({"query": query, "rules": asdict(rules), "used": used})
        except TimeoutError:
            await self.close()  # it would have answered by itself
            why = f"no answer after {LONGEST_S:g} s"
        except (OSError, EOFError) as error:
            why = f"the process that searches ended ({error})"
        else:
            results = tuple(SearchResult(**one) for one in answer.pop("results"))
            return SearchOutcome(**answer, results=results)
        return SearchOutcome(query=text, code="unavailable", message=why)

    async def close(self) -> None:
        """End the process; the next search starts another."""
        process, self._process = self._process, None
        reader, self._reader = self._reader, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        self._fail_all(EOFError("it was ended"))

    async def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        process = await self._running()
        assert process.stdin is not None  # noqa: S101 - asked for
        self._last += 1
        number = self._last
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        try:
            process.stdin.write(json.dumps({"id": number, **asked}).encode() + b"\n")
            await process.stdin.drain()
            return await future
        finally:
            self._asked.pop(number, None)

    async def _running(self) -> asyncio.subprocess.Process:
        from autosre_lab.web.environment import web_environment  # reads settings: not in each image

        async with self._starting:
            process = self._process
            if process is None or process.returncode is not None:
                process = self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-c", f"from {_MODULE} import serve; serve()"),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    env=web_environment(os.environ),
                    start_new_session=True,  # Ctrl-C is for its owner, with whom it ends
                    limit=LONGEST_LINE,
                )
                self._reader = asyncio.create_task(self._read(process))
            return process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - asked for
        try:
            while line := await process.stdout.readline():
                answer = json.loads(line)
                future = self._asked.get(answer.pop("id"))
                if future is not None and not future.done():
                    future.set_result(answer)
        except ValueError:  # a line without an end, or no JSON: it cannot be trusted to go on
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        self._fail_all(EOFError(f"exit status {process.returncode}"))

    def _fail_all(self, error: Exception) -> None:
        for future in self._asked.values():
            if not future.done():
                future.set_exception(error)


def serve() -> None:
    """Answer searches from standard input until it ends; the other side of `SearchProcess`."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what a library prints is no answer
    asyncio.run(_serve(answers))


async def _serve(answers: IO[bytes]) -> None:
    from autosre_lab.settings import load_settings
    from autosre_lab.web.search_requests import answer_searches
    from autosre_lab.web.web_search import WebSearch

    search: WebSearch | None = None
    why = ""
    try:
        search = WebSearch.from_settings(load_settings())
    except AutosreError as error:
        why = str(error)

    async def answer(asked: dict[str, Any]) -> None:
        query, rules = asked["query"], SearchRules(**asked["rules"])
        if search is None:
            text = query if isinstance(query, str) else ""
            outcome = SearchOutcome(query=text, code="unavailable", message=why)
        else:
            (outcome,) = await answer_searches([query], rules, search=search, used=asked["used"])
        answers.write(json.dumps({"id": asked["id"], **asdict(outcome)}).encode() + b"\n")
        answers.flush()

    tasks: set[asyncio.Task[None]] = set()
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        task = asyncio.create_task(answer(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    os._exit(0)  # a search that still runs in a thread has nobody to answer
