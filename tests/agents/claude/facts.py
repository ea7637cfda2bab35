"""A stack and a session as facts, for tests that plan and run nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autosre_lab.agents.claude.additions import Placed
from autosre_lab.agents.claude.plan import plan_launch
from autosre_lab.agents.claude.profiles import PROFILES
from autosre_lab.agents.claude.window import fit_window
from autosre_lab.agents.launch import Browser, Launch
from autosre_lab.provision import CLAUDE_CODE_VERSION


@dataclass(frozen=True)
class Facts:
    proxy_url: str = "http://127.0.0.1:8011"
    token: str = field(default="s3cret-token", repr=False)
    model: str = "some-model"
    max_model_len: int = 131_072


def plan(
    *args: str,
    profile: str = "full",
    first_prompt: int = 15_000,
    environ: dict[str, str] | None = None,
    config_dir: Path | None = Path("/state/claude"),
    window: int = 131_072,
    version: str = CLAUDE_CODE_VERSION,
    servers: Sequence[str] = (),
    browser: Browser | None = None,
    placed: Placed = Placed(),  # noqa: B008 - frozen
    started_as: str = "",
) -> Launch:
    chosen = PROFILES[profile]
    fit = fit_window(window, chosen, first_prompt)
    assert fit is not None
    return plan_launch(
        Facts(max_model_len=window),
        args,
        fit=fit,
        profile=chosen,
        executable=Path("/opt/claude"),
        version=version,
        environ=environ or {},
        config_dir=config_dir,
        servers=servers,
        browser=browser,
        placed=placed,
        started_as=started_as,
    )
