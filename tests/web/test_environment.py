"""Which variables a process that reads the web keeps."""

from __future__ import annotations

import pytest

from autosre_lab.settings import setting_variables
from autosre_lab.web.environment import web_environment


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH"),
        *("XDG_STATE_HOME", "AUTOSRE_STATE_DIR", "AUTOSRE_FETCH_ALLOW", "RECORDING_PATH"),
        *("AUTOSRE_BROWSER_URL", "MCP_TOOL_TIMEOUT", "MAX_MCP_OUTPUT_TOKENS", "SSL_CERT_FILE"),
    ],
)
def test_what_is_needed_is_kept(name: str) -> None:
    assert web_environment({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "name",
    [
        *("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "HF_TOKEN", "OPENAI_API_KEY", "KUBECONFIG"),
        *("ANTHROPIC_API_KEY", "SSH_AUTH_SOCK", "AUTOSRE_PROXY_TOKEN", "AUTOSRE_ENGINE_KEY"),
        *("VLLM_API_KEY", "AUTOSRE_BROWSER_TOKEN", "AUTOSRE_MCP_TOKEN", "http_proxy", "PATHS"),
        *("LD_PRELOAD", "PYTHONSTARTUP", "NODE_OPTIONS", "path", "AUTOSRE_ANYTHING"),
    ],
)
def test_everything_else_is_not(name: str) -> None:
    assert web_environment({name: "x"}) == {}


def test_a_server_keeps_the_token_that_it_asks_for() -> None:
    environ = {"AUTOSRE_MCP_TOKEN": "x", "AUTOSRE_BROWSER_TOKEN": "y"}
    assert web_environment(environ, tokens=("AUTOSRE_MCP_TOKEN",)) == {"AUTOSRE_MCP_TOKEN": "x"}


def test_no_setting_is_named_like_a_secret() -> None:
    """A setting is handed to every server: a secret must not become one."""
    suspicious = {
        name
        for name in setting_variables()
        if any(word in name for word in ("TOKEN", "KEY", "SECRET", "PASSWORD"))
    }
    assert suspicious == {"AUTOSRE_BROWSER_TOKEN_FILE"}
