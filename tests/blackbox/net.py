# SPDX-License-Identifier: ISC
"""Networks of our own: two namespaces with a veth pair between them, and raw packets."""

import ctypes
import os
import socket
import struct
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from harness import SLOW, wait_for

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
ETH_IP, ETH_IP6 = 0x0800, 0x86DD
libc = ctypes.CDLL(None, use_errno=True)


def _setns(fd):
    if libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def run(*words):
    subprocess.run(words, check=True, capture_output=True, text=True)


class Network:
    """A server's and a client's namespace.

    Server: veth0 with 10.9.0.1/24, 10.9.0.2/24, 10.9.1.1/24, fd09::1, fd09::2 and fe80::1.
    Client: veth0 with 10.9.0.100/24, 10.9.1.100/24, fd09::100 and fe80::100.  Both have lo.
    """

    def __init__(self):
        unique = f"{os.getpid()}-{time.monotonic_ns() % 1000000}"
        self.server, self.client = f"ec-s-{unique}", f"ec-c-{unique}"

    def create(self):
        for name in (self.server, self.client):
            run("ip", "netns", "add", name)
        run("ip", "-n", self.server, "link", "add", "veth0", "type", "veth",
            "peer", "name", "veth0", "netns", self.client)
        addresses = {
            self.server: ("10.9.0.1/24", "10.9.0.2/24", "10.9.1.1/24", "fd09::1/64",
                          "fd09::2/64", "fe80::1/64"),
            self.client: ("10.9.0.100/24", "10.9.1.100/24", "fd09::100/64", "fe80::100/64")}
        for name, texts in addresses.items():
            # No other link-local address than ours, so that every test knows its peer.
            run("ip", "-n", name, "link", "set", "veth0", "addrgenmode", "none")
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "link", "set", "veth0", "up")
            for text in texts:
                extra = ["nodad"] if ":" in text else ["broadcast", "+"]
                run("ip", "-n", name, "address", "add", text, "dev", "veth0", *extra)
            run("ip", "-n", name, "route", "add", "default", "dev", "veth0")
        return self

    def destroy(self):
        for name in (self.server, self.client):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    @contextmanager
    def inside(self, name):
        """Sockets made in here belong to namespace NAME."""
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            _setns(there)
            yield
        finally:
            _setns(here)
            os.close(here)
            os.close(there)

    def udp(self, source=None, where=None):
        """A datagram client, of IPv6 if SOURCE is; bound to SOURCE (host, port)."""
        with self.inside(where or self.client):
            family = socket.AF_INET6 if source and ":" in source[0] else socket.AF_INET
            s = socket.socket(family, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            s.settimeout(5.0 * SLOW)
            if source:
                s.bind(source if len(source) > 2 or family == socket.AF_INET
                       else socket.getaddrinfo(*source, type=socket.SOCK_DGRAM)[0][4])
            return s

    def index(self, where=None):
        """Interface index of veth0."""
        with self.inside(where or self.client):
            return socket.if_nametoindex("veth0")

    def wire(self, device="veth0"):
        """A raw view of the client's interface."""
        with self.inside(self.client):
            return Wire(device)


class Wire:
    """Ethernet frames, sent as made and received as seen."""

    def __init__(self, device):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.sock.bind((device, ETH_P_ALL))
        self.sock.settimeout(0.05)
        self.own = self.sock.getsockname()[4]

    def close(self):
        self.sock.close()

    def send(self, to_mac, protocol, packet):
        self.sock.send(to_mac + self.own + struct.pack("!H", protocol) + packet)

    def udp_seen(self, source_port, seconds=0.3):
        """The UDP packets from SOURCE_PORT that arrive within SECONDS: [(ip packet)]."""
        found = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                frame, address = self.sock.recvfrom(65536)
            except TimeoutError:
                continue
            if address[2] == socket.PACKET_OUTGOING:
                continue
            kind = struct.unpack("!H", frame[12:14])[0]
            packet = frame[14:]
            if kind == ETH_IP and packet[9] == socket.IPPROTO_UDP:
                ports = packet[(packet[0] & 15) * 4:]
            elif kind == ETH_IP6 and packet[6] == socket.IPPROTO_UDP:
                ports = packet[40:]
            else:
                continue
            if struct.unpack("!H", ports[:2])[0] == source_port:
                found.append(packet)
        return found


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_packet(source, target, data=b"raw"):
    """An IP packet with a UDP datagram from SOURCE (host, port) to TARGET (host, port)."""
    length = 8 + len(data)
    udp = struct.pack("!HHHH", source[1], target[1], length, 0) + data
    if ":" in target[0]:
        ends = (socket.inet_pton(socket.AF_INET6, source[0])
                + socket.inet_pton(socket.AF_INET6, target[0]))
        pseudo = ends + struct.pack("!II", length, socket.IPPROTO_UDP)
        udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp) or 0xFFFF) + data
        return struct.pack("!IHBB", 6 << 28, length, socket.IPPROTO_UDP, 64) + ends + udp
    ends = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    pseudo = ends + struct.pack("!BBH", 0, socket.IPPROTO_UDP, length)
    udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp) or 0xFFFF) + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, socket.IPPROTO_UDP, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


def mac(network, name, device="veth0"):
    """The hardware address of DEVICE in namespace NAME."""
    with network.inside(name):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        s.bind((device, 0))
        address = s.getsockname()[4]
        s.close()
        return address


def wait_running(network):
    """Both ends of the pair have a carrier."""
    def up():
        with network.inside(network.client):
            text = subprocess.run(["ip", "-n", network.client, "-o", "link", "show", "veth0"],
                                  capture_output=True, text=True, check=True).stdout
        return "LOWER_UP" in text and Path(f"/run/netns/{network.server}").exists()
    wait_for("the veth pair", up, 1.0)
