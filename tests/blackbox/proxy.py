# SPDX-License-Identifier: ISC
"""Headers of the PROXY protocol, made as its specification says, and services that want one."""

import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
NOOP, CRC32C = 0x04, 0x03
TRUSTED = ["127.0.0.0/8", "::1"]


def v1(source="192.0.2.7", port=40007, to="198.51.100.1", to_port=7):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {to} {port} {to_port}\r\n".encode()


def v2_raw(command, family, body):
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def crc32c(data):
    """The checksum of RFC 3720, appendix B.4."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def v2(source="192.0.2.7", port=40007, to="198.51.100.1", to_port=7, tlvs=b"", checksum=False):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    body = (socket.inet_pton(family, source) + socket.inet_pton(family, to)
            + struct.pack("!HH", port, to_port) + tlvs)
    if checksum:
        body += struct.pack("!BH", CRC32C, 4) + bytes(4)
    header = v2_raw(PROXY, 0x21 if ":" in source else 0x11, body)
    return header[:-4] + struct.pack("!I", crc32c(header)) if checksum else header


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def keys(cell, trusted=None):
    """What a service of CELL says to want a header."""
    if cell.transport.family == socket.AF_UNIX:
        return {"proxy_protocol": "require"}
    return {"proxy_protocol": "require", "proxy_trusted": trusted or TRUSTED}
