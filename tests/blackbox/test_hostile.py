# SPDX-License-Identifier: ISC
"""Everything at once: floods, storms, slow clients, forged sources; and an honest client at
another address who is served all the time.  What each attack alone must do is tested where its
limit is; here they meet.  A failure names its seed: ECHOD_TEST_SEED=N repeats the choices."""

import contextlib
import os
import random
import socket
import time

import pytest

import hostile
import procs
from grid import DATAGRAM_PAIRS, MANY_AT_ONCE, TRANSPORTS, UDP4, Cell
from harness import SANITIZE, SLOW, Service, free_port, wait_for
from talk import Talker, converse

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.serial]

HONEST, ASKED = "10.9.1.100", "10.9.1.1"
SECONDS = 4.0
TRIES = 8            # a flood may fill the receive buffer: who is polite asks again
LINES = 100          # of the log, whatever comes
GROWTH = 8192        # KiB that may stay
PLAIN = set(map(chr, range(32, 127)))
LIMITS = {"max_clients_per_source": 100, "connection_rate": 2000.0, "connection_burst": 4000}


class HonestClient:
    """Asks one thing after the other, each in full, and counts."""

    def __init__(self, network, server, rng):
        self.network, self.server, self.rng = network, server, rng
        self.streams = self.datagrams = self.again = 0
        with network.inside(network.client):
            self.kept = self.connect()
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((HONEST, 0))
        self.udp.settimeout(0.3 * SLOW)

    def close(self):
        self.kept.close()
        self.udp.close()

    def connect(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(20.0 * SLOW)
        s.bind((HONEST, 0))
        s.connect((ASKED, self.server.tcp))
        return s

    def stream(self):
        """A new connection to its end, and something over the one that stays."""
        with self.network.inside(self.network.client):
            s = self.connect()
        with contextlib.closing(s):
            data = self.rng.randbytes(self.rng.choice((1, 100, 5000, 300000)))
            kept = Talker(self.kept, self.rng.randbytes(1000), shutdown=False)
            assert converse([Talker(s, data), kept]) == []
        self.streams += 2

    def datagram(self):
        """A datagram comes back, if not at the first try."""
        data = self.rng.randbytes(self.rng.choice((1, 100, 1400)))
        for _ in range(TRIES):
            self.udp.sendto(data, (ASKED, self.server.udp))
            try:
                while (got := self.udp.recvfrom(65536)) != (data, (ASKED, self.server.udp)):
                    assert got[1] == (ASKED, self.server.udp)  # a late answer to another try
                self.datagrams += 1
                return
            except TimeoutError:
                self.again += 1
        raise AssertionError(f"no answer to {TRIES} datagrams")


def services(network, pair):
    """The services of one cell, and where they are."""
    server = hostile.Server(*(free_port() for _ in range(3)))
    udp_pair = pair if pair in DATAGRAM_PAIRS else ("prefork", "epoll")
    keys = {"max_clients": 400, "idle_timeout": 60.0, "write_timeout": 2.0, **LIMITS}
    more = {} if pair[0] in ("iterative", "fork", "thread") else {"workers": 3}
    tcp = TRANSPORTS["tcp4"]
    proxied = {"proxy_protocol": "require", "proxy_trusted": ["10.9.0.0/24"]}
    return server, [
        Service("tcp", f"*:{server.tcp}", *pair, tcp, None, {"name": "tcp", **keys, **more}),
        Service("tcp", f"*:{server.proxied}", *pair, tcp, None,
                {"name": "proxied", **keys, **more, **proxied}),
        Service("udp", f"*:{server.udp}", *udp_pair, UDP4, None,
                {"name": "udp", "udp": {"rate": 1000.0, "burst": 200},
                 **({} if udp_pair[0] == "iterative" else {"workers": 3})})]


def footprint(d):
    """What a flood must not leave: {pid's title: (descriptors, threads)} and memory in KiB."""
    tree = d.tree()
    shape = sorted((procs.title(p).split(" worker ")[0], len(procs.descriptors(p)),
                    procs.threads(p)) for p in tree)
    return shape, procs.private_kib(tree)


def check_log(d):
    """Few lines, and nothing in them that a terminal obeys."""
    lines = [x for x in d.log().splitlines() if "counters service=" not in x]
    assert len(lines) <= LINES, f"{len(lines)} lines"
    assert set("".join(lines)) <= PLAIN, sorted(set("".join(lines)) - PLAIN)


@pytest.mark.parametrize("pair", MANY_AT_ONCE, ids=lambda p: "-".join(p))
def test_everything_at_once(echod, network, pair):
    seed = int(os.environ.get("ECHOD_TEST_SEED", random.randrange(1 << 32)))
    print(f"ECHOD_TEST_SEED={seed}")
    rng = random.Random(seed)
    server, made = services(network, pair)
    d = echod(*made, prefix=["ip", "netns", "exec", network.server])
    honest = HonestClient(network, server, rng)
    honest.stream()
    honest.datagram()
    honest.kept.close()
    wait_for("one client gone", lambda: d.count("connections_active", "tcp") == 0)
    base, memory = footprint(d)
    with network.inside(network.client):
        honest.kept = honest.connect()
    with hostile.Attack(network, server, seed) as attack:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or honest.streams < 20:
            honest.stream()
            honest.datagram()
    honest.close()
    print(f"did {attack.did}; honest: {honest.streams} streams, {honest.datagrams} datagrams, "
          f"{honest.again} asked again")
    assert all(attack.did.values()), attack.did
    check_log(d)
    for name in ("tcp", "proxied"):
        wait_for("all clients gone", lambda name=name:
                 d.count("connections_active", name) == 0, 5.0)
    d.check_sums()
    wait_for("the descriptors and threads of before", lambda: footprint(d)[0] == base, 5.0)
    grown = footprint(d)[1] - memory
    assert SANITIZE or grown <= GROWTH, f"grew by {grown} KiB"


def test_everything_at_once_over_reloads(echod, network):
    """The same while the configuration is read again and again."""
    seed = int(os.environ.get("ECHOD_TEST_SEED", random.randrange(1 << 32)))
    print(f"ECHOD_TEST_SEED={seed}")
    rng = random.Random(seed)
    server, made = services(network, ("prefork", "epoll"))
    d = echod(*made, prefix=["ip", "netns", "exec", network.server])
    honest = HonestClient(network, server, rng)
    honest.stream()
    with hostile.Attack(network, server, seed):
        for i in range(4):
            made[0].keys["backlog"] = 300 + i
            d.write_conf()
            d.reload()
            honest.kept.close()  # its service drains
            with network.inside(network.client):
                honest.kept = honest.connect()
            for _ in range(3):
                honest.stream()
                honest.datagram()
    honest.close()
    check_log(d)
    d.check_sums()
