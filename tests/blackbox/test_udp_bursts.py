# SPDX-License-Identifier: ISC
"""Bursts of datagrams: many that wait, many of one flow that come as one (UDP_GRO), and answers
of which some cannot be sent.  Whatever the kernel joins on the way in and cuts on the way out,
each datagram comes back by itself and is counted by itself."""

import ctypes
import errno
import fcntl
import random
import select
import signal
import socket
import struct

import pytest

import net
import procs
from grid import TRANSPORTS, UDP4, datagram_grid
from harness import SLOW, Service, stand_still
from talk import payload

UDP_SEGMENT = 103
SOL_UDP = 17
PORT = 7007
ROOM = 4 << 20  # asked for; net.core.rmem_max caps it

# (bytes of each datagram, bytes of all): a burst of one flow, whose last may be shorter.
BURSTS = [(1, 64), (7, 7 * 40 + 3), (64, 64 * 64), (512, 512 * 20 + 511), (1400, 1400 * 46 + 1),
          (1472, 1472 * 44), (3000, 3000 * 10 + 9), (8000, 8 * 8000), (20000, 60000), (900, 901)]


def client(service):
    """A client of SERVICE with room for what comes back."""
    s = service.transport.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    s.settimeout(10.0 * SLOW)
    s.connect(service.address)
    return s


def receive(s, n):
    return [s.recv(1 << 17) for _ in range(n)]


def send_burst(s, data, size, target=None):
    """Send DATA in datagrams of SIZE bytes by one call."""
    s.sendmsg([data], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", size))], 0,
              *([target] if target else []))


def cut(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


def no_checksums(device):
    """What ethtool -K DEVICE tx off does."""
    value = ctypes.create_string_buffer(struct.pack("=II", 0x17, 0))  # ETHTOOL_STXCSUM
    request = struct.pack("16sP", device.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8946, request)  # SIOCETHTOOL


class Stopped:
    """The workers of D do not run within this."""

    def __init__(self, d):
        self.pids = d.workers()

    def __enter__(self):
        stand_still(*self.pids)

    def __exit__(self, *_):
        procs.send(signal.SIGCONT, *self.pids)


@datagram_grid("udp4", "udp6", quick=("udp4",))
@pytest.mark.parametrize("size", [0, 64, 1400])
def test_500_that_wait(echod, cell, tmp_path, size):
    """What comes while nobody looks waits in the socket: 500 datagrams all come back."""
    d = echod(cell.service(tmp_path), cli=True)
    with client(d.services[0]) as s:
        rmem = s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        count = min(500, rmem // (size + 900))  # what the kernel counts for each
        with Stopped(d):
            for i in range(count):
                s.send(payload(size, i))
        assert sorted(receive(s, count)) == sorted(payload(size, i) for i in range(count))
    d.wait_counts(datagrams_in=count, datagrams_out=count, bytes_out=count * size)


@pytest.mark.parametrize("gro", [True, False])
@datagram_grid("udp4", "udp6", quick=("udp4",))
def test_bursts_of_one_flow(echod, cell, tmp_path, gro):
    """Datagrams that were sent as one come back one by one, the short last one too."""
    service = cell.service(tmp_path, udp={"gro": gro, "rate": 0.0})
    d = echod(service)
    total = 0
    with client(service) as s:
        for size, whole in BURSTS:
            data = payload(whole, size)
            send_burst(s, data, size)
            expected = cut(data, size)
            assert receive(s, len(expected)) == expected
            total += len(expected)
        assert select.select([s], [], [], 0.05)[0] == []
    whole = sum(w for _, w in BURSTS)
    d.wait_counts(datagrams_in=total, datagrams_out=total, echoes=total, bytes_in=whole,
                  bytes_out=whole)


@pytest.mark.parametrize("batch", [1, 3, 64, 1024])
@pytest.mark.parametrize("engine", ["blocking", "epoll"])
def test_many_flows_at_once(echod, tmp_path, engine, batch):
    """Datagrams of random sizes of many clients that wait together: each client gets its own, in
    order, and the counters are exact."""
    service = UDP4.service(tmp_path, "iterative", engine, udp={"batch": batch, "rate": 0.0})
    d = echod(service)
    draw = random.Random(batch)
    clients = [client(service) for _ in range(10)]
    sent = [[] for _ in clients]
    with Stopped(d):
        for _ in range(300):
            i = draw.randrange(10)
            for _ in range(draw.choice((1, 1, 2, 5))):
                size = draw.choice((0, 1, 64, 64, 64, 1400, 1472, 1473, 9000))
                sent[i].append(payload(size, len(sent[i])))
                clients[i].send(sent[i][-1])
    for s, expected in zip(clients, sent):
        assert receive(s, len(expected)) == expected
        s.close()
    count = sum(map(len, sent))
    size = sum(len(x) for one in sent for x in one)
    d.wait_counts(datagrams_in=count, datagrams_out=count, bytes_in=size, bytes_out=size)


@datagram_grid("udp4", pairs=[("iterative", "blocking"), ("iterative", "epoll")])
@pytest.mark.parametrize("skip", [0, 1, 4, 19])
def test_one_of_a_batch_cannot_be_sent(echod, cell, tmp_path, shim, skip):
    """sendmmsg(2) stops at the first that fails: that one is lost, all others go."""
    d = echod(cell.service(tmp_path), env=shim.env)
    clients = [client(d.services[0]) for _ in range(20)]
    with Stopped(d):
        for i, s in enumerate(clients):
            s.send(b"%d" % i)
        shim.set(send_skip=skip, send_errno=errno.EPERM, send_left=1)
    d.wait_counts(datagrams_in=20, dropped_send=1, datagrams_out=19)
    for i, s in enumerate(clients):
        if i == skip:
            assert select.select([s], [], [], 0)[0] == []
        else:
            assert s.recv(100) == b"%d" % i
        s.close()


def test_small_ones_need_little_memory(echod, tmp_path):
    """The places of a batch are for the largest datagrams; small ones do not fill them."""
    service = UDP4.service(tmp_path, "iterative", "epoll", udp={"batch": 1024, "rate": 0.0})
    d = echod(service)
    before = procs.private_kib(d.workers())
    with client(service) as s:
        for turn in range(20):
            for i in range(100):
                s.send(b"%d" % i)
            assert len(receive(s, 100)) == 100, turn
    assert procs.private_kib(d.workers()) - before < 1024 * SLOW


@pytest.mark.netns
class TestOverALink:
    """The same between two hosts, over a veth pair, which passes bursts on as one."""

    @staticmethod
    def serve(echod, network, cell, **udp):
        keys = {"udp": {"rate": 0.0, **udp}}
        if cell.model != "iterative":
            keys["workers"] = 3
        service = Service("udp", f"*:{PORT}", cell.model, cell.engine, cell.transport, None, keys)
        return echod(service, prefix=["ip", "netns", "exec", network.server])

    @staticmethod
    def burst(s, target, size, whole, source=None):
        data = payload(whole, size)
        send_burst(s, data, size, target)
        for expected in cut(data, size):
            back, sender = s.recvfrom(1 << 17)
            assert back == expected
            assert sender[:2] == (source or target[0], target[1])

    @datagram_grid("udp4")
    def test_from_the_asked_address(self, echod, network, cell):
        """Each datagram of a burst comes from the address that was asked."""
        d = self.serve(echod, network, cell)
        with network.udp() as four, network.udp(("fd09::100", 0)) as six:
            for host in ("10.9.0.1", "10.9.0.2", "10.9.1.1"):
                self.burst(four, (host, PORT), 1472, 1472 * 40 + 1)
            for host in ("fd09::1", "fd09::2"):
                self.burst(six, (host, PORT), 1452, 1452 * 40 + 1)
        d.wait_counts(datagrams_in=5 * 41, datagrams_out=5 * 41)

    @datagram_grid("udp4", pairs=[("iterative", "epoll"), ("iterative", "blocking")])
    def test_each_of_a_burst_is_refused(self, echod, network, cell):
        """A burst to nobody in particular counts as many datagrams as it had."""
        d = self.serve(echod, network, cell)
        with network.udp() as s:
            send_burst(s, payload(1000), 100, ("224.0.0.1", PORT))
            self.burst(s, ("10.9.0.1", PORT), 100, 250)
        d.wait_counts(datagrams_in=13, refused_destination=10, datagrams_out=3)

    @pytest.mark.parametrize("why", ["mtu", "checksums"])
    @datagram_grid("udp4", pairs=[("iterative", "epoll"), ("iterative", "blocking")])
    def test_the_way_back_takes_no_bursts(self, echod, network, cell, why):
        """Where the kernel cannot cut an answer, each datagram goes by itself: none is lost."""
        if why == "mtu":
            net.run("ip", "-n", network.server, "link", "set", "veth0", "mtu", "1280")
        else:
            with network.inside(network.server):
                no_checksums("veth0")
        d = self.serve(echod, network, cell)
        with network.udp() as s:
            for _ in range(3):
                self.burst(s, ("10.9.0.1", PORT), 1400, 1400 * 40 + 1)
        d.wait_counts(datagrams_in=3 * 41, datagrams_out=3 * 41, dropped_send=0)


@pytest.mark.parametrize("name", ["udp4", "udp6"])
def test_gro_follows_the_configuration(echod, tmp_path, name):
    """A reload changes it on the socket that stays: bursts come back in any case, and so does
    what waited."""
    one = TRANSPORTS[name].service(tmp_path, "iterative", "epoll")
    d = echod(one)
    with client(one) as s:
        for gro in (False, True, False):
            one.keys["udp"] = {"gro": gro, "rate": 0.0}
            d.write_conf([one])
            with Stopped(d):
                for i in range(50):
                    s.send(b"%d" % i)
            d.reload()
            send_burst(s, payload(6401), 100)
            back = receive(s, 50 + 65)
            assert sorted(back) == sorted([b"%d" % i for i in range(50)] +
                                          cut(payload(6401), 100))
