"""docs/faults.md names tests, and each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "faults.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]


def test_every_fault_names_tests_that_exist() -> None:
    rows = [row for row in ROWS if not row.startswith("| fault |")]
    assert len(rows) > 80
    missing = []
    for row in rows:
        named = re.findall(r"`([\w/.]+\.(?:py|json)(?:::\w+)?)`", row.rpartition(" | ")[2])
        assert named, row
        for name in named:
            file, _, test = name.partition("::")
            path = TESTS / file
            text = path.read_text("utf-8") if path.is_file() else ""
            a_test = re.search(rf"^(async )?def {test or 'test_'}", text, re.MULTILINE)
            if not (a_test or (text and path.suffix == ".json")):
                missing.append(name)
    assert not missing
