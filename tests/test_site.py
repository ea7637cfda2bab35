"""The site's source: every page keeps its place, and the reference is made from the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "source"
    script = REPOSITORY / "docs" / "site" / "assemble.py"
    subprocess.run([sys.executable, str(script), str(folder)], check=True, cwd=REPOSITORY)
    return folder


def test_every_page_of_the_contents_is_there(source: Path) -> None:
    for page in ("index.md", "parts.md"):
        text = (source / page).read_text("utf-8")
        for block in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL):
            for name in re.findall(r"^[\w/]+$", block, re.MULTILINE):
                assert (source / f"{name}.md").exists(), name


def test_the_reference_has_the_settings_the_schema_and_the_remedies(source: Path) -> None:
    settings = (source / "reference" / "settings.md").read_text("utf-8")
    assert "| `proxy_port` | Port of the Anthropic proxy on loopback" in settings
    recipe = (source / "reference" / "recipe.md").read_text("utf-8")
    assert "| `context` | Tokens of prompt and answer together" in recipe
    trouble = (source / "reference" / "troubleshooting.md").read_text("utf-8")
    assert "| there is no recipe named | did you mean …?" in trouble
    assert "| out of memory | close what else uses memory" in trouble
    assert len(re.findall(r"^\| ", trouble, re.MULTILINE)) > 200


def test_nothing_of_the_site_is_fetched_from_elsewhere() -> None:
    conf = (REPOSITORY / "docs" / "site" / "conf.py").read_text("utf-8")
    assert not re.search(r"https?://", conf)
