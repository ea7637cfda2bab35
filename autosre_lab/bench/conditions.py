"""How a run was made, as its result card says it."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from autosre_lab.bench.plan import Plan
from autosre_lab.bench.result import Conditions
from autosre_lab.bench.target import Target
from autosre_lab.bench.workload import Workload
from autosre_lab.errors import AutosreError
from autosre_lab.metrics.engine_sample import EngineSample
from autosre_lab.metrics.vllm_text import read_engine_metrics
from autosre_lab.recipe import Recipe

__all__ = ["conditions_of", "scrape_engine"]

_ASK_TORCH = "import importlib.metadata as m; print(m.version('torch'))"


def conditions_of(
    workload: Workload, target: Target, plan: Plan, *, salt: str, recipe: Recipe | None
) -> Conditions:
    """Return everything that the same measurement needs again; no secret is among it."""
    from autosre_lab.recipe.dump import recipe_sha256, recipe_yaml

    arrivals = plan.parsed_arrivals
    return Conditions(
        workload=workload.name,
        workload_sha256=workload.sha256,
        workload_seed=workload.seed,
        workload_parameters=workload.parameters,
        history=workload.history,
        arrivals=str(arrivals),
        arrivals_seed=arrivals.seed,
        cache=plan.cache,
        salt=salt,
        warmup_s=plan.warmup_s,
        duration_s=plan.duration_s,
        limits=dict(plan.limits),
        url=_without_user(target.url),
        protocol=target.protocol,
        model=target.model,
        recipe=recipe.name if recipe is not None else None,
        recipe_sha256=recipe_sha256(recipe) if recipe is not None else None,
        recipe_yaml=recipe_yaml(recipe) if recipe is not None else None,
        engine=_engine_facts(target, recipe),
    )


def scrape_engine(target: Target) -> EngineSample | None:
    """Return the engine's own figures now; None where they cannot be had."""
    if target.engine_url is None:
        return None
    try:
        return read_engine_metrics(target.engine_url, key=target.engine_key)
    except AutosreError:
        return None


def _engine_facts(target: Target, recipe: Recipe | None) -> dict[str, str | int | float]:
    if target.engine_url is None:
        return {}
    from autosre_lab.engine import VllmBackend

    facts: dict[str, str | int | float] = {}
    try:
        with VllmBackend(target.engine_url, api_key=target.engine_key) as backend:
            facts |= {"version": backend.version(), "max_model_len": backend.max_model_len()}
    except AutosreError:
        return facts
    if recipe is not None and (torch := _torch_version(recipe)):
        facts["torch"] = torch
    sample = scrape_engine(target)
    for labels in sample.cache_config[:1] if sample is not None else ():
        facts |= {f"cache.{name}": value for name, value in labels.items()}
    return facts


def _torch_version(recipe: Recipe) -> str:
    """Version of torch in the engine's environment on this machine; empty where there is none."""
    from autosre_lab.provision.engine_environment import engine_python

    runtime = recipe.runtime
    if runtime is None or runtime.device == "scripted":
        return ""
    return _torch_of(engine_python(recipe))


@lru_cache(maxsize=8)
def _torch_of(python: Path) -> str:
    try:
        done = subprocess.run(
            [str(python), "-c", _ASK_TORCH],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
            text=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
