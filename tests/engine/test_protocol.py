"""What vLLM's answers mean."""

from __future__ import annotations

import subprocess
import sys

import pytest

from autosre_lab.engine.protocol import ServedModel, engine_url, parse_models
from autosre_lab.errors import ConfigError

BASE = {"id": "smollm2-135m", "root": "/models/smollm2", "parent": None, "max_model_len": 8192}


def test_a_served_model_is_read_with_its_window_and_origin() -> None:
    assert parse_models({"data": [BASE]}) == [
        ServedModel(id="smollm2-135m", max_model_len=8192, root="/models/smollm2")
    ]


def test_adapters_come_after_the_model_they_belong_to() -> None:
    adapter = {**BASE, "id": "tuned", "parent": "smollm2-135m"}
    assert [one.id for one in parse_models({"data": [adapter, BASE]})] == ["smollm2-135m", "tuned"]


def test_several_served_names_keep_their_order() -> None:
    names = ["b", "a", "c"]
    found = parse_models({"data": [{**BASE, "id": name} for name in names]})
    assert [one.id for one in found] == names


@pytest.mark.parametrize("payload", [{}, {"data": [{}]}, {"data": [{"id": "x"}]}, {"data": 3}])
def test_another_servers_list_is_an_error(payload: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        parse_models(payload)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("host:8010", "http://host:8010"),
        ("127.0.0.1:8010", "http://127.0.0.1:8010"),
        (" http://host:8010/ ", "http://host:8010"),
        ("http://host:8010/v1/", "http://host:8010"),
        ("https://box.example/vllm/v1", "https://box.example/vllm"),
        ("[::1]:8010", "http://[::1]:8010"),
    ],
)
def test_a_url_is_understood_as_people_type_it(typed: str, meant: str) -> None:
    assert engine_url(typed) == meant
    assert engine_url(meant) == meant


@pytest.mark.parametrize("typed", ["", "ftp://host", "http://", "host:port", "http://[::1"])
def test_what_is_no_url_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(ConfigError, match=r"http://127\.0\.0\.1:8010"):
        engine_url(typed)


def test_the_proxy_can_import_it_without_anything_heavy() -> None:
    code = (
        "import sys, autosre_lab.engine.protocol\n"
        "heavy = {'httpx', 'pydantic', 'yaml', 'psutil', 'tqdm'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
