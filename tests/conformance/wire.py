# SPDX-License-Identifier: ISC
"""Packets that sockets refuse to send, made by hand, and what comes back."""

import fcntl
import select
import socket
import struct
import time

ETH_P_ALL, ETH_P_IP = 3, 0x0800
SIOCGIFADDR, SIOCGIFBRDADDR = 0x8915, 0x8919


def may_make_packets():
    """Has this process CAP_NET_RAW?"""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).close()
        return True
    except PermissionError:
        return False


def may_bind_low():
    """Can this process have a port below 1024?"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.bind(("127.0.0.1", 1))
        except PermissionError:
            return False
        except OSError:
            pass
        return True


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_packet(source, target, data):
    """An IPv4 packet with a datagram from SOURCE (host, port) to TARGET (host, port).  It has no
    UDP checksum, which RFC 768 allows."""
    udp = struct.pack("!HHHH", source[1], target[1], 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0)
    head += socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


class Forger:
    """Sends datagrams to TARGET from whatever source they name; the kernel finds the way."""

    def __init__(self, target):
        self.target = target
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, source, data):
        self.packet(udp_packet(source, self.target, data))

    def packet(self, packet):
        try:
            self.socket.sendto(packet, self.target)
        except OSError:  # a full queue drops, as a network does
            pass


class Link:
    """The interface that leads to the server: frames as made, frames as seen."""

    def __init__(self, interface, target):
        self.target = target
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.bind((interface, ETH_P_ALL))
        self.socket.setblocking(False)
        self.interface = interface

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def neighbour(self):
        """The server's hardware address, or None where it is behind a router."""
        with open("/proc/net/arp") as f:
            for line in f:
                words = line.split()
                if words[0] == self.target[0] and words[3] != "00:00:00:00:00:00":
                    return bytes.fromhex(words[3].replace(":", ""))
        return None

    def send(self, hardware, source, data):
        self.socket.sendto(udp_packet(source, self.target, data),
                           (self.interface, ETH_P_IP, 0, 0, hardware))

    def answers(self, marks, seconds):
        """Which of MARKS (byte strings) come from the server's port within SECONDS."""
        found = set()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                break
            packet, address = self.socket.recvfrom(65536)
            if address[2] == socket.PACKET_OUTGOING or address[1] != ETH_P_IP:
                continue
            head = (packet[0] & 15) * 4
            if packet[9] != socket.IPPROTO_UDP or len(packet) < head + 8:
                continue
            if struct.unpack("!H", packet[head:head + 2])[0] == self.target[1]:
                found |= {m for m in marks if m in packet[head + 8:]}
        return found


def interface_of(address):
    """(name, broadcast address) of the interface that has ADDRESS, or (None, None)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _, name in socket.if_nameindex():
            def ask(what, name=name):
                request = struct.pack("256s", name.encode())
                return socket.inet_ntoa(fcntl.ioctl(s.fileno(), what, request)[20:24])
            try:
                if ask(SIOCGIFADDR) == address:
                    return name, ask(SIOCGIFBRDADDR)
            except OSError:  # an interface without an IPv4 address
                continue
    return None, None
