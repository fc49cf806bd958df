# SPDX-License-Identifier: ISC
"""Fixtures that every black-box test shares."""

import contextlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import faults  # noqa: E402
import grid  # noqa: E402
import harness  # noqa: E402
import net  # noqa: E402
import shim as shim_module  # noqa: E402


def pytest_configure(config):
    """As many descriptors as may be: some tests hold 1000 clients.  And locked memory: that of
    rings counts for a user, so for all the daemons of tests that run side by side."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard > 0 else soft, hard))
    with contextlib.suppress(ValueError, OSError):  # we may not
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)


def netns_problem():
    """Why network namespaces cannot be made here, or ""."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"ec-probe-{os.getpid()}"
    try:
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True,
                              check=False)
    except FileNotFoundError:
        return "ip(8) is not installed"
    if made.returncode:
        return f"ip netns add: {made.stderr.strip()}"
    used = subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], capture_output=True,
                          text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], check=False)
    return f"ip -n: {used.stderr.strip()}" if used.returncode else ""


def is_of_ring(item):
    """Is a pair with the engine io_uring a parameter of ITEM?"""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return any(isinstance(p, tuple) and p[1:] == ("io_uring",) for p in parameters)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    rows = faults.keywords()
    for item in items:
        name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
        item.extra_keyword_matches.update(rows.get(name, ()))
    marked = [i for i in items if i.get_closest_marker("netns")]
    problem = netns_problem() if marked else ""
    if problem:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=problem))
    for item in filter(is_of_ring, items):
        if grid.io_uring_refused():
            item.add_marker(pytest.mark.skip(reason=grid.io_uring_refused()))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Show the daemons' logs with a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for daemon in getattr(item, "daemons", []):
            if daemon.log_file.exists():
                lines = [x for x in daemon.log().splitlines() if "counters service=" not in x]
                lines += daemon.lines("counters service=")[-len(daemon.services):]
                report.sections.append((f"log of {daemon.directory.name}", "\n".join(lines[-60:])))


@pytest.fixture
def echod(tmp_path, request):
    """echod(service, ..., top={...}, env={...}, cli=True) starts a daemon and waits until it is
    ready; the end of the test stops it and checks it.  With ready=False it is only made."""
    daemons = request.node.daemons = []

    def make(*services, top=None, ready=True, **options):
        directory = tmp_path / f"echod{len(daemons)}"
        directory.mkdir()
        daemon = harness.Daemon(services, directory, top, **options)
        daemons.append(daemon)
        return daemon.start() if ready else daemon

    yield make
    problems = []
    for daemon in reversed(daemons):
        try:
            daemon.finish()
        except AssertionError as e:
            problems.append(str(e))
    assert not problems, "after the test: " + "; ".join(problems)


@pytest.fixture(scope="session")
def shim_library(tmp_path_factory):
    """tests/shim built once, its path."""
    return shim_module.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def shim(shim_library, tmp_path):
    """The fault injector's control panel; pass env=shim.env to echod()."""
    panel = shim_module.Panel(shim_library, tmp_path / "shim.control")
    yield panel
    panel.close()


@pytest.fixture(scope="module")
def network():
    """A server's and a client's network namespace with a link between them."""
    made = net.Network()
    try:
        made.create()
        net.wait_running(made)
        yield made
    finally:
        made.destroy()
