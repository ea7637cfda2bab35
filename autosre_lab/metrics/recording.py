"""A recording, read back: as samples, or as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from autosre_lab.errors import ConfigError
from autosre_lab.metrics.recorder import Mark, RecordingHeader, segments
from autosre_lab.metrics.samples import FeedSample
from autosre_lab.metrics.tables import sample_tables

if TYPE_CHECKING:
    import pandas

__all__ = ["Recording", "read_recording", "read_samples"]

_DECODER = msgspec.json.Decoder(FeedSample | RecordingHeader | Mark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording as tables.

    Attributes:
        headers: One for each segment that is left.
        marks: What was noted while recording.
        tables: By kind; see `sample_tables`.
        skipped_lines: Lines that were torn, or are of no kind that is known.
    """

    headers: list[RecordingHeader]
    marks: list[Mark]
    tables: Mapping[str, pandas.DataFrame] = field(repr=False)
    skipped_lines: int

    def __getitem__(self, kind: str) -> pandas.DataFrame:
        """Return the table of a kind."""
        return self.tables[kind]


def read_recording(path: str | Path) -> Recording:
    """Read a recording, all of its segments.

    Args:
        path: The file that was recorded to.

    Raises:
        ConfigError: There is no such recording.
        MissingExtraError: pandas is not installed.
    """
    headers: list[RecordingHeader] = []
    marks: list[Mark] = []
    samples: list[FeedSample] = []
    skipped = 0
    for entry in _entries(Path(path)):
        if isinstance(entry, FeedSample):
            samples.append(entry)
        elif isinstance(entry, RecordingHeader):
            headers.append(entry)
        elif isinstance(entry, Mark):
            marks.append(entry)
        else:
            skipped += 1
    return Recording(
        headers=headers, marks=marks, tables=sample_tables(samples), skipped_lines=skipped
    )


def read_samples(path: str | Path) -> Iterator[FeedSample]:
    """Yield a recording's samples one by one, oldest first.

    Raises:
        ConfigError: There is no such recording.
    """
    for entry in _entries(Path(path)):
        if isinstance(entry, FeedSample):
            yield entry


def _entries(path: Path) -> Iterator[FeedSample | RecordingHeader | Mark | None]:
    found = segments(path)
    if not found:
        raise ConfigError(
            f"there is no recording {path}",
            remedy="record one: `autosre watch --record FILE`",
        )
    for part in found:
        with part.open("rb") as file:
            for line in file:
                if not line.strip():
                    continue
                try:
                    yield _DECODER.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    yield None
