# SPDX-License-Identifier: ISC
"""Clients that mean harm, each in a thread of its own, and what it did; all from a seed.

    with Attack(network, server, seed, kinds) as attack: ... the honest client ...
"""

import contextlib
import random
import select
import socket
import threading
import time
from dataclasses import dataclass

import net
from talk import reset

SOURCE = "10.9.0.100"    # who attacks
VICTIM = "10.9.0.77"     # in whose name, too; it is there: answers to a neighbour that is not
                         # there would wait for ARP and fill the service's send buffer
TARGET = "10.9.0.1"
RANDOM_NET = "198.18.0.0/15"  # for benchmarks, RFC 2544: nobody is there
SLOW_CLIENTS, NEVER_READERS = 60, 15
PACE = 0.002
GARBAGE = (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n", b"PROXY \x1b[2J\x07 \r\n", b"PROXY UNKNOWN" * 20,
           b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", b"\r\n\r\n\0\r\nQUIT\n\x31\x00\x00\x00", b"PROX",
           b"GET / HTTP/1.0\r\n\r\n", b"")


@dataclass(frozen=True)
class Server:
    """Where the services are."""
    tcp: int
    udp: int
    proxied: int = 0


class Attack:
    """Several kinds of harm at once, until the end of the block."""

    def __init__(self, network, server, seed, kinds=None):
        self.network, self.server = network, server
        self.stopping = threading.Event()
        self.did = dict.fromkeys(kinds or KINDS, 0)
        self.problems = []
        self.threads = [threading.Thread(target=self.run, args=(k, random.Random(f"{seed}/{k}")))
                        for k in self.did]

    def __enter__(self):
        # Answers to forged sources go to the client, which throws them away.
        net.run("ip", "-n", self.network.server, "route", "replace", RANDOM_NET, "via", SOURCE)
        net.run("ip", "-n", self.network.client, "address", "replace", f"{VICTIM}/24",
                "dev", "veth0")
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for t in self.threads:
            t.join(60)
        assert self.problems == []

    def run(self, kind, rng):
        try:
            with self.network.inside(self.network.client), contextlib.ExitStack() as stack:
                step = KINDS[kind](self, rng, stack)
                while not self.stopping.is_set():
                    with contextlib.suppress(OSError):  # refused, reset, full: what it asks for
                        self.did[kind] += step()
                    time.sleep(PACE)
        except Exception as e:  # in a thread: say it where it is seen
            self.problems.append(f"{kind}: {e!r}")

    def connect(self, port=0, receive=0):
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            s.settimeout(0.5)
            if receive:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
            s.bind((SOURCE, 0))
            s.connect((TARGET, port or self.server.tcp))
            return s
        except OSError:
            s.close()
            raise


def connects(attack, _rng, _stack):
    """Connect and close."""
    def step():
        attack.connect().close()
        return 1
    return step


def resets(attack, rng, _stack):
    """Connect, send, reset before all is back."""
    def step():
        s = attack.connect()
        try:
            s.send(rng.randbytes(rng.randrange(1, 30000)))
        finally:
            reset(s)
        return 1
    return step


class Crowd:
    """Connections that are kept, and made again when the server ends them."""

    def __init__(self, attack, stack, size, receive=0):
        self.attack, self.size, self.receive, self.members = attack, size, receive, []
        stack.callback(self.leave)

    def leave(self):
        for s in self.members:
            s.close()

    def fill(self):
        if len(self.members) < self.size:
            self.members.append(self.attack.connect(receive=self.receive))
            self.members[-1].setblocking(False)

    def drop(self, s):
        self.members.remove(s)
        s.close()


def slowloris(attack, rng, stack):
    """Many connections, a byte now and then, so that none is idle."""
    crowd = Crowd(attack, stack, SLOW_CLIENTS)

    def step():
        crowd.fill()
        s = rng.choice(crowd.members)
        try:
            s.send(b"x")
            while s.recv(100):
                pass
            crowd.drop(s)
        except BlockingIOError:
            pass
        except OSError:
            crowd.drop(s)
        return 1
    return step


def never_readers(attack, rng, stack):
    """Send whatever goes and read nothing."""
    crowd = Crowd(attack, stack, NEVER_READERS, receive=16384)
    data = rng.randbytes(65536)

    def step():
        crowd.fill()
        s = rng.choice(crowd.members)
        try:
            return s.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            crowd.drop(s)
            return 0
    return step


def proxy_garbage(attack, rng, _stack):
    """Headers that are none, whole or in pieces, left open or closed at once."""
    def step():
        if not attack.server.proxied:
            return 0
        s = attack.connect(attack.server.proxied)
        with s:
            data = rng.choice(GARBAGE) + rng.randbytes(rng.randrange(300))
            cut = rng.randrange(len(data) + 1)
            s.sendall(data[:cut])
            s.sendall(data[cut:])
            select.select([s], [], [], rng.choice((0, 0, 0.02)))
        return 1
    return step


def forger(attack, stack):
    """send(source, data): a datagram as if from there."""
    wire = attack.network.wire()
    stack.callback(wire.close)
    mac = net.mac(attack.network, attack.network.server)

    def send(source, data):
        packet = net.udp_packet(source, (TARGET, attack.server.udp), data)
        wire.send(mac, net.ETH_IP, packet)
    return send


def reflects(attack, rng, stack):
    """A flood in the name of a victim."""
    send = forger(attack, stack)
    data = [rng.randbytes(n) for n in (0, 1, 64, 512, 1400)]

    def step():
        for _ in range(20):
            send((VICTIM, rng.randrange(1024, 65536)), rng.choice(data))
        return 20
    return step


def random_sources(attack, rng, stack):
    """A flood in everybody's name."""
    send = forger(attack, stack)

    def step():
        for _ in range(20):
            host = f"198.{rng.randrange(18, 20)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
            send((host, rng.randrange(1024, 65536)), rng.randbytes(8))
        return 20
    return step


def impossible(attack, rng, stack):
    """Sources that cannot be, and ports that start loops."""
    send = forger(attack, stack)
    sources = ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", TARGET,
               "10.9.0.255", VICTIM)

    def step():
        for _ in range(5):
            send((rng.choice(sources), rng.choice((0, 7, 19, 53, attack.server.udp, 40000))),
                 rng.randbytes(rng.randrange(100)))
        return 5
    return step


def floods(attack, rng, stack):
    """As many datagrams as go from an address of one's own, of every size."""
    s = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    s.bind((SOURCE, 0))
    s.setblocking(False)
    data = rng.randbytes(65507)

    def step():
        n = 0
        for _ in range(20):
            n += s.sendto(data[:rng.choice((0, 20, 1400))],
                          (TARGET, attack.server.udp)) >= 0
        return n
    return step


KINDS = {f.__name__: f for f in (connects, resets, slowloris, never_readers, proxy_garbage,
                                 reflects, random_sources, impossible, floods)}
