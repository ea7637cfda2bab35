"""What the chart is told, as types; `values.schema.json` is made from them.

Keys are written as Helm's users expect them, in camelCase. Unknown keys are refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

__all__ = [
    "BrowserValues",
    "ChartValues",
    "Mount",
    "PreemptionValues",
    "Probe",
    "ProxyValues",
    "RecipeValues",
    "SecretKey",
    "VllmValues",
    "Volume",
]

Ip = Annotated[str, StringConstraints(pattern=r"^\d{1,3}(\.\d{1,3}){3}$")]
Cidr = Annotated[str, StringConstraints(pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$")]
Name = Annotated[str, StringConstraints(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
Json = dict[str, Any]


class Values(BaseModel):
    """A part of the values: frozen, without unknown keys, camelCase outside."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


class RecipeValues(Values):
    """The recipe that these values were made from."""

    name: Name
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    yaml: Name
    """Its whole text; kept in the cluster as ConfigMap autosre-recipe."""


class Mount(Values):
    """Where a volume is seen in the container."""

    mount_path: Name
    sub_path: str = ""
    read_only: bool = True


class Volume(Values):
    """A volume and the places where it is seen."""

    name: Name
    source: Json
    """As Kubernetes spells it: hostPath, emptyDir, …"""
    mounts: list[Mount]


class Probe(Values):
    """How often, and how often in vain."""

    period_seconds: Annotated[int, Field(ge=1)]
    failure_threshold: Annotated[int, Field(ge=1)]


class SecretKey(Values):
    """One entry of a Secret."""

    name: Name
    key: Name


class VllmValues(Values):
    """The engine's Pod."""

    image: Name
    command: Annotated[list[str], Field(min_length=1)]
    """The whole argument list; no shell reads it."""
    env: list[Json] = []
    replicas: Annotated[int, Field(ge=0, le=1)] = 1
    port: Port
    cluster_ip: Annotated[Ip, Field(alias="clusterIP")]
    runtime_class_name: str | None = None
    resources: Json = {}
    volumes: list[Volume] = []
    startup_probe: Probe
    progress_deadline_seconds: Annotated[int, Field(ge=1)]
    grace_period_seconds: Annotated[int, Field(ge=1)]
    pod_security_context: Json = {}
    security_context: Json = {}
    offline: bool
    """The engine needs nothing from outside, and may not ask for anything."""
    allow_from: list[Cidr] = []
    """Networks besides the proxies that may reach the engine; they need its key."""
    key_secret: SecretKey
    """What the engine asks for, and the proxies show. `autosre start` makes it; Helm's users make
    it by hand."""
    key_checksum: str = ""
    """Changes with the key, so that a new one makes new Pods."""


class PreemptionValues(Values):
    """The scheduler's hook, mounted into the engine's Pod."""

    enabled: bool = False
    file: str = ""
    folder: str = ""
    sha256: str = ""
    text: str = ""


class ProxyValues(Values):
    """A proxy's Pod."""

    enabled: bool = True
    image: Name
    command: Annotated[list[str], Field(min_length=1)]
    replicas: Annotated[int, Field(ge=0)] = 1
    port: Port
    cluster_ip: Annotated[Ip, Field(alias="clusterIP")]
    token_secret: SecretKey
    """What clients have to show. `autosre start` makes it; Helm's users make it by hand."""
    token_checksum: str = ""
    """Changes with the token, so that a new one makes new Pods."""
    keys_secret: str = ""
    """Secret whose keys.json has the keys of single clients, mounted at /etc/autosre/keys; a change
    is read without a new Pod. Empty: none are taken."""
    responses_size: str = ""
    """Size of the volume in which responses are stored, which a restart of the container leaves
    and a new Pod does not have; empty: none are stored."""
    resources: Json = {}
    grace_period_seconds: Annotated[int, Field(ge=1)] = 30
    allow_from: list[Cidr] = []
    """Networks that may reach the proxy; empty: all, for the token guards it."""


class BrowserValues(Values):
    """The browser's Pod."""

    enabled: bool = False
    kind: Literal["chromium", "browserless"] = "chromium"
    """Debian's Chromium behind this project's gate, or browserless."""
    accept_licence: bool = False
    """browserless is under the SSPL or a commercial licence; without this it is not deployed."""
    image: Name
    command: list[str] = []
    replicas: Annotated[int, Field(ge=0, le=1)] = 1
    port: Port
    cluster_ip: Annotated[Ip, Field(alias="clusterIP")]
    token_secret: SecretKey
    """What clients have to show. `autosre start` makes it; Helm's users make it by hand."""
    token_checksum: str = ""
    """Changes with the token, so that a new one makes new Pods."""
    browsers: Annotated[int, Field(ge=1)] = 4
    """Clients that may have a browser at once."""
    fetch_allow: str = ""
    """What pages may reach besides the public web, as AUTOSRE_FETCH_ALLOW has it. The
    NetworkPolicy has to be opened as well: allowTo."""
    allow_to: list[Cidr] = []
    """Networks that pages may reach besides the public ones."""
    allow_from: list[Cidr] = []
    """Networks that may reach the browser; empty: all, for the token guards it."""
    recording_host_path: str = ""
    """A folder of the node seen as /recordings, writable for user 65532; empty: gone with the
    Pod."""
    recording_ttl: Annotated[float, Field(ge=0)] = 24.0
    """Hours that a recording is kept."""
    shm: Name = "1Gi"
    """Size of /dev/shm, which Chromium's processes share; it counts as the Pod's memory."""
    resources: Json = {}


class ChartValues(Values):
    """Everything the chart is told."""

    model_config = ConfigDict(title="autosre chart values")

    recipe: RecipeValues
    vllm: VllmValues
    preemption: PreemptionValues = PreemptionValues()
    proxy: ProxyValues
    codex_proxy: ProxyValues
    browser: BrowserValues
    host_aliases: list[Json] = []
    node_selector: dict[str, str] = {}
    tolerations: list[Json] = []
    scrape_from: list[Name] = []
    """Namespaces whose Pods may reach /metrics of engine and proxies."""
    global_: Annotated[Literal[None] | Json, Field(alias="global")] = None
    """Helm's own; not used here."""
