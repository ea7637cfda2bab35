from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.settings import load_settings, paths, show_settings


def test_folders_follow_the_specification_and_can_be_moved_one_by_one(tmp_path: Path) -> None:
    home = {"HOME": "/home/ann"}
    assert paths(home).config == Path("/home/ann/.config/autosre")
    assert paths(home).data == Path("/home/ann/.local/share/autosre")
    assert paths(home).state == Path("/home/ann/.local/state/autosre")
    assert paths(home).cache == Path("/home/ann/.cache/autosre")
    moved = paths({**home, "XDG_DATA_HOME": "/big", "AUTOSRE_CACHE_DIR": str(tmp_path)})
    assert (moved.data, moved.cache) == (Path("/big/autosre"), tmp_path)
    # The specification says that a relative path is to be ignored.
    assert paths({**home, "XDG_DATA_HOME": "big"}).data == Path("/home/ann/.local/share/autosre")


def test_our_own_relative_path_is_an_error_that_names_the_absolute_one() -> None:
    with pytest.raises(ConfigError, match="AUTOSRE_DATA_DIR") as caught:
        paths({"AUTOSRE_DATA_DIR": "data"})
    assert str(Path.cwd() / "data") in caught.value.remedy


def config(tmp_path: Path, text: str) -> dict[str, str]:
    (tmp_path / "settings.yaml").write_text(text, encoding="utf-8")
    return {"AUTOSRE_CONFIG_DIR": str(tmp_path), "HOME": "/home/ann"}


def test_a_variable_beats_the_file_and_the_file_the_default(tmp_path: Path) -> None:
    env = config(tmp_path, "recipe: from-file\nproxy_port: 9000\n")
    settings = load_settings({**env, "AUTOSRE_RECIPE": "from-variable"})
    assert (settings.recipe, settings.proxy_port, settings.engine_port) == (
        "from-variable",
        9000,
        0,
    )
    shown = show_settings({**env, "AUTOSRE_RECIPE": "from-variable"})
    assert shown["recipe"] == {"value": "from-variable", "source": "AUTOSRE_RECIPE"}
    assert shown["proxy_port"]["source"] == str(tmp_path / "settings.yaml")
    assert shown["engine_port"] == {"value": "0", "source": "default"}
    assert shown["config_dir"] == {"value": str(tmp_path), "source": "AUTOSRE_CONFIG_DIR"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("recipee: x\n", "recipee"),
        ("proxy_port: many\n", "proxy_port"),
        ("recipe: 5\n", "recipe"),
        ("- a\n", "mapping"),
        ("recipe: [\n", "YAML"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_its_place(
    tmp_path: Path, text: str, names: str
) -> None:
    with pytest.raises(ConfigError, match=names) as caught:
        load_settings(config(tmp_path, text))
    assert "settings.yaml" in caught.value.message
    assert caught.value.remedy


def test_a_variable_that_is_no_number_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="AUTOSRE_PROXY_PORT"):
        load_settings({**config(tmp_path, ""), "AUTOSRE_PROXY_PORT": "http"})
