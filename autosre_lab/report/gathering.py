"""What was measured, found in files and folders: each kind is told by what it holds."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from autosre_lab.bench.result import SCHEMA as RESULT
from autosre_lab.bench.result import Result, load_result
from autosre_lab.errors import AutosreError, ConfigError
from autosre_lab.evaluation.result import SCHEMA as EVALUATION
from autosre_lab.evaluation.result import EvaluationResult, load_evaluation
from autosre_lab.metrics.recorder import segments
from autosre_lab.tuning.experiment import Experiment
from autosre_lab.tuning.journal import Journal
from autosre_lab.tuning.winner import experiment_in

__all__ = ["Gathered", "gather"]

_EXPERIMENT = "experiment.json"
_NOT_READ = {_EXPERIMENT, "report.json", "journal.jsonl"}


class Gathered(msgspec.Struct, kw_only=True):
    """Everything a report is made of, each with where it came from.

    Attributes:
        results: Of benchmarks, oldest first.
        evaluations: Oldest first.
        experiments: With their journals.
        recordings: Their files.
        request_logs: Of proxies.
        skipped: Files that are none of these, and why.
    """

    results: list[tuple[Path, Result]] = []
    evaluations: list[tuple[Path, EvaluationResult]] = []
    experiments: list[tuple[Path, Experiment, Journal]] = []
    recordings: list[Path] = []
    request_logs: list[Path] = []
    skipped: list[tuple[Path, str]] = []


class _Kind(msgspec.Struct):
    schema: str = ""
    kind: str = ""
    request_id: str = ""


def gather(sources: Sequence[str | Path]) -> Gathered:
    """Find what was measured.

    Args:
        sources: Result cards, evaluations, recordings, request logs, experiments' folders, or
            folders with any of these in them. An experiment's own result cards are part of it, not
            of the report.

    Raises:
        ConfigError: A source is not there, or there is nothing to report in any.
    """
    found = Gathered()
    for source in map(Path, sources):
        # A recording that is full has only its segments left.
        if not source.exists() and not segments(source):
            raise ConfigError(
                f"there is no {source}",
                remedy="give files that `autosre bench run --out`, `autosre eval run --out` or "
                "`autosre watch --record` wrote, or folders with such files",
            )
        if source.is_dir():
            _take_folder(source, found)
        else:
            _take_file(source, found, named=True)
    measured = found.results or found.evaluations or found.experiments or found.recordings
    if not (measured or found.request_logs):
        why = "; ".join(f"{path}: {reason}" for path, reason in found.skipped[:3])
        raise ConfigError(
            "there is nothing to report" + (f" ({why})" if why else ""),
            remedy="measure first: `autosre report run --out FOLDER` does all of it",
        )
    found.results.sort(key=lambda one: one[1].at)
    found.evaluations.sort(key=lambda one: one[1].at)
    return found


def _take_folder(folder: Path, found: Gathered) -> None:
    if (folder / _EXPERIMENT).exists():
        try:
            found.experiments.append((folder, *experiment_in(folder)))
        except AutosreError as error:
            found.skipped.append((folder, error.message))
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            _take_folder(path, found)
        elif path.name not in _NOT_READ and path.name.endswith((".json", ".json.gz", ".jsonl")):
            _take_file(path, found, named=False)


def _take_file(path: Path, found: Gathered, *, named: bool) -> None:
    try:
        kind = _kind_of(path)
        if kind.schema == RESULT:
            found.results.append((path, load_result(path)))
        elif kind.schema == EVALUATION:
            found.evaluations.append((path, load_evaluation(path)))
        elif kind.kind in ("header", "sample"):
            found.recordings.append(path)
        elif kind.request_id:
            found.request_logs.append(path)
        elif named:
            found.skipped.append((path, "of no kind that a report shows"))
    except (OSError, EOFError, msgspec.DecodeError, UnicodeDecodeError) as error:
        found.skipped.append((path, str(error)))
    except AutosreError as error:
        found.skipped.append((path, error.message))


def _kind_of(path: Path) -> _Kind:
    whole = path.name.endswith((".json", ".json.gz"))
    if whole and path.exists():
        data = path.read_bytes()
        return msgspec.json.decode(
            gzip.decompress(data) if path.suffix == ".gz" else data, type=_Kind
        )
    return next(_first_lines(segments(path)), _Kind())


def _first_lines(parts: Iterable[Path]) -> Iterator[_Kind]:
    for part in parts:
        with part.open("rb") as file:
            yield msgspec.json.decode(file.readline(), type=_Kind)
