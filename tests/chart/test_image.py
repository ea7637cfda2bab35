"""What an image carries of the package suffices: nothing of the rest is there in a Pod."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autosre_lab.chart.image import BROWSER, PACKAGE, PROXY, ImageKind, copy_parts
from autosre_lab.web import search_process


def folder_of(module: str) -> Path:
    """Return the folder of a package that is installed here."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def bare(*arguments: str, path: list[Path]) -> subprocess.CompletedProcess[str]:
    """Run Python without site directories: an editable install would lend what is missing."""
    code = (
        "import sys, runpy; at, module, *sys.argv[1:] = sys.argv[1:]; "
        "sys.path[:0] = at.split(':'); sys.argv[0] = module; "
        "runpy.run_module(module, run_name='__main__', alter_sys=False)"
    )
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, ":".join(map(str, path)), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize(
    ("kind", "module"),
    [(PROXY, "autosre_lab.proxy"), (BROWSER, "autosre_lab.browser.gate")],
    ids=["proxy", "browser"],
)
def test_an_images_parts_suffice_for_what_its_pod_runs(
    kind: ImageKind, module: str, tmp_path: Path
) -> None:
    copy_parts(kind, tmp_path / "autosre_lab")
    if kind is PROXY:
        third_party = folder_of("msgspec").parent  # what requirements.txt names, and more
    else:
        third_party = tmp_path / "debian"  # python3-idna is all that the image has
        shutil.copytree(folder_of("idna"), third_party / "idna")
    done = bare(module, "--help", path=[tmp_path, third_party])
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
    # What is imported only once it serves counts as well.
    for name in ["proxy.server", "proxy.messages.dialect"] if kind is PROXY else []:
        done = bare(f"autosre_lab.{name}", path=[tmp_path, third_party])
        assert done.returncode == 0, done.stderr


def test_the_proxies_image_makes_no_searches_as_is_said() -> None:
    charts = PACKAGE.parent / "charts"
    requirements = (charts / "autosre/images/proxy/requirements.txt").read_text("utf-8")
    names = re.findall(r"^([\w-]+)", requirements, re.MULTILINE)
    assert names
    # With these the proxy would search, and its Pods' network policy would have to let it.
    assert not {name.replace("-", "_") for name in names} & set(search_process._NEEDED)
    assert "makes no web searches" in (charts / "README.md").read_text("utf-8")
