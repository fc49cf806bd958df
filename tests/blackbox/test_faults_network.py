# SPDX-License-Identifier: ISC
"""What a network brings: floods of datagrams and of half-open connections, and addresses that
come late."""

import socket
import struct
import threading
import time

import pytest

import net
from grid import TCP4, TRANSPORTS, UDP4, datagram_grid, stream_grid
from harness import SLACK, SLOW, Service
from talk import exchange, payload, ping

PORT = 7007
SECONDS = 2.0


@pytest.mark.netns
@datagram_grid("udp4", pairs=[("iterative", "epoll"), ("prefork", "epoll"), ("prefork", "io_uring")])
def test_flood_of_datagrams(echod, network, tmp_path, cell):
    """As many datagrams as a sender can send: streams beside them are answered, a reload comes
    through, and what is too much is the kernel's to drop.  How fast is printed."""
    udp = Service("udp", f"10.9.0.1:{PORT}", cell.model, cell.engine, UDP4, None)
    tcp = Service("tcp", f"10.9.0.1:{PORT}", "prefork", "auto", TCP4, ("10.9.0.1", PORT))
    d = echod(udp, tcp, prefix=["ip", "netns", "exec", network.server])
    with network.inside(network.client):
        stream = tcp.connect()
    d.clients.append(stream)
    ping(stream)
    flooding = network.udp(("10.9.0.100", 4000))
    flooding.connect(("10.9.0.1", PORT))
    end, sent = threading.Event(), [0]

    def flood():
        while not end.is_set():
            flooding.send(b"flood")
            sent[0] += 1

    thread = threading.Thread(target=flood)
    thread.start()
    times = []
    try:
        begin = time.monotonic()
        while time.monotonic() < begin + SECONDS:
            start = time.monotonic()
            ping(stream)
            times.append(time.monotonic() - start)
            time.sleep(0.005)
        start = time.monotonic()
        d.reload()
        reloaded = time.monotonic() - start
    finally:
        end.set()
        thread.join()
        flooding.close()
    times.sort()
    print(f"{sent[0] / SECONDS:.0f} datagrams a second; echoes of a stream: median "
          f"{times[len(times) // 2] * 1e3:.2f} ms, most {times[-1] * 1e3:.1f} ms; reload after "
          f"{reloaded * 1e3:.0f} ms")
    assert times[len(times) // 2] < 0.1 * SLACK * SLOW
    assert d.count("datagrams_in", "echo-udp") > 0


def syn(source, target, sequence):
    """An IP packet with the SYN of a connection."""
    ends = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    tcp = struct.pack("!HHIIBBHHH", source[1], target[1], sequence, 0, 5 << 4, 2, 65535, 0, 0)
    pseudo = ends + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", net.checksum(pseudo + tcp)) + tcp[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0) + ends
    return head[:10] + struct.pack("!H", net.checksum(head)) + head[12:] + tcp


@pytest.mark.netns
@stream_grid("tcp4", pairs=[("prefork", "epoll"), ("prefork", "io_uring"), ("fork", "blocking")])
def test_flood_of_half_open_connections(echod, network, tmp_path, cell):
    """SYNs of thousands that never come back: who is in is served, and others come in (the
    kernel answers with cookies); the daemon never hears of them."""
    service = cell.service(tmp_path, backlog=16)
    service.listen, service.address = f"10.9.0.1:{PORT}", ("10.9.0.1", PORT)
    net.run("ip", "-n", network.server, "route", "replace", "10.77.0.0/16", "via", "10.9.0.100")
    d = echod(service, prefix=["ip", "netns", "exec", network.server])
    with network.inside(network.client):
        inside = service.connect()
    d.clients.append(inside)
    ping(inside)
    wire, to = network.wire(), net.mac(network, network.server)
    begin, sent, came = time.monotonic(), 0, 0
    try:
        while time.monotonic() < begin + SECONDS or came < 10:
            for _ in range(100):
                host = f"10.77.{sent >> 8 & 255}.{sent & 255}"
                wire.send(to, net.ETH_IP, syn((host, 1024 + sent % 60000), service.address, sent))
                sent += 1
            ping(inside)
            with network.inside(network.client):
                s = service.connect()
            exchange(s, payload(1000, came))
            s.close()
            came += 1
    finally:
        wire.close()
    print(f"{sent} SYNs, {came} honest clients")
    d.wait_count("connections_accepted", came + 1)
    assert not [x for x in d.log().splitlines() if " warning: " in x]


def test_backlog_that_is_cut(echod, tmp_path):
    """A backlog above net.core.somaxconn is what the kernel makes of it, and the log says so."""
    with open("/proc/sys/net/core/somaxconn") as f:
        most = int(f.read())
    if most >= 65535:
        pytest.skip("somaxconn is larger than any backlog")
    d = echod(TCP4.service(tmp_path, "iterative", "epoll", backlog=most + 1))
    assert d.lines(f"backlog asked {most + 1}, the kernel made it {most}")
    fits = echod(TRANSPORTS["tcp6"].service(tmp_path, "iterative", "epoll", backlog=most))
    assert not fits.lines("backlog asked")


@pytest.mark.netns
@pytest.mark.parametrize("name,option,late", [("tcp4", "IP_FREEBIND", "10.9.0.77/24"),
                                              ("udp4", "IP_FREEBIND", "10.9.0.78/24"),
                                              ("tcp6", "IPV6_FREEBIND", "fd09::77/64")])
def test_address_that_comes_late(echod, network, tmp_path, name, option, late):
    """With IP_FREEBIND a service starts before its address is there, and serves when it is."""
    host = late.split("/")[0]
    service = TRANSPORTS[name].service(tmp_path, socket={option: True})
    service.listen = f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}"
    service.address = (host, PORT)
    d = echod(service, prefix=["ip", "netns", "exec", network.server])
    extra = ["nodad"] if ":" in host else []
    net.run("ip", "-n", network.server, "address", "add", late, "dev", "veth0", *extra)
    with network.inside(network.client):
        s = service.connect()
    d.clients.append(s)
    s.send(b"late")
    assert s.recv(10) == b"late"
