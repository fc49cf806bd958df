# SPDX-License-Identifier: ISC
"""Clients that are gone without a word, and those that keep their window shut: both end at their
timeout, in the kernel too."""

import shutil
import socket
import subprocess
import time

import pytest

from grid import TRANSPORTS, stream_grid
from harness import Service, free_port, wait_for
from talk import ping

pytestmark = pytest.mark.netns

HOST = "10.9.0.1"
TIMEOUT = 3.0


class Vanishing:
    """A service in the network's server, and clients that can be cut off from it."""

    def __init__(self, echod, network, cell, **keys):
        self.network, self.port, self.rules = network, free_port(), []
        keys.setdefault("write_timeout", TIMEOUT)
        if cell.model in ("prefork", "prethread"):
            keys.setdefault("workers", 3)
        service = Service("tcp", f"{HOST}:{self.port}", cell.model, cell.engine,
                          TRANSPORTS["tcp4"], (HOST, self.port), keys)
        self.daemon = echod(service, prefix=["ip", "netns", "exec", network.server])

    def connect(self, **options):
        with self.network.inside(self.network.client):
            s = socket.socket()
        for name, value in options.items():
            s.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        s.settimeout(10)
        s.connect((HOST, self.port))
        self.daemon.clients.append(s)
        return s

    def filter(self, action, *words):
        done = subprocess.run(["ip", "netns", "exec", self.network.client, "iptables", action,
                               *words, "-j", "DROP"], capture_output=True, text=True, check=False)
        if done.returncode and action == "-A":
            pytest.skip(f"iptables: {done.stderr.strip()}")

    def cut(self, chain, port):
        rule = (chain, "-p", "tcp", port, str(self.port))
        self.filter("-A", *rule)
        self.rules.append(rule)

    def deafen(self):
        """Nothing arrives at the clients any more."""
        self.cut("INPUT", "--sport")

    def silence(self):
        """And nothing that they send arrives here."""
        self.cut("OUTPUT", "--dport")

    def heal(self):
        while self.rules:
            self.filter("-D", *self.rules.pop())

    def sockets(self):
        """Connections that the server's kernel has, closed ones too."""
        text = subprocess.run(["ip", "netns", "exec", self.network.server, "cat", "/proc/net/tcp"],
                              capture_output=True, text=True, check=True).stdout
        rows = [x.split() for x in text.splitlines()[1:]]
        return [x[3] for x in rows if x[1].endswith(f":{self.port:04X}") and x[3] != "0A"]


@pytest.fixture
def vanishing(echod, network):
    """vanishing(cell, KEY=VALUE...)"""
    if not shutil.which("iptables"):
        pytest.skip("iptables is not installed")
    made = []

    def make(cell, **keys):
        made.append(Vanishing(echod, network, cell, **keys))
        return made[-1]

    yield make
    for v in made:
        v.heal()


def ended(v, counter, start, least):
    """Wait until COUNTER is 1, which takes at least LEAST seconds from START on, and until the
    kernel has forgotten the connection."""
    v.daemon.wait_counts(2 * least, **{counter: 1})
    assert time.monotonic() - start >= 0.9 * least
    wait_for("no connection in the kernel", lambda: v.sockets() == [], 1.0)


@stream_grid("tcp4", quick=())
def test_gone_with_data_on_its_way(vanishing, cell):
    """What was sent to it is never acknowledged: write_timeout."""
    v = vanishing(cell)
    s = v.connect()
    ping(s)
    v.deafen()
    start = time.monotonic()
    s.send(b"into the void")
    v.daemon.wait_count("echoes", 2)
    v.silence()
    ended(v, "closed_write_timeout", start, TIMEOUT)


@stream_grid("tcp4", quick=())
def test_gone_while_idle(vanishing, cell):
    """Nothing tells that it is gone: idle_timeout."""
    v = vanishing(cell, idle_timeout=2.0)
    ping(v.connect())
    v.deafen()
    v.silence()
    start = time.monotonic()
    v.daemon.wait_counts(6.0, closed_idle=1)
    assert time.monotonic() - start >= 1.8
    wait_for("no connection in the kernel", lambda: v.sockets() == [], 2 * TIMEOUT)


@stream_grid("tcp4", quick=())
def test_gone_after_its_last_word(vanishing, cell):
    """It had closed its side; what it is owed is still on its way: the kernel alone has that, and
    forgets it after write_timeout."""
    v = vanishing(cell)
    s = v.connect()
    ping(s)
    v.deafen()
    s.send(b"and out")
    s.shutdown(socket.SHUT_WR)
    v.daemon.wait_count("closed_eof", 1)
    v.silence()
    assert v.sockets() != []
    wait_for("no connection in the kernel", lambda: v.sockets() == [], 2 * TIMEOUT)


@stream_grid("tcp4", quick=())
def test_shut_window(vanishing, cell):
    """A client that is there, acknowledges every probe, and takes nothing: what waits for it fits
    in the kernel's buffers, so only the kernel knows."""
    v = vanishing(cell, socket={"SO_SNDBUF": "1M"})
    s = v.connect(SO_RCVBUF=4096)
    start = time.monotonic()
    s.sendall(bytes(100000))
    ended(v, "closed_write_timeout", start, TIMEOUT)


@stream_grid("tcp4", pairs=[("prefork", "epoll")])
def test_reload(vanishing, cell):
    """A reload changes it, and a TCP_USER_TIMEOUT of the configuration comes first."""
    v = vanishing(cell, write_timeout=60.0)
    keys = v.daemon.services[0].keys

    def gone():
        s = v.connect()
        ping(s)
        v.deafen()
        s.send(b"x")
        start = time.monotonic()
        n = v.daemon.count("closed_write_timeout")
        v.daemon.wait_counts(4.0, closed_write_timeout=n + 1)
        v.heal()
        return time.monotonic() - start
    keys["write_timeout"] = 2.0
    v.daemon.write_conf()
    v.daemon.reload()
    assert gone() >= 1.8
    keys["write_timeout"] = 60.0
    keys["socket"] = {"TCP_USER_TIMEOUT": 1500}
    v.daemon.write_conf()
    v.daemon.reload()
    assert gone() >= 1.3
