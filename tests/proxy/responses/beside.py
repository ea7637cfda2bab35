"""The same public cases, asked of others: vLLM's own endpoint, and agentic-api in front of it.

`python -m tests.proxy.responses.beside` starts vLLM on the CPU (its store of responses switched
on), asks it and agentic-api, writes `beside.json` and `docs/responses.md`. A model chooses what it
answers, so only form is judged: the status, OpenAI's types, what Open Responses requires, how it
ended, and calls where the request forces them.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from openai.types.responses import Response
from pydantic import ValidationError

from autosre_lab.local.commands import engine_command
from autosre_lab.provision import provision
from autosre_lab.recipe import build_runtime_env, load_recipe
from autosre_lab.settings import paths
from tests.proxy.responses import test_compliance as cases

AGENTIC = "0.9.0"
FORCED = {"tool_choice required", "tool_choice by name"}
Answer = dict[str, Any]


class NotSoError(Exception):
    """What a case did not get."""


def told(answer: httpx.Response) -> str:
    """Return a status and the beginning of what was said, fit for a table."""
    try:
        error = answer.json()["error"]
        said = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError):
        said = answer.text
    line = " ".join(str(said).split()).replace("|", "/")
    return f"{answer.status_code} {line[:90]}{'…' if len(line) > 90 else ''}".strip()


class Other:
    """A server that speaks the Responses API."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.http = httpx.Client(
            base_url=base,
            timeout=120,
            trust_env=False,
            headers={"Authorization": "Bearer a-token"},
        )
        self.model = self.http.get("/models").json()["data"][0]["id"]

    def post(self, path: str, body: Answer, *, status: int = 200) -> httpx.Response:
        answer = self.http.post(path, json={**body, "model": self.model})
        if answer.status_code != status:
            raise NotSoError(told(answer))
        return answer

    def said(self, **more: Any) -> Answer:
        made: Answer = self.post(
            "/responses", {"input": "Hi", "max_output_tokens": 16, **more}
        ).json()
        return made

    def get(self, path: str) -> Answer:
        answer = self.http.get(path)
        if answer.status_code != 200:
            raise NotSoError(told(answer))
        found: Answer = answer.json()
        return found


def typed(made: Answer) -> None:
    """Make sure that a response has OpenAI's type."""
    try:
        Response.model_validate(made)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = "missing" if first["type"] == "missing" else "of another type"
        raise NotSoError(f"`{where}` is {said}") from error


def final(data: str, case: Answer) -> Answer:
    """Return the response at the end of a stream; each event has to be one of OpenAI's."""
    kinds: list[str] = []
    last: Answer = {}
    for line in data.splitlines():
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        event = json.loads(line[6:])
        kinds.append(event.get("type", "none"))
        if "response" in event:
            typed(event["response"])
        try:
            cases.EVENTS.validate_python(event)
        except ValidationError as error:
            raise NotSoError(f"`{kinds[-1]}` is not OpenAI's") from error
        last = event
    if not kinds or "response" not in last:
        raise NotSoError(f"the stream ends with {kinds[-1:] or 'nothing'}")
    wanted = {"response.created", "response.completed"} & set(case.get("events", ()))
    if (
        missing := wanted
        - set(kinds)
        - ({"response.completed"} if "incomplete" in kinds[-1] else set())
    ):
        raise NotSoError(f"no {', '.join(sorted(missing))}")
    made: Answer = last["response"]
    return made


def asked(other: Other, case: Answer) -> str:
    """Ask one case and return what is to be said of it."""
    # What we refuse by name another may have.
    right = 200 if case["name"] in cases.WHY else case.get("status", 200)
    body = case["body"] | ({} if right != 200 else {"temperature": 0})
    if "max_output_tokens" not in body:
        body = {**body, "max_output_tokens": 96}
    answer = other.post("/responses", body, status=right)
    if right != 200:
        return "yes"
    made = final(answer.text, case) if body.get("stream") else answer.json()
    typed(made)
    if case.get("ended") and made["status"] != case["ended"]:
        raise NotSoError(f"ended as {made['status']}")
    kinds = [item["type"] for item in made["output"]]
    if case["name"] in FORCED and "function_call" not in kinds:
        raise NotSoError(f"no call: {', '.join(kinds) or 'nothing'}")
    for path, begin in case.get("begins", {}).items():
        if not str(found := cases.at(made, path)).startswith(begin):
            raise NotSoError(f"{path} is {found[:12]}…")
    if case.get("usage") and not (made.get("usage") or {}).get("total_tokens"):
        raise NotSoError("no usage")
    lacks = [name for name in cases.REQUIRED if name not in made]
    note = (
        "; the model called nothing"
        if "function_call" in case.get("types", ()) and ("function_call" not in kinds)
        else ""
    )
    return f"yes{f', without {len(lacks)} required fields' if lacks else ''}{note}"


def stored(other: Other) -> str:
    made = other.said(store=True)
    other.get(f"/responses/{made['id']}")
    return "yes"


def continued(other: Other) -> str:
    other.said(previous_response_id=other.said(store=True)["id"])
    return "yes"


def missing(other: Other) -> str:
    answer = other.http.post(
        "/responses", json={"model": other.model, "input": "Hi", "previous_response_id": "resp_0"}
    )
    if answer.status_code not in (400, 404):
        raise NotSoError(told(answer))
    return "yes"


def polled(other: Other) -> str:
    made = other.said(background=True, store=True)
    deadline = time.monotonic() + 60
    while made["status"] in ("queued", "in_progress"):
        if time.monotonic() > deadline:
            raise NotSoError(f"{made['status']} after 60 s")
        time.sleep(0.1)
        made = other.get(f"/responses/{made['id']}")
    if made["status"] not in ("completed", "incomplete"):
        raise NotSoError(made["status"])
    return "yes"


def cancelled(other: Other) -> str:
    made = other.said(background=True, store=True, max_output_tokens=2000)
    ended = other.post(f"/responses/{made['id']}/cancel", {}).json()
    if ended["status"] != "cancelled":
        raise NotSoError(ended["status"])
    return "yes"


def upgraded(other: Other) -> str:
    answer = other.http.get(
        "/responses",
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    )
    if answer.status_code != 101:
        raise NotSoError(f"{answer.status_code} to an upgrade")
    return "upgraded; no more was asked"


def posted(path: str, **body: Any) -> Callable[[Other], str]:
    def ask(other: Other) -> str:
        other.post(path, body)
        return "yes"

    return ask


OTHERWISE: dict[str, Callable[[Other], str]] = {
    "compaction endpoint": posted("/responses/compact", input="Hi"),
    "input tokens are counted": posted("/responses/input_tokens", input="Hi"),
    "stored, found again": stored,
    "previous_response_id": continued,
    "a previous response that was not stored": missing,
    "background and polling": polled,
    "background cancelled": cancelled,
}


def column(base: str) -> dict[str, str]:
    """Ask all cases of one server."""
    other = Other(base)
    found = {}
    for case in cases.CASES:
        ask = OTHERWISE.get(case["name"])
        if "WebSocket" in case["name"]:
            ask = upgraded
        try:
            if "body" in case:
                found[cases.named(case)] = asked(other, case)
            else:
                found[cases.named(case)] = ask(other) if ask else "not asked"
        except NotSoError as error:
            found[cases.named(case)] = f"no: {error}"
        except (httpx.HTTPError, ValueError, KeyError, IndexError) as error:
            found[cases.named(case)] = f"no: {type(error).__name__}"
        print(f"{cases.named(case)}: {found[cases.named(case)]}", file=sys.stderr, flush=True)
    return found


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def served(command: list[str], port: int, ready: str, **env: str) -> Iterator[str]:
    """Run a server until it is no longer needed."""
    with tempfile.TemporaryFile("w+b") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **env}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 300
            base = f"http://127.0.0.1:{port}"
            while True:
                try:
                    if httpx.get(base + ready, trust_env=False).status_code < 500:
                        break
                except httpx.HTTPError:
                    pass
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise SystemExit(f"{command[0]} did not start\n{log.read()[-3000:].decode()}")
                time.sleep(0.3)
            yield base
        finally:
            process.terminate()
            process.wait(60)


def agentic_python() -> str:
    folder = paths().data / "tests" / f"agentic-api-{AGENTIC}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, f"agentic-api=={AGENTIC}"], check=True)
        (folder / "complete").touch()
    return str(python)


def main() -> None:
    recipe = load_recipe("smollm2-135m-cpu")
    have = provision(recipe)
    python, port = agentic_python(), free_port()
    # Without our guard in front, which asks for a key, and with the store that is off by default.
    command = engine_command(recipe, python=have.engine_python, model=have.model_path, port=port)
    command = command[: command.index("--middleware")]
    place = command.index("--scheduler-cls")
    command = command[:place] + command[place + 2 :]
    env = build_runtime_env(recipe) | {"VLLM_ENABLE_RESPONSES_API_STORE": "1"}
    env.pop("PYTHONPATH", None)
    columns = {}
    with served(command, port, "/health", **env) as engine:
        columns[f"vLLM {recipe.vllm_version} native"] = column(f"{engine}/v1")
        own = free_port()
        gateway = [*(python, "-m", "agentic_api", "serve", "--vllm-base-url", engine)]
        gateway += ["--host", "127.0.0.1", "--port", str(own)]
        with served(gateway, own, "/health", OPENAI_API_KEY="none") as front:
            columns[f"agentic-api {AGENTIC}"] = column(f"{front}/v1")
    cases.BESIDE.write_text(json.dumps(columns, indent=1, ensure_ascii=False) + "\n", "utf-8")
    cases.PAGE.write_text(cases.page(), "utf-8")


if __name__ == "__main__":
    main()
