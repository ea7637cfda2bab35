"""An experiment's memory: what a kill cuts off is lost, and nothing else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from autosre_lab.errors import ExperimentError
from autosre_lab.tuning.journal import Journal
from autosre_lab.tuning.trial import Trial
from tests.tuning.scripted import SLOTS, experiment


def trial(number: int) -> Trial:
    return Trial(number=number, values={SLOTS: number}, outcome="ok")


def lines(folder: Path) -> list[str]:
    return (folder / "journal.jsonl").read_text("utf-8").splitlines()


def test_each_line_says_what_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    journal = Journal(folder, experiment())
    journal.begin(1)
    journal.end(trial(1))
    journal.note("left out")
    said = [json.loads(line) for line in lines(folder)]
    assert [one["kind"] for one in said] == ["experiment", "begun", "ended", "note"]
    whole = experiment().model_dump_json(by_alias=True).encode()
    assert said[0]["experiment"] == hashlib.sha256(whole).hexdigest()
    assert journal.folder == folder
    assert (said[1]["number"], said[2]["number"], said[3]["note"]) == (1, 1, "left out")
    assert msgspec.convert(said[2]["trial"], Trial) == trial(1)
    assert (folder / "experiment.json").read_text("utf-8") == experiment().model_dump_json(
        by_alias=True, indent=1
    )
    assert journal.notes() == ["left out"]
    assert journal.trials == [trial(1)]


def test_it_goes_on_with_what_ended_and_tells_what_was_interrupted(tmp_path: Path) -> None:
    journal = Journal(tmp_path, experiment())
    assert (journal.trials, journal.interrupted) == ([], [])
    for number in (3, 1, 2):
        journal.begin(number)
    journal.end(trial(1))
    again = Journal(tmp_path, experiment())
    assert (again.trials, again.interrupted) == ([trial(1)], [2, 3])
    assert [json.loads(line)["kind"] for line in lines(tmp_path)].count("experiment") == 1


def test_another_experiments_journal_is_left_alone(tmp_path: Path) -> None:
    Journal(tmp_path, experiment()).end(trial(1))
    before = lines(tmp_path)
    with pytest.raises(ExperimentError) as caught:
        Journal(tmp_path, experiment(seed=1))
    assert str(tmp_path) in caught.value.message
    assert caught.value.message.endswith("holds the journal of another experiment")
    assert caught.value.remedy == (
        "give another --folder, or the file that the experiment was begun with"
    )
    assert lines(tmp_path) == before


@pytest.mark.parametrize("torn", ['{"kind":"ended","num', '{"kind":"begun","number":2}'])
def test_a_line_that_a_kill_cut_off_swallows_nothing(tmp_path: Path, torn: str) -> None:
    journal = Journal(tmp_path, experiment())
    journal.end(trial(1))
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write(torn)
    again = Journal(tmp_path, experiment())
    again.end(trial(2))
    again.note("after")
    found = Journal(tmp_path, experiment())
    assert (found.trials, found.notes()) == ([trial(1), trial(2)], ["after"])
    assert "" not in lines(tmp_path)


def test_an_empty_journal_is_begun(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").touch()
    Journal(tmp_path, experiment())
    assert [json.loads(line)["kind"] for line in lines(tmp_path)] == ["experiment"]


def test_a_torn_line_in_the_middle_hides_nothing_behind_it(tmp_path: Path) -> None:
    Journal(tmp_path, experiment()).note("first")
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write("{torn\n")
    Journal(tmp_path, experiment()).note("last")
    assert Journal(tmp_path, experiment()).notes() == ["first", "last"]


def test_a_journal_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    journal = Journal(tmp_path, experiment())
    (tmp_path / "journal.jsonl").unlink()
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(ExperimentError, match="cannot be written: Is a directory") as caught:
        journal.note("x")
    assert caught.value.remedy == "free the disk, or give another --folder; what was done is kept"
