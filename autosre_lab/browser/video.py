"""What a recording needs on this machine: an ffmpeg where Playwright looks for it."""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

from autosre_lab.errors import BrowserError, MissingExtraError
from autosre_lab.settings import home_folder, paths

__all__ = ["ffmpeg_folder", "provide_ffmpeg"]

_REMEDY = "sudo apt-get install ffmpeg   (or: pip install imageio-ffmpeg); recording needs it"


def ffmpeg_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder of our own in which Playwright looks for its tools."""
    return paths(environ).cache / "playwright"


def provide_ffmpeg(environ: Mapping[str, str] | None = None) -> Path:
    """Link this machine's ffmpeg to where Playwright looks for its own.

    Playwright asks for a build of its own by its revision and says so only when a page is opened.
    Debian's ffmpeg 5.1 and imageio-ffmpeg's 9.0 both write the same VP8 film.

    Returns:
        The link.

    Raises:
        BrowserError: There is no ffmpeg.
    """
    env = os.environ if environ is None else environ
    link = ffmpeg_folder(env) / f"ffmpeg-{_revision()}" / _name()
    found = _find_ffmpeg(env, link)
    if link.exists() and link.resolve() == found.resolve():
        return link
    link.parent.mkdir(parents=True, exist_ok=True)
    partial = link.with_name(f"{link.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    partial.symlink_to(found)
    partial.replace(link)
    return link


def _find_ffmpeg(env: Mapping[str, str], link: Path) -> Path:
    home = home_folder(env)
    downloads = Path(env.get("PLAYWRIGHT_BROWSERS_PATH") or home / ".cache" / "ms-playwright")
    playwrights = downloads / link.parent.name / link.name
    if playwrights != link and os.access(playwrights, os.X_OK):
        return playwrights
    if on_path := shutil.which("ffmpeg", path=env.get("PATH", os.defpath)):
        return Path(on_path)
    try:
        return Path(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise BrowserError("there is no ffmpeg to record with", remedy=_REMEDY) from error


def _revision() -> str:
    try:
        import playwright
    except ImportError as error:
        raise MissingExtraError("driving a browser", extra="web") from error
    table = Path(playwright.__file__).parent / "driver" / "package" / "browsers.json"
    entries = json.loads(table.read_text(encoding="utf-8"))["browsers"]
    return next(str(entry["revision"]) for entry in entries if entry["name"] == "ffmpeg")


def _name() -> str:
    return {"Darwin": "ffmpeg-mac", "Windows": "ffmpeg-win64.exe"}.get(
        platform.system(), "ffmpeg-linux"
    )
