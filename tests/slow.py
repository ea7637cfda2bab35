"""Which files of tests are slow, so that the inner loop can leave them out.

make test ARGS=--junitxml=build/tests.xml
python -m tests.slow build/tests.xml > tests/slow.txt
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import iterparse

LIMIT_S = 2.0
FILE = Path(__file__).parent / "slow.txt"


def slow_files() -> frozenset[str]:
    """Return the files as they are in the list, like `tests/proxy/test_probe.py`."""
    return frozenset(FILE.read_text("utf-8").split())


def measured(junit: Path) -> dict[str, float]:
    """Return the seconds that each file's tests took together."""
    found = defaultdict[str, float](float)
    for name, took_s in _cases(junit):
        found[name] += took_s
    return dict(found)


def _cases(junit: Path) -> Iterator[tuple[str, float]]:
    for _, element in iterparse(junit):
        if element.tag == "testcase":
            yield file_of(element.attrib["classname"]), float(element.attrib["time"])
            element.clear()


def file_of(classname: str) -> str:
    """Return the file of a test's dotted name, which may end in the names of classes."""
    parts = classname.split(".")
    last = max(at for at, part in enumerate(parts) if part.startswith("test_"))
    return "/".join(parts[: last + 1]) + ".py"


if __name__ == "__main__":
    took = measured(Path(sys.argv[1]))
    for name in sorted(name for name, took_s in took.items() if took_s > LIMIT_S):
        print(name)
