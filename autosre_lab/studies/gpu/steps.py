"""Steps of a run that go on when one of them fails, and are written down after each."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autosre_lab.errors import AutosreError

__all__ = ["Steps"]


class Steps:
    """What was done and found, kept in ``results.json`` of a folder.

    Args:
        folder: For everything that is kept.
        seconds: Which the whole run may take; steps that begin later are left out.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        self.found: dict[str, dict[str, Any]] = {}
        self.failed: list[str] = []
        self._began = time.monotonic()
        self._seconds = seconds
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self._seconds - (time.monotonic() - self._began)

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Do one thing; what the block puts into the dictionary is kept, and so is its error."""
        began = time.monotonic()
        found: dict[str, Any] = {}
        self.found[name] = found
        try:
            yield found
        except KeyboardInterrupt:
            raise
        except Exception as error:
            found["error"] = error.message if isinstance(error, AutosreError) else repr(error)
            self.failed.append(name)
            (self.folder / f"{name}.traceback.txt").write_text(traceback.format_exc(), "utf-8")
        finally:
            found["took_s"] = round(time.monotonic() - began, 2)
            text = json.dumps(self.found, indent=1, default=str)
            (self.folder / "results.json").write_text(text + "\n", "utf-8")
            shown = {key: value for key, value in found.items() if not isinstance(value, list)}
            sys.stderr.write(f"[{-self.left_s + self._seconds:6.1f} s] {name}: {shown}\n")
