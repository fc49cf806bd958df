# SPDX-License-Identifier: ISC
"""Real limits of the kernel, reached: descriptors and processes.  ECHOD_TEST_HOLD is for how many
seconds."""

import os
import re
import select
import subprocess
import time

import pytest

import procs
from grid import MANY_AT_ONCE, STREAM_PAIRS, TCP4, Cell
from harness import ECHOD, SLACK, SLOW, wait_for
from talk import at_end, exchange, payload, ping

HOLD = float(os.environ.get("ECHOD_TEST_HOLD", "2"))
NOBODY = "54321"  # a user that has no other process, so that RLIMIT_NPROC is exact


def usable(d):
    """The clients of D that are answered."""
    for s in d.clients:
        s.sendall(b"?")
    time.sleep(0.2 * SLOW)
    return [s for s in d.clients if select.select([s], [], [], 0)[0] and s.recv(1) == b"?"]


@pytest.mark.parametrize("pair", MANY_AT_ONCE, ids="-".join)
def test_out_of_descriptors(echod, tmp_path, pair):
    """200 clients for a process with 64 descriptors: the live ones are served, the rest wait at
    below 5 % CPU and with few log lines, and have their turn within a second of relief."""
    d = echod(Cell(*pair, TCP4).service(tmp_path, max_clients=1000),
              prefix=["prlimit", "--nofile=64:64", "--"])
    log = d.mark()
    for _ in range(200):
        d.connect()
    live = usable(d)
    assert len(live) >= 20
    waiting = [s for s in d.clients if s not in live]
    before, start = procs.cpu_seconds(d.tree()), time.monotonic()
    time.sleep(HOLD)
    used = (procs.cpu_seconds(d.tree()) - before) / (time.monotonic() - start)
    assert used < 0.05, f"{used:.1%} CPU"
    for s in live:
        ping(s)
    if not waiting:  # a process for each client has descriptors enough
        assert pair[0] == "fork"
        return
    for s in live[:20]:
        s.close()
    start = time.monotonic()
    served = set()
    wait_for("20 of the waiting clients", lambda: served.update(
        s for s in waiting if select.select([s], [], [], 0)[0]) or len(served) >= 15, 1.0)
    loud = [x for x in d.lines("", log) if " info: " not in x]
    assert len(loud) <= 10, loud


@pytest.mark.parametrize("soft", [256, 1024])
def test_limits_are_fitted(echod, tmp_path, soft):
    """A max_clients that the descriptors do not allow is fitted to them and said so, so that
    EMFILE is never met."""
    d = echod(TCP4.service(tmp_path, "iterative", "epoll", max_clients=100000),
              prefix=["prlimit", f"--nofile={soft}:{soft}", "--"])
    line = d.lines("max_clients=")[0]
    fitted = int(line.split("max_clients=")[1].split()[0].rstrip(","))
    assert soft // 2 < fitted < soft
    for _ in range(soft + 20):
        d.connect()
    wait_for("as many as fit", lambda: d.count("connections_active") == fitted, 2.0, step=0.1)
    assert d.count("accept_emfile") == 0
    assert f"max_clients={fitted} are connected" in d.wait_line("is full")
    ping(d.clients[0])


def test_fitted_limit_rejects(echod, tmp_path):
    """A fitted limit is obeyed as when_full says."""
    d = echod(TCP4.service(tmp_path, "iterative", "epoll", max_clients=100000, when_full="close"),
              prefix=["prlimit", "--nofile=128:128", "--"])
    fitted = int(re.search(r"max_clients=(\d+) ", d.lines("backlog=")[0])[1])
    for _ in range(fitted):
        ping(d.connect())
    s = d.connect()
    wait_for("the end", lambda: at_end(s) == "eof")
    d.wait_counts(rejected_full=1, accept_emfile=0)
    assert f"max_clients={fitted} are connected" in d.wait_line("is full")


def test_soft_limit_is_raised(echod, tmp_path):
    """process.open_files raises the soft limit as far as the hard one allows."""
    d = echod(TCP4.service(tmp_path, "iterative", "epoll"),
              top={"process": {"open_files": 3000}},
              prefix=["prlimit", "--nofile=256:4096", "--"])
    with open(f"/proc/{d.workers()[0]}/limits") as f:
        line = [x for x in f if x.startswith("Max open files")][0]
    assert line.split()[3] == "3000"


@pytest.mark.serial
@pytest.mark.parametrize("model", ["fork", "thread"])
def test_out_of_processes(echod, tmp_path, model):
    """RLIMIT_NPROC reached: clients wait in the backlog without any CPU and are served when
    others leave."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become a user with no other process")
    become = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
    if subprocess.run([*become, "test", "-x", ECHOD], check=False).returncode:
        pytest.skip("another user cannot run the program where it is")
    d = echod(TCP4.service(tmp_path, model), cli=True,
              prefix=[*become, "prlimit", "--nproc=16:16", "--"])
    for _ in range(40):
        d.connect()
    live = usable(d)
    assert 5 <= len(live) <= 16
    waiting = [s for s in d.clients if s not in live]
    before = procs.cpu_seconds(d.tree())
    time.sleep(HOLD)
    assert procs.cpu_seconds(d.tree()) - before <= 0.05 * HOLD
    assert not [s for s in waiting if at_end(s)]
    for s in live:
        s.close()
    served = set()
    wait_for("the waiting clients", lambda: served.update(
        s for s in waiting if select.select([s], [], [], 0)[0]) or len(served) >= 5, 1.0)
    assert d.count("spawn_failed") > 0


@pytest.mark.parametrize("pair", STREAM_PAIRS, ids="-".join)
def test_descriptors_come_back(echod, tmp_path, pair):
    """After the flood every descriptor is free and the service as before."""
    d = echod(Cell(*pair, TCP4).service(tmp_path, max_clients=1000),
              prefix=["prlimit", "--nofile=64:64", "--"])
    before = {p: len(procs.descriptors(p)) for p in d.tree()}
    for _ in range(200):
        d.connect()
    usable(d)
    d.close_clients()
    d.check_sums()
    wait_for("descriptors as before", lambda: {
        p: len(procs.descriptors(p)) for p in d.tree()} == before, 2.0)
    start = time.monotonic()
    exchange(d.connect(), payload(100000))
    assert time.monotonic() - start < 1.0 * SLACK * SLOW
