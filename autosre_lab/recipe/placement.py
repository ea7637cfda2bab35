"""Sections that say where an engine runs, what it needs there, and how it starts and ends."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autosre_lab.recipe.section import Quantity, Section, Text

__all__ = [
    "CompileCache",
    "Gpu",
    "HfCache",
    "Lifecycle",
    "Memory",
    "Network",
    "Resources",
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

    host_path: Text
    mount: Text
    read_only: bool = True


class CompileCache(Section):
    """The folder with compiled kernels; it must be writable, or each start compiles anew."""

    host_path: Text
    mount: Text


class Storage(Section):
    """Folders of the host that a Pod sees."""

    hf_cache: HfCache | None = None
    compile_cache: CompileCache | None = None


class Network(Section):
    """Where a Pod listens."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    cluster_ip: str | None = None


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
