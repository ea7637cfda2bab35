"""Sections that say where an engine runs, what it needs there, and how it starts and ends."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autosre_lab.recipe.section import AbsolutePath, ClusterIp, Quantity, Section, Text, Texts

__all__ = [
    "CompileCache",
    "Gpu",
    "HfCache",
    "HostMount",
    "Lifecycle",
    "Memory",
    "Network",
    "Parity",
    "Resources",
    "Security",
    "Storage",
]


class Gpu(Section):
    """The device that a Pod asks for."""

    resource: Text = "nvidia.com/gpu"
    count: Annotated[int, Field(ge=1)] = 1
    runtime_class: str | None = None
    memory_gib: Annotated[int, Field(ge=1)] | None = None
    """Least device memory that this recipe needs, unified memory included."""


class Memory(Section):
    """Main memory of a Pod."""

    request: Quantity
    limit: Quantity | None = None


class Resources(Section):
    """What the engine needs of the machine."""

    gpu: Gpu | None = None
    cpu: Quantity | None = None
    memory: Memory | None = None
    shm: Quantity | None = None


class HfCache(Section):
    """The folder with the weights."""

    host_path: AbsolutePath
    mount: AbsolutePath
    read_only: bool = True


class CompileCache(Section):
    """The folder with compiled kernels; it must be writable, or each start compiles again."""

    host_path: AbsolutePath
    mount: AbsolutePath


class HostMount(Section):
    """One more folder of the host, for example weights that are not in the hub's cache."""

    host_path: AbsolutePath
    mount: AbsolutePath
    read_only: bool = True


class Storage(Section):
    """Folders of the host that a Pod sees."""

    hf_cache: HfCache | None = None
    compile_cache: CompileCache | None = None
    mounts: Annotated[tuple[HostMount, ...], Field(strict=False)] = ()


class Security(Section):
    """As whom the engine runs in its Pod. Never privileged, never with added capabilities."""

    run_as_user: Annotated[int, Field(ge=0)] | None = None
    """Numeric user; absent leaves it to the image, and vLLM's own images run as root."""
    run_as_group: Annotated[int, Field(ge=0)] | None = None
    read_only_root: bool = False
    """A read-only root file system; /tmp stays writable."""


class Network(Section):
    """Where a Pod listens."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8010
    cluster_ip: ClusterIp | None = None
    """The engine's fixed address in the cluster; absent: the chart's own."""


class Lifecycle(Section):
    """From the start of the process to its end."""

    strategy: Literal["Recreate"] = "Recreate"
    """One GPU holds one engine: a surge would wait for ever."""
    startup_budget_s: Annotated[int, Field(ge=1)] = 1800
    """Seconds from the start until the first token."""
    grace_s: Annotated[int, Field(ge=1)] = 60
    """Seconds from the request to stop until the process is killed."""
    gates: Annotated[
        tuple[Literal["gpu", "health", "models", "first_token"], ...], Field(strict=False)
    ] = ("health", "models", "first_token")
    """What must hold, in this order, before the engine counts as ready."""

    @property
    def progress_deadline_s(self) -> int:
        """Return the rollout's deadline; later than the budget, so that the budget is told."""
        return self.startup_budget_s + 300


class Parity(Section):
    """What a comparison with the live process looks at."""

    ignore_env: Texts = ()
    """Regular expressions of variables that may differ, besides those that every Pod has."""
    severity: dict[Text, Literal["error", "warn", "ignore"]] = Field(default_factory=dict)
    """Flag or variable to how bad a difference is, in place of the usual judgement."""
