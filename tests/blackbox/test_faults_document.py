# SPDX-License-Identifier: ISC
"""docs/faults.md and SECURITY.md name every fault and every promise, and tests that are there."""

import ast
import functools
import re
import runpy
import subprocess

import pytest

import faults
from harness import ECHOD, SANITIZE

TESTS = faults.TOP / "tests"
SECURITY = faults.TOP / "SECURITY.md"
ROWS = 71


@functools.cache
def functions(path):
    """The names of the tests in PATH, of pytest or of cmocka."""
    text = path.read_text()
    if path.suffix == ".py":
        return {n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)}
    return set(re.findall(r"(?:cmocka_unit_test\w*|TEST)\(\s*(\w+)", text))


@functools.cache
def torture():
    """The tables of tools/torture; their module has the same name as one of ours."""
    return runpy.run_path(str(TESTS / "torture/faults.py"))


def missing(test):
    """What is wrong with the name of a test, or ""."""
    if test.startswith("torture: "):
        return "" if test[9:] in torture()["ALL"] else f"{test}: tools/torture does not know it"
    file, _, name = test.partition("::")
    path = TESTS / (file if "/" in file else f"blackbox/{file}")
    if not path.exists():
        return f"{test}: no such file"
    if not name and path.parent.name == "fuzz":
        return ""
    return "" if name in functions(path) else f"{test}: no such test"


def test_every_fault_is_there():
    """All rows, in their order, and each says something."""
    found = faults.rows()
    assert list(found) == list(range(1, ROWS + 1))
    for number, (fault, behaviour, tests) in found.items():
        assert fault.strip() and behaviour.strip() and tests, f"row {number}"


def test_every_test_is_there():
    problems = [f"row {n}: {p}" for n, (_, _, tests) in faults.rows().items()
                for p in map(missing, tests) if p]
    assert not problems


def test_every_promise_has_tests():
    """A promise is an item of a list, and ends with the names of its tests."""
    text = SECURITY.read_text()
    text = text[text.index("\n## Promises"):]
    promises = re.split(r"(?m)^\* ", text)[1:]
    assert len(promises) >= 8
    for promise in promises:
        tests = re.findall(r"`(\S+::\S+)`", promise)
        assert tests, promise
        assert not list(filter(None, map(missing, tests)))


def system_calls():
    """The names of all that there are."""
    macros = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"],
                            capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"#define SYS_(\w+)", macros))


@pytest.mark.skipif(bool(SANITIZE), reason="sanitizers make calls of their own")
def test_every_call_is_tortured():
    """Of libc's functions that are system calls each that the daemon is linked with fails in
    tools/torture, or it is said why not, in docs/fuzzing.md, too."""
    symbols = subprocess.run(["nm", "-D", "--undefined-only", ECHOD], capture_output=True, text=True,
                             check=True).stdout
    linked = set(re.findall(r"(?m) U (\w+)", symbols))
    known = {c for calls in torture()["LEFT_OUT"].values() for c in calls} | set(torture()["ALL"])
    assert len(linked & set(torture()["FAULTS"])) > 50
    assert not sorted((linked & system_calls()) - known)
    text = (faults.TOP / "docs/fuzzing.md").read_text()
    assert not [c for calls in torture()["LEFT_OUT"].values() for c in calls if f"`{c}`" not in text]
