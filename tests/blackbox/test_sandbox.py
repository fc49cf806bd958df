# SPDX-License-Identifier: ISC
"""Workers, clients' processes and the logger are shut in: what they have left, what becomes of
who breaks out, and what happens where the system has not all of it.  (Every call is tried by
tests/unit/test_sandbox.c.)"""

import functools
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time

import harness
import procs
import pytest
from echoctl import echoctl
from grid import TCP4, TRANSPORTS, UDP4, Cell, io_uring_refused
from harness import SANITIZE, SLOW, wait_for
from talk import ping

REFUSE = os.path.join(os.path.dirname(__file__), "refuse.py")
CALLS = {"x86_64": {"execve": 59, "socket": 41, "openat": 257, "kill": 62},
         "aarch64": {"execve": 221, "socket": 198, "openat": 56, "kill": 129}}
NUMBER = CALLS.get(platform.machine(), {})
INSTRUMENTED = bool(SANITIZE or os.environ.get("GCOV_PREFIX"))

WORKERS = [("iterative", "blocking"), ("prefork", "epoll"), ("prefork", "io_uring"),
           ("prethread", "epoll"), ("prethread", "io_uring"), ("thread", "blocking"),
           ("fork", "blocking")]


def refused(call, error="EPERM"):
    return [sys.executable, REFUSE, f"{error}:{call}"]


@functools.cache
def missing():
    """What there is not of a sandbox here, as a daemon that requires it says, or ""."""
    done = subprocess.run(
        [*harness.WRAPPER, harness.ECHOD, "--listen", "unix:/nowhere/s", "-o", "sandbox=required"],
        capture_output=True, text=True, timeout=30 * SLOW, check=False)
    found = re.search(r"sandbox is required, but this system has (.*)", done.stderr)
    return found[1] if found else ""


@pytest.fixture(autouse=True)
def whole(request):
    if request.function is not test_without_libseccomp and (not NUMBER or missing()):
        pytest.skip(f"no sandbox here: {missing()}")


def cells(*more):
    for model, engine in [*WORKERS, *more]:
        if engine == "io_uring" and io_uring_refused():
            continue
        marks = [pytest.mark.threads] if "thread" in model else []
        yield pytest.param(Cell(model, engine, TCP4), id=f"{model}-{engine}", marks=marks)


def status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def check_shut_in(pid):
    found = status(pid)
    assert found["Seccomp"] == "2" and found["NoNewPrivs"] == "1", found
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(found[name], 16) == 0, (name, found[name])
    for thread in os.listdir(f"/proc/{pid}/task"):
        assert status(f"{pid}/task/{thread}")["Seccomp"] == "2"


@pytest.mark.parametrize("cell", cells())
def test_roles(echod, cell, tmp_path):
    """Every process but the supervisor, and every thread, is in."""
    d = echod(cell.service(tmp_path), UDP4.service(tmp_path, "prefork", "epoll", name="u"))
    with d.connect(d.services[0]) as s:
        ping(s)
        tree = set(d.tree()) - {d.pid}
        assert len(tree) >= 3
        for pid in tree:
            check_shut_in(pid)
    assert status(d.pid)["Seccomp"] == "0" or os.environ.get("ECHOD_WRAPPER")


@pytest.mark.parametrize("cell", cells())
def test_worker_breaks_out(echod, shim, cell, tmp_path):
    """A worker that makes a call which is not on its list is ended there; the log names the call,
    each call at once, and another worker serves."""
    d = echod(cell.service(tmp_path), env=shim.env)
    d.expect_error("made a system call that its sandbox forbids")
    d.check_counters = False
    for name in ("execve", "socket"):
        mark = d.mark()
        before = set(d.workers())
        shim.set(call_number=NUMBER[name], call_accept=1)
        start = time.monotonic()
        with d.connect() as s:
            s.settimeout(10 * SLOW)
            try:
                s.sendall(b"x")
                s.recv(1)
            except OSError:
                pass
        line = d.wait_line("forbids", mark, 5)
        assert time.monotonic() < start + 5 * SLOW, "it waited for the end of the other's window"
        assert re.search(r"error: service=\S+ worker \d+ \(pid (\d+)\) made a system call that its "
                         rf"sandbox forbids: {name}\b", line), line
        pid = int(re.search(r"pid (\d+)", line)[1])
        assert pid in before
        assert d.wait_line(f"(pid {pid}) died: signal {int(signal.SIGSYS)}", mark, 5)
        wait_for("another worker", lambda: len(d.workers()) == len(before)
                 and pid not in d.workers(), 5)
        with d.connect() as s:
            ping(s)


def test_client_breaks_out(echod, shim, tmp_path):
    """A client's process too, and no other client is hurt by that.  What its parent may do it may
    not."""
    d = echod(TCP4.service(tmp_path, "fork", "blocking"), env=shim.env)
    d.expect_error("made a system call that its sandbox forbids")
    with d.connect() as other:
        ping(other)
        shim.set(call_number=NUMBER["kill"], call_transfer=1)
        with d.connect() as s:
            s.sendall(b"x")
            try:
                assert s.recv(1) == b""
            except ConnectionResetError:
                pass
        line = d.wait_line("forbids", 0, 5)
        assert re.search(r"service=\S+ client's process \(pid \d+\) made .* forbids: kill", line)
        ping(other)
    d.wait_count("closed_killed", 1)


@pytest.mark.skipif(INSTRUMENTED, reason="an instrumented build opens files")
@pytest.mark.parametrize("cell", cells())
def test_what_libraries_try(echod, shim, cell, tmp_path):
    """A file cannot be opened, and nobody dies of it."""
    d = echod(cell.service(tmp_path), env=shim.env)
    before = set(d.workers())
    shim.set(call_number=NUMBER["openat"], call_accept=3)
    for _ in range(3):
        with d.connect() as s:
            ping(s)
    wait_for("three calls", lambda: shim.call_accept == 0, 2)
    assert set(d.workers()) == before


def test_datagrams_break_out(echod, shim, tmp_path):
    d = echod(UDP4.service(tmp_path, "prefork", "epoll", workers=1), env=shim.env)
    d.expect_error("made a system call that its sandbox forbids")
    d.check_counters = False
    shim.set(call_number=NUMBER["execve"], call_transfer=1)
    with d.connect() as s:
        s.send(b"lost")
        d.wait_line("forbids: execve", 0, 5)
        wait_for("a worker", d.workers, 5)
        s.settimeout(10 * SLOW)
        s.send(b"back")
        while s.recv(100) != b"back":
            pass


def test_abstract_clients(echod, tmp_path):
    """A datagram from a socket with an abstract name is answered."""
    d = echod(TRANSPORTS["unix-dgram"].service(tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(f"\0echod-test-{os.getpid()}")
        s.connect(d.services[0].address)
        s.settimeout(10 * SLOW)
        ping(s)


@pytest.mark.parametrize("call, error, missing", [
    ("seccomp", "EPERM", "no seccomp (Operation not permitted)"),
    ("landlock_create_ruleset", "ENOSYS", "no Landlock (Function not implemented)"),
    ("landlock_create_ruleset", "EOPNOTSUPP", "no Landlock (not built in, or not enabled)"),
])
def test_refused(echod, tmp_path, call, error, missing):
    """auto serves with what there is, and says once what there is not; required does not start,
    and says why."""
    prefix = refused(call, error)
    d = echod(TCP4.service(tmp_path), prefix=prefix, top={"control": str(tmp_path / "c")})
    with d.connect() as s:
        ping(s)
    (line,) = d.lines("notice: sandbox")
    assert line.endswith(f"notice: sandbox=auto: this system has {missing}; workers serve without")
    got = echoctl("--socket", str(tmp_path / "c"), "status").out
    assert f"this system has {missing}" in got
    (line,) = d.lines("info: sandbox:")
    assert ("seccomp" in line) == (call != "seccomp")
    assert ("Landlock" in line) == (call == "seccomp")
    done = subprocess.run(
        [*prefix, *harness.WRAPPER, harness.ECHOD, "--listen", f"unix:{tmp_path}/r", "-o",
         "sandbox=required"], capture_output=True, text=True, timeout=30 * SLOW, check=False)
    assert done.returncode == 71, done
    assert f"error: sandbox is required, but this system has {missing}" in done.stderr


def test_without_libseccomp(echod, tmp_path):
    """auto serves without filters, with a word; what needs none is given up all the same."""
    if "no seccomp (not built in" not in missing():
        pytest.skip("built with libseccomp")
    d = echod(TCP4.service(tmp_path, "prefork", "epoll", workers=1))
    with d.connect() as s:
        ping(s)
    assert d.lines(f"notice: sandbox=auto: this system has {missing()}; workers serve without")
    (pid,) = d.workers()
    found = status(pid)
    assert found["Seccomp"] == "0" and found["NoNewPrivs"] == "1" and int(found["CapEff"], 16) == 0


def test_off(echod, tmp_path):
    """Neither filter nor notice; capabilities are given up all the same."""
    d = echod(TCP4.service(tmp_path, "prefork", "epoll", workers=1), top={"sandbox": "off"},
              prefix=refused("seccomp"))
    with d.connect() as s:
        ping(s)
    assert d.lines("info: sandbox: off; no_new_privs, no capabilities")
    assert not d.lines("notice: sandbox")
    (pid,) = d.workers()
    assert int(status(pid)["CapEff"], 16) == 0


def test_reload(echod, tmp_path):
    """The key can be changed: workers are replaced, and the new ones are in."""
    service = TCP4.service(tmp_path, "prefork", "epoll", workers=1)
    d = echod(service, top={"sandbox": "off"})
    (before,) = d.workers()
    assert status(before)["Seccomp"] == "0"
    d.write_conf(top={"sandbox": "required"})
    d.reload()
    wait_for("another worker", lambda: len(d.workers()) == 1 and before not in d.workers(), 5)
    (after,) = d.workers()
    check_shut_in(after)
    d.write_conf(top={"sandbox": "auto"})
    d.reload()
    assert d.workers() == [after]


def test_status(echod, tmp_path):
    """echoctl status says it as the log does."""
    d = echod(TCP4.service(tmp_path), top={"control": str(tmp_path / "c")})
    words = d.lines("info: sandbox: ")[0].split("sandbox: ")[1]
    abi = re.search(r"Landlock ABI (\d+)", words)[1]
    got = echoctl("--socket", str(tmp_path / "c"), "status").out
    assert f"  sandbox        auto: seccomp, Landlock ABI {abi}\n" in got
    assert words == f"seccomp, Landlock ABI {abi}, no_new_privs, no capabilities"


def test_logger_knows_the_time(echod, tmp_path):
    """The logger cannot read the time zone any more, and need not."""
    zone = "/usr/share/zoneinfo/Asia/Tokyo"
    if not os.path.exists(zone):
        pytest.skip("no time zones here")
    d = echod(TCP4.service(tmp_path), env={"TZ": f":{zone}"})
    hours = {line.split()[1][:2] for line in d.lines("echod[")}
    here = subprocess.run(["date", "+%H"], env=dict(os.environ, TZ=f":{zone}"), text=True,
                          capture_output=True, check=True).stdout.strip()
    assert hours & {here, f"{(int(here) - 1) % 24:02}"}
    assert procs.title(d.pid)
