from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosre_lab.errors import RecipeError
from autosre_lab.recipe import FlagTable, flag_table_versions, load_flag_table, load_recipe
from autosre_lab.recipe.flag_table import table_text
from autosre_lab.recipe.flag_values import parse_human_int, value_problem

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "autosre_lab" / "recipe" / "flag_tables"
VERSIONS = ["0.24.0", "0.32.0", "0.33.0"]


def table_of(version: str) -> FlagTable:
    table = load_flag_table(version)
    assert table is not None
    return table


def test_there_is_a_table_for_each_version_that_a_shipped_recipe_uses() -> None:
    assert flag_table_versions() == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_a_table_agrees_with_itself(version: str) -> None:
    table = table_of(version)
    assert table.version == version
    assert len(table.flags) > 250
    names = [*table.flags, *(a for f in table.flags.values() for a in (*f.aliases, *f.negatives))]
    assert len(names) == len(set(names))
    for flag in table.flags.values():
        assert flag.name.startswith("--")
        assert "_" not in flag.name
        assert (flag.type is None) == (flag.kind in ("pair", "switch"))
        for alias in (flag.name, *flag.aliases):
            assert table.find(alias) == (flag, False)
        if flag.kind == "pair":
            for negative in (f"--no-{flag.name[2:]}", *flag.negatives):
                assert table.find(negative) == (flag, True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_defaults_of_a_table_pass_its_own_check(version: str) -> None:
    for flag in table_of(version).flags.values():
        if flag.kind == "value" and flag.default is not None:
            assert value_problem(flag, flag.default) is None, flag


@pytest.mark.parametrize("version", VERSIONS)
def test_a_table_file_is_as_the_maker_writes_it_and_small(version: str) -> None:
    text = (TABLES / f"vllm-{version}.json").read_text(encoding="utf-8")
    assert table_text(json.loads(text)) == text
    assert len(text) < 64_000


def test_what_is_known_of_the_versions_is_in_the_tables() -> None:
    old, new = table_of("0.24.0"), table_of("0.32.0")
    assert sorted(set(old.flags) - set(new.flags)) == [
        "--calculate-kv-scales",
        "--max-long-partial-prefills",
        "--max-num-partial-prefills",
        "--override-attention-dtype",
    ]
    assert len(set(new.flags) - set(old.flags)) == 54
    for table in (old, new):
        assert table.flags["--scheduling-policy"].choices == ("fcfs", "priority")
        assert table.flags["--max-model-len"].type == "human_int_or_auto"
        assert table.flags["--served-model-name"].nargs == "+"
        assert "method" in table.flags["--speculative-config"].keys
        assert "VLLM_USE_DEEP_GEMM" in table.env


def test_an_option_is_found_however_it_is_spelt() -> None:
    table = table_of("0.32.0")
    for spelling in ("-tp", "--tensor-parallel-size", "--tensor_parallel_size"):
        found = table.find(spelling)
        assert found is not None
        assert found[0].name == "--tensor-parallel-size"
    nested = table.find("--compilation-config.pass_config.fuse_norm_quant")
    assert nested is not None
    assert nested[0].name == "--compilation-config"
    assert table.find("--no-seed") is None
    assert table.find("--nothing") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("256k", 256_000), ("256K", 262_144), ("25.6k", 25_600), ("1M", 2**20), ("2g", 2 * 10**9),
     ("1T", 2**40), (" 7 ", 7), ("-1", -1)],
)  # fmt: skip
def test_numbers_with_suffixes_are_read_as_vllm_reads_them(text: str, number: int) -> None:
    assert parse_human_int(text) == number


@pytest.mark.parametrize("text", ["1.5K", "k", "1kk", "1.5", "", "ten"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_human_int(text)


@given(st.integers(min_value=0, max_value=2**50))
def test_plain_numbers_are_themselves(number: int) -> None:
    assert parse_human_int(str(number)) == number


def test_a_persons_own_table_is_found_and_a_broken_one_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "flags"
    folder.mkdir()
    own = {"format": "autosre.flags/v1", "vllm": "0.99.0", "env": [],
           "flags": {"--x": {"kind": "switch"}}}  # fmt: skip
    (folder / "vllm-0.99.0.json").write_text(json.dumps(own))
    assert list(table_of("0.99.0").flags) == ["--x"]
    assert flag_table_versions() == [*VERSIONS, "0.99.0"]
    for broken in ("{", '{"format": "other"}', '{"format": "autosre.flags/v1"}', "[]",
                   json.dumps({**own, "flags": {"--x": {"kindd": 1}}})):  # fmt: skip
        (folder / "vllm-0.98.0.json").write_text(broken)
        os.utime(folder / "vllm-0.98.0.json", ns=(0, len(broken)))
        with pytest.raises(RecipeError, match="is not a flag table") as caught:
            load_flag_table("0.98.0")
        assert "autosre_lab.recipe.flag_table" in caught.value.remedy


# --- making a table ----------------------------------------------------------------------------

FAKE_VLLM = {
    "__init__.py": '__version__ = "9.9.9+cpu"\n',
    "envs.py": 'environment_variables = {"VLLM_B": None, "VLLM_A": None}\n',
    "platforms.py": "class current_platform:\n    device_type = ''\n",
    "config.py": """
import dataclasses
@dataclasses.dataclass
class SpeculativeConfig:
    method: str = ""
    derived: int = dataclasses.field(init=False, default=0)
""",
    "utils/__init__.py": "",
    "utils/argparse_utils.py": "from argparse import ArgumentParser as FlexibleArgumentParser\n",
    "tool_parsers.py": """
class ToolParserManager:
    @classmethod
    def list_registered(cls): return ["hermes", "abc"]
""",
    "reasoning.py": """
class ReasoningParserManager:
    @classmethod
    def list_registered(cls): return ["think"]
""",
    "entrypoints/__init__.py": "",
    "entrypoints/odd/__init__.py": "",
    "entrypoints/odd/cli_args.py": """
import argparse, json
import vllm.platforms
def optional_type(return_type):
    def _optional_type(text):
        return None if text == "None" else return_type(text)
    return _optional_type
def make_arg_parser(parser):
    assert vllm.platforms.current_platform.device_type == "cuda"
    add = parser.add_argument
    add("model_tag", nargs="?")
    add("--eager", "-e", action=argparse.BooleanOptionalAction, default=False)
    add("--headless", action="store_true")
    add("--middleware", action="append", type=str, default=[])
    add("--names", nargs="+", type=optional_type(str))
    add("--size", type=int, choices=[1, 2, None], default=1)
    add("--old", type=float, help="Deprecated: use --new.")
    class EnableDisableAction(argparse.BooleanOptionalAction):
        def __init__(self, option_strings, dest, **given):
            super().__init__(option_strings, dest, **given)
            self.negative_option_strings = {"--no-enable-x", "--disable-x"}
            self.option_strings = [*self.option_strings, "--disable-x"]
    hidden = add("--enable-x", action=EnableDisableAction, default=argparse.SUPPRESS)
    hidden.option_strings = ["--enable-x", "--disable-x"]
    add("--speculative-config", type=optional_type(json.loads))
    add("--tool-call-parser", type=str)
    return parser
""",
}


def make_table(python: str, out: Path, *path: Path) -> str:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))}
    done = subprocess.run(
        [python, "-m", "autosre_lab.recipe.flag_table", "--out", str(out)],
        env=environ, cwd=out, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_table_is_made_from_whatever_vllm_can_be_imported(tmp_path: Path) -> None:
    for name, text in FAKE_VLLM.items():
        file = tmp_path / "fake" / "vllm" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    out = tmp_path / "config" / "flags"
    out.mkdir()
    assert "9 flags, 2 variables" in make_table(sys.executable, out, tmp_path / "fake")
    made: dict[str, Any] = json.loads((out / "vllm-9.9.9.json").read_text())
    assert made["vllm"] == "9.9.9"
    assert made["env"] == ["VLLM_A", "VLLM_B"]
    assert made["flags"] == {
        "--eager": {"kind": "pair", "aliases": ["-e"], "default": False},
        "--enable-x": {"kind": "pair", "negatives": ["--disable-x"]},
        "--headless": {"kind": "switch", "default": False},
        "--middleware": {"kind": "append", "type": "str"},
        "--names": {"kind": "value", "type": "str", "optional": True, "nargs": "+",
                    "default": None},
        "--old": {"kind": "value", "type": "float", "deprecated": True, "default": None},
        "--size": {"kind": "value", "type": "int", "choices": [1, 2], "default": 1},
        "--speculative-config": {"kind": "value", "type": "json", "optional": True,
                                 "keys": ["method"], "default": None},
        "--tool-call-parser": {"kind": "value", "type": "str", "default": None,
                               "registered": ["abc", "hermes"]},
    }  # fmt: skip
    found = table_of("9.9.9").find("--disable-x")
    assert found is not None
    assert found == (table_of("9.9.9").flags["--enable-x"], True)


@pytest.mark.engine
def test_the_table_of_the_provisioned_vllm_is_the_shipped_one(tmp_path: Path) -> None:
    recipe = load_recipe("smollm2-135m-cpu")
    provisioned = importlib.import_module("autosre_lab.provision").provision(recipe)
    make_table(str(provisioned.engine_python), tmp_path)
    name = f"vllm-{recipe.vllm_version}.json"
    assert (tmp_path / name).read_text() == (TABLES / name).read_text()
