#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""junit.py counts|failed REPORT [DIRECTORY]: what pytest's XML report says.

counts   prints how many tests passed, failed and were skipped
failed   prints the node ids of those that failed, a line each; the tests are in DIRECTORY
"""

import os
import sys
import xml.etree.ElementTree as tree

HERE = os.path.relpath(os.path.dirname(os.path.abspath(__file__)))
DIRECTORY = sys.argv[3] if len(sys.argv) > 3 else HERE


def counts(root):
    suites = list(root.iter("testsuite"))
    total, failed, errors, skipped = (sum(int(s.get(k, 0)) for s in suites)
                                      for k in ("tests", "failures", "errors", "skipped"))
    print(max(total - failed - errors - skipped, 0), failed + errors, skipped)


def failed(root):
    ids = {}  # in order, each once: a test may fail and then fail at its end too
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            module = os.path.join(DIRECTORY, case.get("classname").replace(".", "/"))
            name = case.get("name").partition("]@")  # with a group of pytest-xdist behind it
            ids[f"{module}.py::{name[0]}{name[1][:1]}"] = True
    print(*ids, sep="\n", end="\n" if ids else "")


def main():
    try:
        root = tree.parse(sys.argv[2]).getroot()
    except (OSError, tree.ParseError):
        root = tree.Element("none")  # it broke before it could report
    {"counts": counts, "failed": failed}[sys.argv[1]](root)


if __name__ == "__main__":
    main()
