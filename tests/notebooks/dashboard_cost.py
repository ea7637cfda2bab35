"""``python -m tests.notebooks.dashboard_cost SECONDS``: what the dashboard costs while it is open.

A real JupyterLab and a real Chromium; the stack that runs is watched, under a small load.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from autosre_lab.notebooks import find_notebook
from autosre_lab.widgets.small_load import send_small_load
from tests.notebooks.jupyter import jupyter_lab, lab_page, open_notebook, run_all


def _of(words: tuple[str, ...]) -> list[psutil.Process]:
    own = psutil.Process().children(recursive=True)
    return [
        one for one in own if one.is_running() and all(w in " ".join(one.cmdline()) for w in words)
    ]


def _cost(processes: list[psutil.Process]) -> tuple[float, float]:
    """Return MiB of memory (unique to the processes) and CPU seconds."""
    memory = sum(one.memory_full_info().uss for one in processes) / (1 << 20)
    return memory, sum(sum(one.cpu_times()[:2]) for one in processes)


def main() -> None:
    """Print a line a minute: memory and CPU of the kernel, and of the page's process."""
    seconds = float(sys.argv[1])
    stopping = threading.Event()
    load = threading.Thread(
        target=send_small_load, args=(seconds + 60,), kwargs={"stopping": stopping}, daemon=True
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(find_notebook("observe"), folder)
        with jupyter_lab(folder, folder / "jupyter") as url, lab_page() as page:
            open_notebook(page, url, "3_observe.ipynb")
            run_all(page)
            page.wait_for_selector("text=watching >> visible=true")
            load.start()
            watched = {"kernel": _of(("ipykernel",)), "page": _of(("--type=renderer",))}
            before = {what: _cost(found)[1] for what, found in watched.items()}
            begin = last = time.monotonic()
            while time.monotonic() - begin < seconds:
                page.wait_for_timeout(min(60.0, seconds) * 1000)
                now = time.monotonic()
                parts = []
                for what, found in watched.items():
                    memory, cpu = _cost([one for one in found if one.is_running()])
                    share = (cpu - before[what]) / (now - last)
                    parts.append(f"{what} {memory:.0f} MiB, {share:.1%} of a core")
                    before[what] = cpu
                print(f"{now - begin:.0f} s: {'; '.join(parts)}", flush=True)
                last = now
            page.click("button:has-text('Stop'):visible")
            page.wait_for_selector("text=stopped >> visible=true")
            stopping.set()
            load.join(10)


if __name__ == "__main__":
    main()
