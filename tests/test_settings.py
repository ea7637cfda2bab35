from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.settings import Paths, Settings, load_settings, paths, show_settings


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with nothing in it but a home folder."""
    return {"HOME": str(tmp_path)}


def write(home: dict[str, str], content: str | bytes) -> Path:
    file = Path(home["HOME"]) / ".config" / "autosre" / "settings.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_folders_follow_xdg_below_the_home_folder(home: dict[str, str], tmp_path: Path) -> None:
    assert paths(home) == Paths(
        config=tmp_path / ".config/autosre",
        data=tmp_path / ".local/share/autosre",
        state=tmp_path / ".local/state/autosre",
        cache=tmp_path / ".cache/autosre",
    )
    assert not (tmp_path / ".config").exists(), "looking must not create"


def test_xdg_variables_move_all_applications_and_ours_moves_us(home: dict[str, str]) -> None:
    home |= {"XDG_DATA_HOME": "/x/data", "XDG_CACHE_HOME": "/x/cache", "AUTOSRE_DATA_DIR": "/own"}
    assert paths(home).cache == Path("/x/cache/autosre")
    assert paths(home).data == Path("/own")


def test_a_relative_xdg_variable_is_ignored_as_its_specification_says(
    home: dict[str, str], tmp_path: Path
) -> None:
    assert paths({**home, "XDG_STATE_HOME": "x"}).state == tmp_path / ".local/state/autosre"


def test_a_relative_folder_of_ours_is_refused_with_the_absolute_one(home: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        paths({**home, "AUTOSRE_STATE_DIR": "here"})
    assert f"AUTOSRE_STATE_DIR={Path.cwd() / 'here'}" in caught.value.remedy


def test_without_file_and_variables_the_defaults_hold(home: dict[str, str]) -> None:
    assert load_settings(home) == Settings()


def test_a_variable_is_stronger_than_the_file_and_the_file_than_the_default(
    home: dict[str, str],
) -> None:
    write(home, "engine_port: 9000\nproxy_port: 9001\n")
    home["AUTOSRE_ENGINE_PORT"] = "9100"
    assert load_settings(home) == Settings(engine_port=9100, proxy_port=9001)


def test_an_empty_variable_counts_as_not_set(home: dict[str, str]) -> None:
    assert load_settings({**home, "AUTOSRE_RECIPE": ""}).recipe == Settings().recipe


def test_settings_are_shown_with_where_each_came_from(home: dict[str, str]) -> None:
    file = write(home, "recipe: mine\n")
    home |= {"AUTOSRE_LOG_LEVEL": "debug", "XDG_CACHE_HOME": "/c", "AUTOSRE_DATA_DIR": "/d"}
    shown = show_settings(home)
    assert list(shown)[:4] == ["config_dir", "data_dir", "state_dir", "cache_dir"]
    assert shown["recipe"] == {"value": "mine", "source": str(file)}
    assert shown["log_level"] == {"value": "debug", "source": "AUTOSRE_LOG_LEVEL"}
    assert shown["engine_port"] == {"value": "0", "source": "default"}
    assert shown["cache_dir"] == {"value": "/c/autosre", "source": "XDG_CACHE_HOME"}
    assert shown["data_dir"] == {"value": "/d", "source": "AUTOSRE_DATA_DIR"}
    assert shown["state_dir"]["source"] == "default"


def test_the_browsers_variables_are_shown_and_its_token_is_not(home: dict[str, str]) -> None:
    home |= {
        "AUTOSRE_BROWSER_URL": "http://10.96.0.33:3010",
        "AUTOSRE_BROWSER_TOKEN": "s3cret",
        "AUTOSRE_BROWSER_RECORDING_TTL": "2",
        "RECORDING_PATH": "/recordings",
    }
    shown = show_settings(home)
    assert shown["browser_url"]["source"] == "AUTOSRE_BROWSER_URL"
    assert shown["browser_recording_ttl"] == {
        "value": "2.0",
        "source": "AUTOSRE_BROWSER_RECORDING_TTL",
    }
    assert shown["recording_path"] == {"value": "/recordings", "source": "RECORDING_PATH"}
    assert shown["browser_token"] == {"value": "********", "source": "AUTOSRE_BROWSER_TOKEN"}
    assert shown["mcp_token"] == {"value": "", "source": "default"}
    assert "s3cret" not in str(shown)


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("AUTOSRE_BROWSER_URL", "http://a/?token=s3cret"),
        ("AUTOSRE_BROWSER_URL", "http://me:s3cret@a"),
        ("AUTOSRE_FETCH_PROXY", "http://me:s3cret@a:1"),
    ],
)
def test_a_refused_url_is_named_without_the_secret_in_it(
    home: dict[str, str], variable: str, url: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({**home, variable: url})
    assert variable in str(caught.value)
    assert "s3cret" not in str(caught.value)


BOMB = "a: &a [x,x,x]\nb: &b [*a,*a,*a]\nrecipe: *b\n"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        "recipe: &x {<<: *x}\n",
        "recipe: " + "[" * 5_000,
        "? " * 5_000,
        "recipe: " + "x" * 70_000,
        "engine_port: " + "9" * 5_000,
    ],
)
def test_a_file_that_would_grow_or_nest_without_an_end_is_refused(
    home: dict[str, str], content: str
) -> None:
    file = write(home, content)
    with pytest.raises(ConfigError) as caught:
        load_settings(home)
    assert str(file) in caught.value.message
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("engin_port: 1", "engin_port"),
        ("1: 2\nx: 3", "1, x"),
        ("engine_port: yes", "engine_port: True"),
        ("engine_port: 80.5", "80.5"),
        ("engine_port: 65536", "65536"),
        ("engine_port: -1", "-1"),
        ("engine_port: [1]", "[1]"),
        ("engine_port:", "None"),
        ("ready_timeout_s: 0", "0"),
        ("ready_timeout_s: .nan", "nan"),
        ("ready_timeout_s: .inf", "inf"),
        ("log_level: loud", "loud"),
        ("recipe: 7", "7"),
        ("recipe: ''", "''"),
        ("- recipe", "not a mapping"),
        ("recipe: [", "not YAML"),
        (b"recipe: \xff", "not UTF-8"),
    ],
)
def test_an_unusable_file_is_named_with_what_it_should_hold(
    home: dict[str, str], content: str | bytes, named: str
) -> None:
    file = write(home, content)
    with pytest.raises(ConfigError) as caught:
        load_settings(home)
    assert str(file) in caught.value.message
    assert named in caught.value.message
    assert caught.value.remedy


def test_a_folder_in_the_files_place_is_an_error_too(home: dict[str, str]) -> None:
    write(home, "").unlink()
    (Path(home["HOME"]) / ".config" / "autosre" / "settings.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"settings\.yaml"):
        load_settings(home)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AUTOSRE_PROXY_PORT", "http"),
        ("AUTOSRE_PROXY_PORT", "70000"),
        ("AUTOSRE_READY_TIMEOUT_S", "-5"),
        ("AUTOSRE_READY_TIMEOUT_S", "nan"),
        ("AUTOSRE_LOG_LEVEL", "loud"),
    ],
)
def test_an_unusable_variable_is_named_with_its_value(
    home: dict[str, str], variable: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=f"{variable}: '{value}' is not"):
        load_settings({**home, variable: value})


def test_whole_seconds_are_seconds(home: dict[str, str]) -> None:
    write(home, "ready_timeout_s: 60\n")
    assert load_settings(home).ready_timeout_s == 60.0
    assert load_settings({**home, "AUTOSRE_READY_TIMEOUT_S": "7.5"}).ready_timeout_s == 7.5


def test_on_and_off_are_words_though_yaml_reads_them_otherwise(home: dict[str, str]) -> None:
    write(home, "store_responses: on\ncodex_pod: off\n")
    settings = load_settings(home)
    assert (settings.store_responses, settings.codex_pod) == ("on", "off")
    assert load_settings({**home, "AUTOSRE_CODEX_POD": "on"}).codex_pod == "on"
    with pytest.raises(ConfigError, match="on or off"):
        load_settings({**home, "AUTOSRE_CODEX_POD": "maybe"})
