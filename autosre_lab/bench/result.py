"""A measurement with everything that is needed to repeat it, and its file."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from autosre_lab.badges import Badge
from autosre_lab.bench.gpu_use import MeasuredGpu
from autosre_lab.bench.machine import Machine
from autosre_lab.bench.machine_check import MachineCheck
from autosre_lab.bench.summary import Summary
from autosre_lab.bench.timing import RequestTiming
from autosre_lab.errors import BenchmarkError, MissingExtraError
from autosre_lab.metrics.rates import WindowRates
from autosre_lab.metrics.roofline import Roofline
from autosre_lab.private_files import write_whole

if TYPE_CHECKING:
    import pandas

__all__ = ["SCHEMA", "Conditions", "Harness", "Result", "load_result", "save_result"]

SCHEMA = "autosre.result/v2"
_V1 = "autosre.result/v1"


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """How the measurement was made: the same again gives the same, within its noise.

    Attributes:
        workload: Its name.
        workload_sha256: Digest of all its sessions, before salting.
        workload_seed: What it was drawn from.
        workload_parameters: How it was made.
        history: ``live`` or ``scripted``.
        arrivals: As `parse_arrivals` reads it.
        arrivals_seed: Of random arrivals.
        cache: ``cold``: no prompt of an earlier run could be in the prefix cache. ``warm``: the
            first turns' prompts were sent before the measurement.
        salt: What made it so: the first words of each system prompt.
        warmup_s: Requests due before this are left out.
        duration_s: No turn started later; None for all of them.
        limits: Seconds by metric; what a good request keeps.
        url: Where requests went.
        protocol: The API.
        model: The name asked for.
        recipe: The recipe's name, where it is known.
        recipe_sha256: Its digest.
        recipe_yaml: All of it.
        engine: vLLM's version, window and cache configuration, as it told them.
    """

    workload: str
    workload_sha256: str
    workload_seed: int
    workload_parameters: dict[str, int | float | str | bool]
    history: str
    arrivals: str
    arrivals_seed: int
    cache: str
    salt: str
    warmup_s: float
    duration_s: float | None
    limits: dict[str, float]
    url: str
    protocol: str
    model: str
    recipe: str | None = None
    recipe_sha256: str | None = None
    recipe_yaml: str | None = None
    engine: dict[str, str | int | float] = {}


class Harness(msgspec.Struct, frozen=True, kw_only=True):
    """What measuring cost, so that nobody takes the client's limits for the server's.

    Attributes:
        cpu_s: CPU time of the client's process during the run.
        cpu_share: Of one core.
        loop_lag_s: The longest that the client was late with anything.
        versions: Of this package and the libraries that send and time.
    """

    cpu_s: float
    cpu_share: float
    loop_lag_s: float
    versions: dict[str, str]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A result card.

    Attributes:
        id: Short, unique.
        at: When it began, ISO 8601, UTC.
        badge: What produced the numbers.
        conditions: How it was made.
        summary: Its figures.
        server: The engine's own figures over the same time; None where it has no `/metrics`.
        check_before: The machine check before; None where it was left out.
        check_after: The machine check after.
        roofline: The decode rate beside its ceiling; None where the model's shape is unknown.
        machine: The machine that the client ran on.
        gpu: The GPUs that answered, and what they did; None where they cannot be read.
        harness: What measuring cost.
        warnings: What makes the numbers doubtful, in words.
        timings: Each request's raw times.
        schema: The file's kind.
    """

    id: str
    at: str
    badge: Badge
    conditions: Conditions
    summary: Summary
    machine: Machine
    harness: Harness
    server: WindowRates | None = None
    check_before: MachineCheck | None = None
    check_after: MachineCheck | None = None
    roofline: Roofline | None = None
    gpu: MeasuredGpu | None = None
    warnings: tuple[str, ...] = ()
    timings: list[RequestTiming] = []
    schema: str = SCHEMA

    @property
    def machine_suspect(self) -> bool:
        """The machine was slower or faster after than before, by more than it varies."""
        before, after = self.check_before, self.check_after
        return before is not None and after is not None and after.suspect_after(before)

    def table(self) -> list[dict[str, Any]]:
        """Return one row a request, for a DataFrame; times in seconds."""
        first = min((one.sent_ns for one in self.timings), default=0)
        return [
            {
                "session": one.session,
                "turn": one.turn,
                "sent_s": (one.sent_ns - first) / 1e9,
                "ttft_s": one.ttft_s,
                "ttfo_s": one.ttfo_s,
                "ttfa_s": one.ttfa_s,
                "tpot_s": one.tpot_s,
                "e2el_s": one.e2el_s,
                "e2el_scheduled_s": one.e2el_scheduled_s,
                "input_tokens": one.input_tokens,
                "cached_tokens": one.cached_tokens,
                "output_tokens": one.output_tokens,
                "stop_reason": one.stop_reason,
                "warmup": one.warmup,
                "error": one.error,
            }
            for one in self.timings
        ]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return `table` as a DataFrame, one row a request.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("a result as a DataFrame", extra="notebooks") from error
        return pandas.DataFrame(self.table())

    def __repr__(self) -> str:
        return f"<Result {self.id}, {self.at}, {self.badge}, {self.summary.requests} requests>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from autosre_lab.bench.result_card import result_card

        return result_card(self).mimebundle()


def save_result(result: Result, path: str | Path) -> Path:
    """Write a result as JSON, compressed where the name ends in ``.gz``.

    Returns:
        The file; its folder is made.
    """
    file = Path(path)
    data = msgspec.json.format(msgspec.json.encode(result), indent=1)
    return write_whole(file, gzip.compress(data, mtime=0) if file.suffix == ".gz" else data)


def load_result(path: str | Path) -> Result:
    """Read a result's file.

    Raises:
        BenchmarkError: There is none, or it is something else.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
        if file.suffix == ".gz":
            data = gzip.decompress(data)
        tree = msgspec.json.decode(data, type=dict[str, Any])
        found = msgspec.convert(tree.get("schema"), type=str)
        result = msgspec.convert(_as_now(tree), type=Result) if found in (SCHEMA, _V1) else None
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise BenchmarkError(
            f"{file} is not a result: {error}",
            remedy="give a file that `autosre bench run --out FILE` wrote",
        ) from error
    if result is None:
        raise BenchmarkError(
            f"{file} has schema {found}, this version reads {SCHEMA} and {_V1}",
            remedy="read it with the version that wrote it, or measure again",
        )
    return result


def _as_now(tree: dict[str, Any]) -> dict[str, Any]:
    """A file's content by today's names: the first schema called the machine check a canary."""
    if tree["schema"] == SCHEMA:
        return tree
    checks = {f"check_{when}": tree.get(f"canary_{when}") for when in ("before", "after")}
    return {**tree, **checks, "schema": SCHEMA}
