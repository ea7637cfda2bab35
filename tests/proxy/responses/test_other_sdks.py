"""OpenAI's SDK for Node and its Agents SDK as readers of the proxy, installed from their locks."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autosre_lab.processes.files import locked
from autosre_lab.provision.__main__ import main as fill_environment
from autosre_lab.scripted.chat_engine import ToolCall, Turn
from autosre_lab.settings import paths
from tests.proxy.conftest import StartLab

pytestmark = pytest.mark.anyio

SDKS = Path(__file__).parent / "sdks"


async def printed(*command: str | Path) -> Any:
    """Run a reader beside the proxy, which is in this process, and return its JSON."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR")}
    running = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**kept, "NO_PROXY": "*", "OPENAI_AGENTS_DISABLE_TRACING": "1"},
    )
    said, wrong = await running.communicate()
    assert running.returncode == 0, wrong.decode()
    return json.loads(said)


@pytest.fixture(scope="session")
def node_sdk() -> Iterator[Path]:
    folder = paths().data / "tests" / "openai-node"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(folder.name + ".lock")):
        have = folder / "package-lock.json"
        lock = SDKS / "node" / "package-lock.json"
        if not have.exists() or have.read_bytes() != lock.read_bytes():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            shutil.copy(SDKS / "node" / "package.json", folder)
            npm = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            (folder / "lock.json").write_bytes(lock.read_bytes())
            (folder / "lock.json").rename(have)
            try:
                subprocess.run(npm, cwd=folder, check=True, capture_output=True)
            except BaseException:
                have.unlink()  # it is installed again
                raise
    yield folder


@pytest.fixture(scope="session")
def agents_python() -> Iterator[Path]:
    lock = SDKS / "agents.txt"
    folder = paths().data / "tests" / "openai-agents"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(folder.name + ".lock")):
        have = folder / "lock.txt"
        if not have.exists() or have.read_bytes() != lock.read_bytes():
            assert fill_environment([str(folder), str(lock)]) == 0
            have.write_bytes(lock.read_bytes())
    yield folder / "bin" / "python"


async def test_the_sdk_for_node_reads_it(start_lab: StartLab, node_sdk: Path) -> None:
    call = ToolCall(name="look", arguments='{"path":"a.txt"}')
    lab = await start_lab(
        Turn(thinking="hm", text="I look.", tool_calls=[call]),
        Turn(text="Hello."),
        Turn(text='{"a": 1}'),
        max_model_len=8192,
    )
    reader = shutil.copy(SDKS / "node" / "read.mjs", node_sdk)
    read = await printed("node", reader, f"{lab.url}/v1")
    assert [item["type"] for item in read["streamed"]] == ["reasoning", "message", "function_call"]
    assert read["streamed"][2]["arguments"] == '{"path":"a.txt"}'
    assert read["text"] == "I look."
    assert read["kinds"][:2] == ["response.created", "response.in_progress"]
    assert read["kinds"][-1] == "response.completed"
    assert read["whole"] == "Hello."
    assert read["usage"]["total_tokens"] > 0
    assert read["models"]
    assert read["refused"] == {
        "kind": "BadRequestError",
        "status": 400,
        "code": "context_length_exceeded",
    }


async def test_the_agents_sdk_lives_on_it(start_lab: StartLab, agents_python: Path) -> None:
    """Two calls at once, a streamed turn, a handoff; each call's output comes back to the model."""
    calls = [ToolCall(name="look", arguments=json.dumps({"path": name})) for name in "ab"]
    lab = await start_lab(
        Turn(text="I look.", tool_calls=calls, interleave=True),
        Turn(text="Both are empty."),
        Turn(thinking="hm", tool_calls=[ToolCall(name="look", arguments='{"path":"c"}')]),
        Turn(text="Empty too."),
        Turn(tool_calls=[ToolCall(name="transfer_to_other", arguments="{}")]),
        Turn(text="I am the other."),
    )
    read = await printed(agents_python, SDKS / "agent.py", f"{lab.url}/v1")
    assert read["looked"] == ["a", "b", "c"]
    assert read["whole"] == "Both are empty."
    assert (read["requests"], read["tokens"] > 0) == (2, True)
    assert read["streamed"] == "Empty too."
    assert {"raw_response_event", "run_item_stream_event"} <= set(read["kinds"])
    assert (read["handed"], read["last"]) == ("I am the other.", "Other")
    second = lab.upstream.chats[1].body["messages"]
    assert [one["content"] for one in second if one["role"] == "tool"] == [
        "a is empty",
        "b is empty",
    ]
    assert "You are the other." in json.dumps(lab.upstream.chats[5].body["messages"])
