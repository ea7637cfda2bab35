"""What happened, line by line on disk: an experiment goes on from it after a kill."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from autosre_lab.errors import ExperimentError
from autosre_lab.private_files import write_whole
from autosre_lab.tuning.experiment import Experiment
from autosre_lab.tuning.trial import Trial

__all__ = ["Journal"]


class _Line(msgspec.Struct, kw_only=True, omit_defaults=True):
    kind: str
    experiment: str = ""
    trial: Trial | None = None
    number: int = 0
    note: str = ""


class Journal:
    """Appends to ``journal.jsonl`` in an experiment's folder; each line is on disk when it returns.

    Args:
        folder: Made where it is not there.
        experiment: What the journal is of.

    Raises:
        ExperimentError: The folder holds another experiment's journal.
    """

    def __init__(self, folder: Path, experiment: Experiment) -> None:
        self.folder = folder
        self._file = folder / "journal.jsonl"
        digest = hashlib.sha256(experiment.model_dump_json(by_alias=True).encode()).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        lines = self._lines()
        begun = [line for line in lines if line.kind == "experiment"]
        if begun and begun[0].experiment != digest:
            raise ExperimentError(
                f"{folder} holds the journal of another experiment",
                remedy="give another --folder, or the file that the experiment was begun with",
            )
        if not begun:
            self._append(_Line(kind="experiment", experiment=digest))
            write_whole(
                folder / "experiment.json", experiment.model_dump_json(by_alias=True, indent=1)
            )
        self.trials: list[Trial] = [line.trial for line in lines if line.trial is not None]
        ended = {trial.number for trial in self.trials}
        self.interrupted: list[int] = sorted(
            {line.number for line in lines if line.kind == "begun"} - ended
        )

    def begin(self, number: int) -> None:
        """Note that a trial is under way."""
        self._append(_Line(kind="begun", number=number))

    def end(self, trial: Trial) -> None:
        """Note how a trial went."""
        self.trials.append(trial)
        self._append(_Line(kind="ended", number=trial.number, trial=trial))

    def note(self, text: str) -> None:
        """Note something a person should know, such as what was not tried."""
        self._append(_Line(kind="note", note=text))

    def notes(self) -> list[str]:
        """Return what was noted."""
        return [line.note for line in self._lines() if line.note]

    def _lines(self) -> list[_Line]:
        if not self._file.exists():
            return []
        found = []
        for raw in self._file.read_bytes().splitlines():
            try:
                found.append(msgspec.json.decode(raw, type=_Line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # the line that a kill cut off
        return found

    def _append(self, line: _Line) -> None:
        try:
            # A line that a kill cut off must not swallow this one.
            torn = self._file.exists() and self._file.read_bytes()[-1:] not in (b"", b"\n")
            with self._file.open("ab") as file:
                file.write((b"\n" if torn else b"") + msgspec.json.encode(line) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ExperimentError(
                f"the journal {self._file} cannot be written: {error.strerror}",
                remedy="free the disk, or give another --folder; what was done is kept",
            ) from error
