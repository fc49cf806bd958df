# SPDX-License-Identifier: ISC
"""What the log says when a thing happens again and again, and when nobody reads it.  With
ECHOD_TEST_FLOOD=1000000 in the environment the floods are of that size."""

import os
import re
import resource
import signal
import socket
import string

import pytest

from grid import TCP4, datagram_grid, stream_grid
from harness import SANITIZE, wait_for
from talk import exchange, payload, ping

IP_BIND_ADDRESS_NO_PORT = 24
MORE = re.compile(r"\(and (\d+) more like it in 10 s\)")
SERVICE = dict(model="prefork", engine="epoll", workers=2)


def kill_workers(d, service, times):
    """Kill one worker of SERVICE after the other; each is replaced."""
    for _ in range(times):
        died = d.count("workers_died", service)
        victim = d.workers(service)[0]
        os.kill(victim, signal.SIGKILL)
        d.wait_count("workers_died", died + 1, service=service)
        wait_for("the new worker", lambda v=victim: len(d.workers(service)) == 2
                 and v not in d.workers(service))


@pytest.mark.slow
def test_repeated_complaint(echod, tmp_path):
    """A repeated complaint is said once, then with a count every ten seconds; one service's does
    not hide another's."""
    one, two = (TCP4.service(tmp_path, name=n, **SERVICE) for n in ("one", "two"))
    d = echod(one, two)
    kill_workers(d, "one", 4)
    kill_workers(d, "two", 1)
    assert len(d.lines("service=one worker")) == 1, d.log()
    assert len(d.lines("service=two worker")) == 1
    summary = d.wait_line("(and 3 more like it in 10 s)", promise=11.0)
    assert "service=one" in summary
    kill_workers(d, "one", 1)
    d.wait_line("(and 1 more like it in 10 s)", promise=11.0)
    assert len(d.lines("service=one worker")) == 3


@pytest.mark.skipif(bool(SANITIZE), reason="an instrumented build writes files")
def test_log_file_may_not_grow(echod, tmp_path):
    """A limit of the size of files (RLIMIT_FSIZE) ends nobody, when the log's is reached or at the
    start, and does not cost the sandbox its filters."""
    d = echod(TCP4.service(tmp_path, **SERVICE), prefix=["prlimit", "--fsize=4096:65536"])
    d.check_counters = False  # nobody hears the log
    before = d.tree()
    assert not d.lines("this system has no seccomp")
    for _ in range(10):
        d.signal(signal.SIGUSR1)
        ping(d.connect())
    wait_for("a full file", lambda: len(d.log()) == 4096)
    ping(d.connect())
    assert d.tree() == before
    with open(d.log_file, "a", encoding="ascii") as f:
        f.write("\n")
    for pid in before:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (65536, 65536))
    d.wait_line("log messages were dropped", promise=5.0)
    assert d.stop() == 0


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_logger_cannot_stop_service(echod, tmp_path, how):
    """With the logger stopped or killed everybody is served; a killed one is replaced, and what
    was said meanwhile is not lost."""
    d = echod(TCP4.service(tmp_path, **SERVICE), top={"log": {"connections": True}})
    logger = next(p for p in d.tree() if b"logger" in open(f"/proc/{p}/cmdline", "rb").read())
    os.kill(logger, signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
    for i in range(2000):  # more records than the line to the logger holds
        s = d.connect()
        ping(s, b"%d" % i)
        s.close()
    exchange(d.connect(), payload(100000))
    if how == "stopped":
        os.kill(logger, signal.SIGCONT)
        d.wait_line("log messages were dropped", promise=5.0)
    else:
        d.wait_line("connection service=", promise=5.0)


PLAIN = set(string.printable) - set("\t\r\x0b\x0c")
NASTY = b"\x1b]0;gone\x07\n<0>root: \0\xff"
FLOOD = int(os.environ.get("ECHOD_TEST_FLOOD", 0))  # ECHOD_TEST_FLOOD=1000000: so many of each kind
FLOODER = "127.0.0.2"


def check_flooded(d, number):
    """What a flood leaves: few lines, and nothing in them that a terminal obeys."""
    lines = [x for x in d.log().splitlines() if "counters service=" not in x]
    print(f"{number} leave {len(lines)} lines")
    assert len(lines) <= 100, lines[:120]
    assert set("".join(lines)) <= PLAIN


def flood_of_connections(address, number):
    """Clients at FLOODER come, say something nasty, and reset."""
    for _ in range(number):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        s.settimeout(0.02)
        s.bind((FLOODER, 0))
        try:
            s.connect(address)
            s.send(NASTY)
        except OSError:
            pass
        s.close()


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.parametrize("how", ["wait", "close"])
@stream_grid("tcp4", pairs=[("prefork", "epoll"), ("prefork", "io_uring"),
                            ("iterative", "blocking"), ("thread", "blocking"),
                            ("fork", "blocking")])
def test_flood_of_connections(echod, cell, tmp_path, how):
    """A flood into a service that is full all the time: at most 100 lines."""
    number = 200 if cell.one_at_a_time else FLOOD or 20000
    d = echod(cell.service(tmp_path, max_clients=2, when_full=how, backlog=64))
    held = d.connect()
    ping(held)
    flood_of_connections(d.services[0].address, number)
    ping(held)
    check_flooded(d, number)


REFUSALS = {
    "closed_reset": {},
    "rejected_acl": {"deny": [FLOODER]},
    "rejected_rate": {"connection_rate": 1.0, "connection_burst": 1},
}


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", REFUSALS)
@stream_grid("tcp4", pairs=[("prefork", "epoll"), ("fork", "blocking")])
def test_flood_of_refused_connections(echod, cell, tmp_path, what):
    """A flood from a client that is not let in, or that resets: the log says how many it were."""
    number = FLOOD or 20000
    d = echod(cell.service(tmp_path, **REFUSALS[what]))
    held = d.connect()
    ping(held)
    flood_of_connections(d.services[0].address, number)
    ping(held)
    counted = settled(lambda: d.count(what))
    assert counted > number // 10
    check_flooded(d, number)
    if what.startswith("rejected_"):
        d.close_clients()
        d.stop()
        assert told(d, what) == counted


def settled(value):
    """VALUE(), once it no longer changes."""
    last = [value()]

    def same():
        last.append(value())
        return last[-1] == last[-2]
    wait_for("a number that stays", same, 5.0, step=0.2)
    return last[-1]


def told(d, what):
    """How many refusals for the reason WHAT the log tells of: a line stands for one, or for as
    many as it says."""
    return sum(int(m[1]) if (m := MORE.search(x)) else 1 for x in d.lines(f": {what}"))


DATAGRAMS = {
    "refused_source_port": {},
    "refused_loop": {"rate": 4000000.0, "burst": 1000000},
    "refused_rate": {"rate": 1.0, "burst": 1},
}


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", DATAGRAMS)
@datagram_grid("udp4", pairs=[("prefork", "epoll"), ("iterative", "blocking")])
def test_flood_of_datagrams(echod, cell, tmp_path, what):
    """Datagrams that are not answered."""
    number = FLOOD or 200000
    d = echod(cell.service(tmp_path, udp=DATAGRAMS[what]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        if what == "refused_source_port":
            d.services[0].keys["udp"] = {"refuse_source_ports": [s.getsockname()[1]]}
            d.write_conf()
            d.reload()
        s.connect(d.services[0].address)
        for _ in range(number):
            s.send(NASTY)
    assert d.count(what) > 1000
    assert d.count("datagrams_out") < number // 100
    check_flooded(d, number)
