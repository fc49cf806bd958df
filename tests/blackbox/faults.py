# SPDX-License-Identifier: ISC
"""docs/faults.md as data: its rows, and the tests that each names."""

import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
DOCUMENT = TOP / "docs/faults.md"
ROW = re.compile(r"\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$")


def rows():
    """{number: (fault, what echod does, [test...])}"""
    found = {}
    if DOCUMENT.exists():
        for match in filter(None, map(ROW.match, DOCUMENT.read_text().splitlines())):
            number, fault, behaviour, tests = match.groups()
            assert int(number) not in found, f"row {number} is there twice"
            found[int(number)] = (fault, behaviour, re.findall(r"`([^`]+)`", tests))
    return found


def keywords():
    """{"test_x.py::NAME": ["fault15", ...]}: what -k of pytest finds a black-box test by."""
    found = {}
    for number, (_, _, tests) in rows().items():
        for test in tests:
            found.setdefault(test, []).append(f"fault{number:02}")
    return found
