"""Which program of an agent runs, what is known of its version; it comes before a stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.agents import session
from autosre_lab.agents.asking import ask
from autosre_lab.agents.named import AGENTS, AgentName, agent_named
from autosre_lab.errors import ConfigError, ProvisionError, RecipeError
from tests.support.programs import program

SAYS = {"claude": "{} (Claude Code)", "codex": "codex-cli {}"}

each_agent = pytest.mark.parametrize("name", AGENTS)


def saying(file: Path, name: str, version: str) -> Path:
    return program(file, f'echo "{SAYS[name].format(version)}"')


@each_agent
def test_a_named_one_is_run_and_said_to_be_tested_or_not(name: str, tmp_path: Path) -> None:
    kind = agent_named(name).program
    tested = saying(tmp_path / "old", name, kind.versions[-1])
    other = saying(tmp_path / "new", name, "99.1.400")

    one, two = (kind.named(file) for file in (tested, other))

    assert (one.version, one.is_tested, one.executable) == (kind.versions[-1], True, tested)
    assert two.note is not None
    assert "not a tested version" in two.note
    assert f"autosre {name} --{name} {other} --check" in two.note


@each_agent
def test_the_setting_names_one_and_the_option_is_stronger(name: str, tmp_path: Path) -> None:
    kind = agent_named(name).program
    setting, option = (saying(tmp_path / one, name, f"2.1.{one}") for one in ("1", "2"))
    environ = {f"AUTOSRE_{name.upper()}": str(setting), "AUTOSRE_CONFIG_DIR": str(tmp_path)}

    assert kind.here(None, environ).version == "2.1.1"
    assert kind.here(option, environ).version == "2.1.2"
    ours = kind.here(None, {"AUTOSRE_CONFIG_DIR": str(tmp_path)}, install=False)
    assert (ours.executable, ours.note) == (kind.path(), None)


@each_agent
@pytest.mark.parametrize("body", ["echo 'python 3'", "exit 1", "echo '2.1 (Claude Code)'"])
def test_what_is_another_program_is_refused(name: str, tmp_path: Path, body: str) -> None:
    with pytest.raises(ConfigError, match="does not say that it is C"):
        agent_named(name).program.named(program(tmp_path / "other", body))


@each_agent
def test_a_program_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no program /nonexistent/it"):
        agent_named(name).program.named(Path("/nonexistent/it"))


@each_agent
def test_whoever_lacks_node_hears_it_before_an_engine_is_started(
    name: AgentName, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(session, "find_or_start", lambda *_: pytest.fail("a stack was started"))

    for run in (lambda: session.launch(agent_named(name), ["hi"]), lambda: ask("hi", agent=name)):
        with pytest.raises(ProvisionError, match="needs Node") as failure:
            run()
        assert "install Node.js" in str(failure.value)


@each_agent
def test_a_recipe_that_is_not_there_is_told_before_anything_is_installed(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTOSRE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(RecipeError, match="there is no recipe"):
        session.launch(agent_named(name), ["--recipe", "no-such-recipe", "hi"])


@each_agent
@pytest.mark.parametrize("words", [["mcp", "add", "x"], ["plugin", "install", "y"]])
def test_what_changes_a_folder_changes_ours_and_says_so(
    name: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(session, "find_or_start", lambda *_: pytest.fail("a stack was started"))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "/theirs")
    monkeypatch.setenv("CODEX_HOME", "/theirs")
    variable = {"claude": "CLAUDE_CONFIG_DIR", "codex": "CODEX_HOME"}[name]
    body = f"""[ "$1" = --version ] && echo "{SAYS[name].format("1.2.3")}" && exit
echo "$*" in "${variable}\""""
    own = program(tmp_path / name, body)

    assert session.launch(agent_named(name), [f"--{name}", str(own), *words]) == 0

    out, err = capfd.readouterr()
    assert f"{' '.join(words)} in {tmp_path / 'state' / name}" in out
    assert "not yours" in err
    assert str(tmp_path / "state" / name) in err
