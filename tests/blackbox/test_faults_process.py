# SPDX-License-Identifier: ISC
"""What may befall a process, and what it may not have: memory, a call that never returns, the wall
clock; signal handlers, privileges, libraries, and wake-ups that are for others."""

import os
import pwd
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

import procs
import shim as libraries
from grid import STREAM_PAIRS, TCP4, UDP4, Cell, io_uring_refused, stream_grid, usable
from harness import ECHOD, SANITIZE, SLACK, SLOW, wait_for
from talk import at_end, exchange, payload, ping, receive

TOP = Path(__file__).resolve().parents[2]
UNIT = TOP / "systemd/echod.service.in"
CAUGHT = {signal.SIGSYS, 32, 33}  # the sandbox; and glibc's own, of threads
LIBRARIES = {"libc.so.6", "libconfig.so.9", "libconfig.so.11", "libsystemd.so.0", "libbsd.so.0",
             "libjansson.so.4", "liburing.so.2", "libseccomp.so.2"}


def status(pid):
    """{field: text} of /proc/PID/status."""
    text = Path(f"/proc/{pid}/status").read_text()
    return dict(re.findall(r"(?m)^(\w+):\s*(.*)$", text))


def one_of_each(tmp_path):
    """A service of each model and engine."""
    return [Cell(*p, TCP4).service(tmp_path, name="-".join(p)) for p in usable(STREAM_PAIRS)]


# --- memory

@stream_grid("tcp4", pairs=[("iterative", "epoll"), ("prethread", "epoll"), ("iterative", "io_uring"),
                            ("thread", "blocking")])
def test_out_of_memory(echod, cell, tmp_path):
    """Clients that never read want more buffers than a process may have: they get small ones or
    none, or wait to be accepted, and who reads is served; when they are gone all is as before."""
    if SANITIZE:
        pytest.skip("a sanitizer's own memory is beyond any limit")
    keys = {"workers": 1} if cell.model == "prethread" else {}
    d = echod(cell.service(tmp_path, buffer="1M", socket={"SO_SNDBUF": 4096}, **keys),
              top={"process": {"memory": "12M"}})
    honest = d.connect()
    ping(honest)
    workers = d.workers()
    crowd = [d.connect() for _ in range(60)]
    for s in crowd:
        if cell.engine == "io_uring":  # it reads much of those only who have said much
            exchange(s, payload(1 << 18), shutdown=False)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.setblocking(False)
    block = bytes(1 << 18)
    start = time.monotonic()

    def reached():
        return int(status(workers[0])["VmData"].split()[0]) > 8 << 10
    while time.monotonic() < start + (1.5 if reached() else 20):
        for s in crowd:
            try:
                s.send(block)
            except OSError:
                pass
        ping(honest)
    assert reached(), "the limit was not reached"
    for s in crowd:
        s.close()
    wait_for("the crowd to be gone", lambda: d.count("connections_active") == 1, 5.0, step=0.1)
    exchange(d.connect(), payload(1 << 20))
    ping(honest)
    assert d.workers() == workers


# --- calls

@pytest.mark.slow
@stream_grid("tcp4", pairs=[("prefork", "epoll"), ("prefork", "blocking")])
def test_hanging_worker_is_replaced(echod, cell, tmp_path, shim):
    """A worker that does not come back from a call is killed after ten seconds; meanwhile the
    others serve."""
    d = echod(cell.service(tmp_path, workers=2), env=shim.env,
              top={"sandbox": "off"})  # the call that hangs is on no worker's list
    d.expect_error("hangs: it is killed")
    before = d.workers()
    shim.set(hang_left=1)
    victim = d.connect()
    victim.sendall(b"x")
    wait_for("the hang", lambda: shim.hang_left == 0)
    for i in range(20):
        exchange(d.connect(), payload(1000, i))
    wait_for("a new worker", lambda: len(d.workers()) == 2 and set(d.workers()) != set(before), 15.0,
             step=0.2)
    assert len(set(d.workers()) & set(before)) == 1
    assert at_end(victim)
    d.wait_counts(closed_killed=1, workers_died=1)


def test_worker_that_cannot_say_that_it_is_up(echod, tmp_path):
    """Another takes its place: else nobody would ever hear that the daemon is ready."""
    library = libraries.build(tmp_path, ["lost_hello.c"])
    d = echod(TCP4.service(tmp_path, workers=2), env=libraries.preload(library))
    d.expect_error("Resource temporarily unavailable|died")
    assert d.lines("cannot serve: Resource temporarily unavailable")
    d.wait_counts(workers_died=1, workers_started=3)


@pytest.mark.parametrize("days", [400, -400])
@stream_grid("tcp4", pairs=[("prefork", "epoll"), ("prefork", "io_uring"), ("thread", "blocking")])
def test_wall_clock_jumps(echod, cell, tmp_path, shim, days):
    """The wall clock goes a year forth or back: timeouts do not notice, only the log's times."""
    d = echod(cell.service(tmp_path, idle_timeout=1.0), env=shim.env)
    idle, active = d.connect(), d.connect()
    ping(idle)
    start = time.monotonic()
    shim.set(wall_days=days)
    while not at_end(idle):
        ping(active)
        time.sleep(0.1)
        assert time.monotonic() - start < 1.0 * SLACK * SLOW
    assert time.monotonic() - start > 0.9
    ping(active)
    d.wait_count("closed_idle", 1)
    year = time.gmtime(time.time() + days * 86400).tm_year
    assert d.lines("counters service=")[-1].startswith(f"{year}-")


# --- what a process has

@pytest.mark.skipif(bool(SANITIZE), reason="sanitizers have handlers")
def test_no_signal_handlers(echod, tmp_path):
    """Nothing runs in a signal handler, because there is none: signals are read from
    descriptors, or ignored."""
    d = echod(*one_of_each(tmp_path), UDP4.service(tmp_path))
    for service in d.services[:-1]:
        ping(d.connect(service))
    for pid in d.tree():
        caught = int(status(pid)["SigCgt"], 16)
        numbers = {n for n in range(1, 65) if caught >> (n - 1) & 1}
        assert numbers <= CAUGHT, f"{procs.title(pid)}: {numbers}"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to have something to give up")
@pytest.mark.parametrize("user", ["", "nobody"])
def test_privileges_are_given_up(echod, tmp_path, user):
    """Started by root: no process that clients or the log can reach has a capability, or can
    gain one; with process.user the workers are that user, in no other group."""
    d = echod(*one_of_each(tmp_path), UDP4.service(tmp_path),
              top={"process": {"user": user}} if user else {})
    for service in d.services[:-1]:
        ping(d.connect(service))
    bound = ["CapBnd"] if int(status(d.pid)["CapEff"], 16) & 1 << 8 else []  # CAP_SETPCAP
    for pid, title in d.processes().items():
        now = status(pid)
        for field in ("CapInh", "CapPrm", "CapEff", "CapAmb", *bound):
            assert int(now[field], 16) == 0, f"{title}: {field} {now[field]}"
        if title == "echod: logger":
            continue
        assert now["NoNewPrivs"] == "1", title
        if user:
            who = pwd.getpwnam(user)
            assert set(now["Uid"].split()) == {str(who.pw_uid)}, title
            assert set(now["Gid"].split()) == {str(who.pw_gid)}, title
            assert set(now["Groups"].split()) <= {str(who.pw_gid)}, title


@pytest.mark.skipif(bool(SANITIZE), reason="sanitizers have libraries")
def test_few_libraries():
    """What is linked is what is known to be, and no more."""
    out = subprocess.run(["readelf", "-d", ECHOD], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", out))
    assert {"libc.so.6", "libconfig.so.9", "libconfig.so.11"} & needed
    assert not {n for n in needed if not n.startswith("ld-")} - LIBRARIES, needed


def test_unit_never_gives_up():
    """What clients may cause does not end the service for good, and a worker that is killed for
    its memory takes nobody with it."""
    lines = UNIT.read_text().splitlines()
    for line in ("StartLimitIntervalSec=0", "Restart=on-failure", "OOMPolicy=continue",
                 "WatchdogSec=10s"):
        assert line in lines


# --- for whom a wake-up is

@pytest.mark.skipif(bool(SANITIZE), reason="a sanitizer's threads sleep and wake as they like")
@pytest.mark.parametrize("engine", ["blocking", "epoll", "io_uring"])
def test_one_wakes_for_a_client(echod, tmp_path, engine):
    """Eight workers and one client after the other: each wakes one or two of them, not all."""
    if engine == "io_uring" and io_uring_refused():
        pytest.skip(io_uring_refused())
    d = echod(TCP4.service(tmp_path, "prefork", engine, workers=8))
    number = 200

    def sleeps():
        return sum(int(status(p)["voluntary_ctxt_switches"]) for p in d.workers())

    before = sleeps()
    for _ in range(number):
        s = d.connect()
        s.close()
        time.sleep(0.001)
    d.wait_count("closed_eof", number)
    each = (sleeps() - before) / number
    print(f"{each:.2f} wake-ups for a connection")
    assert each < 4


def open_sockets(pid):
    return sum("socket:" in os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd"))


@pytest.mark.skipif(bool(SANITIZE), reason="a sanitizer's threads sleep and wake as they like")
@pytest.mark.parametrize("engine", ["epoll", "io_uring"])
def test_clients_are_spread(echod, tmp_path, engine):
    """One client after the other comes to four workers and stays: they share them."""
    if engine == "io_uring" and io_uring_refused():
        pytest.skip(io_uring_refused())
    d = echod(TCP4.service(tmp_path, "prefork", engine, workers=4))
    before = {p: open_sockets(p) for p in d.workers()}
    for _ in range(400):
        ping(d.connect())
    shares = [open_sockets(p) - n for p, n in before.items()]
    print(shares)
    assert sum(shares) == 400
    assert 80 <= min(shares) <= max(shares) <= 120


# --- more than 32 bits

@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.skipif(bool(SANITIZE), reason="takes minutes")
def test_more_than_4_gib(echod, tmp_path):
    """5 GiB on one connection: every byte is right, and so are the counters."""
    total = 5 << 30
    block = payload((1 << 20) - 7)  # no multiple of any buffer
    d = echod(TCP4.service(tmp_path))
    s = d.connect()
    s.settimeout(60.0)

    def send():
        for _ in range(total // len(block)):
            s.sendall(block)
        s.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        for _ in range(total // len(block)):
            assert receive(s, len(block)) == block
        assert s.recv(1) == b""
    finally:
        s.close()
        thread.join()
    sent = total // len(block) * len(block)
    d.wait_counts(bytes_in=sent, bytes_out=sent)
