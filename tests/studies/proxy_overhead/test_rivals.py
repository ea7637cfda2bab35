from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from autosre_lab.errors import ConfigError, ProvisionError
from autosre_lab.studies.proxy_overhead.command import main
from autosre_lab.studies.proxy_overhead.rivals import (
    RIVAL_NAMES,
    clean_environment,
    install_rival,
    own_proxy,
    rival,
    rival_folder,
    rival_is_installed,
)


def pretend_installed(data: Path, name: str) -> None:
    folder = rival_folder(data, name)
    folder.mkdir(parents=True)
    (folder / "installed").touch()


def test_an_unknown_rival_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="litellm, ccr"):
        rival_folder(tmp_path, "nginx")


@pytest.mark.parametrize("name", RIVAL_NAMES)
def test_a_rival_that_is_not_installed_is_refused_with_the_way_to_install_it(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--install-rivals"):
        rival(name, data=tmp_path, run_folder=tmp_path, port=1, upstream_port=2)


def test_the_command_line_names_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path))

    assert main(["--rivals", "ccr"]) == 1
    assert "--install-rivals" in capsys.readouterr().err


def test_litellm_is_pointed_at_the_upstream_on_loopback(tmp_path: Path) -> None:
    pretend_installed(tmp_path, "litellm")

    made = rival("litellm", data=tmp_path, run_folder=tmp_path / "run", port=11, upstream_port=22)

    (config,) = (json.loads(text) for text in made.files.values())
    assert config["model_list"][0]["litellm_params"]["api_base"] == "http://127.0.0.1:22/v1"
    assert Path(made.argv[0]).is_relative_to(rival_folder(tmp_path, "litellm"))
    assert [*made.argv[-4:]] == ["--host", "127.0.0.1", "--port", "11"]


def test_claude_code_router_reads_its_configuration_from_the_runs_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/somewhere/{name}")
    pretend_installed(tmp_path, "ccr")
    run = tmp_path / "run"

    made = rival("ccr", data=tmp_path, run_folder=run, port=11, upstream_port=22)

    (file,) = made.files
    assert file == run / ".claude-code-router" / "config.json"
    assert made.env["HOME"] == str(run)
    config = json.loads(made.files[file])
    assert (config["PORT"], config["HOST"]) == (11, "127.0.0.1")
    assert config["Providers"][0]["api_base_url"].startswith("http://127.0.0.1:22/")


def test_claude_code_router_without_node_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    pretend_installed(tmp_path, "ccr")

    with pytest.raises(ConfigError, match=r"Node\.js"):
        rival("ccr", data=tmp_path, run_folder=tmp_path, port=1, upstream_port=2)


def test_nobodys_keys_reach_a_contender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://elsewhere")

    env = clean_environment(tmp_path, EXTRA="1")

    assert set(env) >= {"PATH", "HOME", "EXTRA"}
    assert not {"ANTHROPIC_API_KEY", "HTTPS_PROXY"} & set(env)


def test_our_proxy_is_measured_with_its_request_log_and_token(tmp_path: Path) -> None:
    made = own_proxy(version="1", run_folder=tmp_path, port=11, upstream_port=22)

    assert made.argv[1:6] == ["-P", "-m", "autosre_lab.proxy", "11", "http://127.0.0.1:22"]
    assert "--request-log" in made.argv
    token = made.env["AUTOSRE_PROXY_TOKEN"]
    assert made.target.headers["authorization"] == f"Bearer {token}"


def test_an_installed_rival_is_not_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.run", pytest.fail)
    pretend_installed(tmp_path, "litellm")

    install_rival(tmp_path, "litellm")


def test_a_failed_installation_says_so_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    npm = tools / "npm"
    npm.write_text("#!/bin/sh\necho no such package\nexit 3\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")

    with pytest.raises(ProvisionError, match="no such package"):
        install_rival(tmp_path, "ccr")
    assert not rival_is_installed(tmp_path, "ccr")

    npm.write_text("#!/bin/sh\nexit 0\n")
    install_rival(tmp_path, "ccr")
    assert rival_is_installed(tmp_path, "ccr")


def test_an_older_checkouts_proxy_is_the_one_that_runs(tmp_path: Path) -> None:
    folder = tmp_path / "autosre_lab"
    (folder / "proxy").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "proxy" / "__init__.py").touch()
    (folder / "proxy" / "__main__.py").write_text("print('the older one')", encoding="utf-8")
    made = own_proxy(
        name="before", checkout=tmp_path, version="", run_folder=tmp_path, port=1, upstream_port=2
    )

    done = subprocess.run(made.argv, env=made.env, check=True, capture_output=True, text=True)

    assert done.stdout == "the older one\n"


def test_a_folder_without_the_project_is_refused_with_the_way_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--against", str(tmp_path)]) == 1
    assert "git worktree add" in capsys.readouterr().err
