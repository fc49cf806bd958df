# SPDX-License-Identifier: ISC
"""What goes in comes out: byte for byte, in order, to the end, over every stream."""

import select
import socket

import pytest

from grid import stream_grid
from talk import Talker, converse, exchange, payload, ping, receive

MIB = 1 << 20
SIZES = [1, 2, 3, 7, 64, 100, 512, 1000, 1024, 1460, 4095, 4096, 4097, 8192, 16384, 32768, 65535,
         65536, 131072]  # 19 of them


@pytest.fixture
def client(echod, cell, tmp_path):
    """A client of a daemon of the cell, started without a file, as people try it first."""
    return echod(cell.service(tmp_path), cli=True).connect()


@stream_grid()
def test_full_duplex(client):
    """16 MiB sent and received at once come back exact, and the end of file after them."""
    exchange(client, payload(16 * MIB), shutdown=True)
    assert client.recv(1) == b""


@stream_grid()
@pytest.mark.parametrize("size", [0, 5, MIB, 8 * MIB])
def test_half_close(client, size):
    """A client that shuts down its writing side and reads late gets everything, then FIN."""
    exchange(client, payload(size), late=True)


@stream_grid()
def test_ping_pong(client):
    """One message at a time, 1 B to 128 KiB: each returns before the next is sent, so nothing
    is held back until more comes."""
    for size in SIZES:
        for turn in range(3):
            ping(client, payload(size, turn))


@stream_grid(quick=("tcp4", "unix"))
def test_pipelined(client):
    """4000 messages sent without waiting come back as one stream, in order."""
    data = b"".join(b"%06d:" % i + payload(1 + i % 97, i) for i in range(4000))
    exchange(client, data, step=53)


@stream_grid(quick=("tcp4", "unix"))
def test_never_speaks_first(client):
    """Nothing is sent to a client that has sent nothing."""
    assert select.select([client], [], [], 0.1)[0] == []
    ping(client)


@stream_grid("tcp4", "tcp6")
def test_urgent_byte(client):
    """A byte sent with MSG_OOB is echoed in its place in the stream."""
    client.sendall(b"before")
    client.send(b"!", socket.MSG_OOB)
    client.sendall(b"after")
    assert receive(client, 12) == b"before!after"
    client.send(b"?", socket.MSG_OOB)
    assert receive(client, 1) == b"?"


@stream_grid("tcp4")
def test_urgent_bytes_in_bulk(client):
    """The same in the middle of a transfer that keeps both directions full."""
    data = bytearray(payload(2 * MIB))
    talker = Talker(client, data[:MIB], shutdown=False)
    assert converse([talker]) == []
    client.settimeout(10)
    for i in range(20):
        client.send(b"x%d" % (i % 10), socket.MSG_OOB)
        assert receive(client, 2) == b"x%d" % (i % 10)
    exchange(client, data[MIB:])


@stream_grid("tcp4", "tcp6", "mptcp4", quick=("tcp4",))
def test_tiny_socket_buffers(echod, cell, tmp_path):
    """With the smallest buffers that the kernel gives, every write is short; nothing is lost."""
    d = echod(cell.service(tmp_path, socket={"SO_RCVBUF": 2304, "SO_SNDBUF": 4608}))
    s = d.services[0].transport.socket()
    d.clients.append(s)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    s.connect(d.services[0].address)
    exchange(s, payload(MIB), late=True)


@pytest.mark.parametrize("buffer", [4096, 65536, 1048576])
@stream_grid("tcp4", quick=())
def test_buffer_sizes(echod, cell, tmp_path, buffer):
    """The size of the buffer is a matter of memory, never of content."""
    exchange(echod(cell.service(tmp_path, buffer=buffer)).connect(), payload(4 * MIB), late=True)
