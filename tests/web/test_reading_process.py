"""A page that takes forever is ended, and the next one is read."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from autosre_lab.errors import UnreadableError
from autosre_lab.web import reading_process
from autosre_lab.web.documents import read_document
from autosre_lab.web.guarded_client import Reply
from autosre_lab.web.reading_process import read_apart
from tests.support.waiting import until


def page(html: str | bytes, kind: str = "text/html") -> Reply:
    body = html.encode() if isinstance(html, str) else html
    return Reply(url="http://site.test/a", status=200, headers={"content-type": kind}, body=body)


def readers() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children():
        try:
            if any("reading_process" in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_page_is_read_as_here() -> None:
    html = "<title>Tïtle</title><h1>Hello \U0001f468</h1><p hidden>X</p>" + "<p>text</p>" * 500
    assert read_apart(page(html)) == read_document(page(html))


def test_what_cannot_be_read_says_why() -> None:
    with pytest.raises(UnreadableError, match="is a PDF that cannot be read") as caught:
        read_apart(page(b"%PDF-1.7 broken", "application/pdf"))
    assert caught.value.remedy == "look for the same text as HTML"


def test_a_page_that_takes_too_long_is_ended_and_the_next_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading_process, "WALL_S", 0.0)
    with pytest.raises(UnreadableError, match="too much time"):
        read_apart(page("<p>slow</p>"))
    monkeypatch.undo()
    assert read_apart(page("<p>next</p>")).text == "next"


def loop(limit: str) -> int:
    """Run the reading side on a page that never ends; return how it ended."""
    code = (
        "import struct, sys, json\n"
        "from autosre_lab.web import documents, reading_process\n"
        "def forever(reply):\n"
        f"    {limit}\n"
        "    while True: pass\n"
        "documents.read_document = forever\n"
        "reading_process.CPU_S = 1\n"
        "reading_process.serve()\n"
    )
    head = b'{"url": "http://a", "status": 200, "headers": {}}'
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=reading_process._LENGTHS.pack(len(head), 0) + head,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == b""
    return done.returncode


def test_the_kernel_ends_what_uses_too_much_of_the_processor_even_without_an_owner() -> None:
    assert loop("pass") == -24  # SIGXCPU


def test_the_kernel_gives_it_no_more_memory_than_its_limit() -> None:
    assert loop("whole = bytearray(3 * 1024**3)") == 1


def test_pages_are_read_at_the_same_time_and_few_processes_wait() -> None:
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(read_apart, [page(f"<p>{one}</p>") for one in range(8)]))
    assert [one.text for one in read] == [str(one) for one in range(8)]
    assert 1 <= len(readers()) <= reading_process.MOST_KEPT


def test_one_that_somebody_has_ended_is_replaced() -> None:
    read_apart(page("<p>one</p>"))
    for process in readers():
        process.kill()
    assert read_apart(page("<p>two</p>")).text == "two"


def test_it_ends_with_its_owner_and_holds_no_key() -> None:
    code = (
        "from autosre_lab.web.guarded_client import Reply\n"
        "from autosre_lab.web.reading_process import _READERS, read_apart\n"
        "html = {'content-type': 'text/html'}\n"
        "read_apart(Reply(url='http://a', status=200, headers=html, body=b'x'))\n"
        "print(_READERS._waiting[0]._process.pid, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "HF_TOKEN": "s3cret-word"},
    ) as owner:
        assert owner.stdout is not None
        reader = psutil.Process(int(owner.stdout.readline()))
        assert "s3cret-word" not in reader.environ().values()
        owner.kill()
    until(lambda: not reader.is_running() or reader.status() == psutil.STATUS_ZOMBIE, "its end")
