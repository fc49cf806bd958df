# SPDX-License-Identifier: ISC
"""Fixtures: the roots of a release, and a container for each test.

Each release is a group of its own for pytest-xdist (-n 2 --dist loadgroup), so that its roots
are made once.  ECHOD_SYSTEM_DIR is the work directory; tools/test makes it, and looks whether
anything of its name is left at the end.
"""

import atexit
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox")]

import containers  # noqa: E402
import roots as roots_module  # noqa: E402

JOURNAL_LINES = 60  # of the container's journal are shown with a failure


def work_directory():
    """Where all of this run is; ours to remove if nobody gave it."""
    given = os.environ.get("ECHOD_SYSTEM_DIR")
    if given:
        return Path(given)
    made = Path(tempfile.mkdtemp(prefix="echod-system.", dir=os.environ.get("TMPDIR", "/var/tmp")))
    os.environ["ECHOD_SYSTEM_DIR"] = str(made)
    atexit.register(containers.remove_tree, made)
    return made


def pytest_configure(config):
    """The first process makes the directory; those of xdist inherit its name.  To be told to
    end is to end in order, with all containers gone."""
    directory = work_directory()
    containers.token = re.sub("[^a-z0-9]", "-", directory.name.lower())
    containers.token += os.environ.get("PYTEST_XDIST_WORKER", "")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def pytest_generate_tests(metafunc):
    """Every test runs once for each release."""
    if "release" in metafunc.fixturenames:
        metafunc.parametrize("release", [
            pytest.param(r, id=r.name, marks=[getattr(pytest.mark, r.name),
                                              pytest.mark.xdist_group(r.name)])
            for r in roots_module.RELEASES.values()], scope="session")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Show the container's journal with a failure."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for machine in getattr(item, "machines", []):
        if machine.process is None:
            continue
        try:
            text = machine.run("journalctl", "--no-pager", "-q", "-n", str(JOURNAL_LINES),
                               check=False, timeout=30).stdout
        except (OSError, subprocess.SubprocessError) as e:
            text = f"no journal: {e}\n{machine.log()[-3000:]}"
        report.sections.append((f"journal of {machine.name}", text))


@pytest.fixture
def figure(record_property):
    """figure(TEXT): something measured, shown at the end of the run."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter):
    """The figures, also of tests that passed."""
    lines = [f"{report.nodeid.split('::')[-1].split('@')[0]}: {value}"
             for reports in terminalreporter.stats.values() for report in reports
             if getattr(report, "when", "") == "call"
             for name, value in report.user_properties if name == "figure"]
    if lines:
        terminalreporter.section("figures")
        for line in sorted(lines):
            terminalreporter.write_line(line)


def machine_problem():
    """Why this machine can make no container at all, or ""."""
    if os.geteuid() != 0:
        return "containers need root"
    apart = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--net", "--uts", "--ipc",
                            "true"], capture_output=True, text=True, check=False)
    if apart.returncode:
        return apart.stderr.strip() or "unshare failed"
    return "" if containers.own_groups() else "no control groups that systemd can use"


def skip_all(reason):
    """No container can be booted on this machine: said where tools/test repeats it."""
    note = os.environ.get("ECHOD_SYSTEM_NOTE")
    if note:
        Path(note).write_text(f"no container boots here: {reason.strip().splitlines()[0]}\n")
    pytest.skip(f"no container boots here: {reason}")


@pytest.fixture(scope="session")
def bare(release):
    """The bare root of the release; what cannot even boot it is no place for these tests."""
    problem = machine_problem()
    if problem:
        skip_all(problem)
    made = roots_module.Roots(release, work_directory())
    made.make_base()
    machine = containers.Machine(made.base)
    try:
        machine.start()
    except containers.NoBoot as e:
        skip_all(str(e))
    finally:
        machine.destroy()
    yield made
    containers.remove_tree(made.directory)


@pytest.fixture(scope="session")
def roots(bare):
    """The roots with the package: built, provided, installed."""
    bare.make()
    return bare


def booted(request, root):
    machine = containers.Machine(root)
    request.node.machines = [*getattr(request.node, "machines", []), machine]
    return machine


@pytest.fixture
def machine(roots, request):
    """A container in which the package was installed before the boot."""
    made = booted(request, roots.installed)
    try:
        yield made.start()
    finally:
        made.destroy()


@pytest.fixture
def fresh(roots, request):
    """A container without the package; roots.apt_install() has the command."""
    made = booted(request, roots.base)
    try:
        yield made.start()
    finally:
        made.destroy()
