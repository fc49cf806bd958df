# SPDX-License-Identifier: ISC
"""The checks of the stream service."""

import contextlib
import select
import socket
import time

from client import PATIENCE, converse, exactly, fresh, ping, push, reset, silent, why
from rows import Fail, check, require

MIB = 1 << 20
MANY = 200          # clients at once
LOCKED_OUT = 600    # connections one after the other, from one address
STORM = 1000        # connections that are reset at once
HELD = 64 * MIB     # more than the kernel's buffers on both sides ever hold
MEMORY = 16         # MiB that a server may grow by
BYTES = bytes(range(256))


@check("tcp.silent", "says nothing before it is spoken to", "RFC 862", "tcp")
def says_nothing(t):
    with t.connect() as s:
        require(silent(s, 1.0), "spoke, or hung up")
        ping(s, b"x")


@check("tcp.bytes", "every byte value returns, the controls of a terminal too", "RFC 862", "tcp")
def every_byte(t):
    with t.connect() as s:
        for data in (b"hello\r\n", BYTES, BYTES[::-1], b"\xff\xf4\xff\xfd\x06", b"\x03\x04\x11\x13"):
            ping(s, data)


@check("tcp.large", "8 MiB at full speed, both ways at once, return unchanged", "RFC 862", "tcp")
def large(t):
    with t.connect() as s:
        converse(s, fresh(8 * MIB))


@check("tcp.half-close", "who ends his side gets the rest, then FIN and no RST",
       "RFC 9293 3.6.1", "tcp")
def half_close(t):
    for data in (b"", b"bye", fresh(MIB)):
        with t.connect() as s:
            s.sendall(data[:100])  # so that the end comes in one packet with the last bytes
            exactly(s, len(data[:100]))
            converse(s, data[100:])


@check("tcp.urgent", "an urgent byte returns in its place", "RFC 6093 6", "tcp")
def urgent(t):
    with t.connect() as s:
        s.sendall(b"before ")
        s.send(b"!", socket.MSG_OOB)
        s.sendall(b" after")
        s.shutdown(socket.SHUT_WR)
        back = exactly(s, 100)
        require(back == b"before ! after", "lost" if back == b"before  after" else "broken")


@check("tcp.slow-reader", "stops reading for a client that does not read, and loses nothing",
       "RFC 9293 3.8.6", "tcp")
def slow_reader(t):
    before = t.memory()
    data = fresh(MIB)
    with t.connect(receive=1 << 16) as s:
        sent = push(s, data, HELD)
        require(sent < HELD, f"took {HELD // MIB} MiB")
        grown = t.memory() - before
        require(grown <= MEMORY, f"grew by {grown:.0f} MiB")
        s.shutdown(socket.SHUT_WR)
        back = exactly(s, sent + 1)
        whole = memoryview(data * (sent // MIB + 1))[:sent]
        require(back == whole, f"{len(back):,} of {sent:,} bytes" if len(back) != sent
                else "other bytes")
    return f"held {sent / MIB:.1f} MiB, kernel's buffers included"


@check("tcp.many", f"{MANY} clients at once are all served", "common use", "tcp")
def many(t):
    with contextlib.ExitStack() as stack:
        clients = {}
        try:
            for _ in range(MANY):
                s = stack.enter_context(t.connect())
                data = fresh(200)
                s.sendall(data)
                clients[s] = data
        except OSError as e:
            raise Fail(f"{why(e)} after {len(clients)}") from None
        served = set()
        end = time.monotonic() + PATIENCE
        while len(served) < MANY and time.monotonic() < end:
            waiting = [s for s in clients if s not in served]
            for s in select.select(waiting, [], [], 0.2)[0]:
                if exactly(s, 200) != clients[s]:
                    raise Fail(f"{len(served)} of {MANY}")
                served.add(s)
        require(len(served) == MANY, f"{len(served)} of {MANY}")


@check("tcp.stalled", "a client that does not read stops no other", "CWE-400", "tcp")
def stalled(t):
    with t.connect(receive=1 << 16) as bad:
        push(bad, bytes(MIB), HELD)
        t.lives()


@check("tcp.resets", "clients that reset in the middle of their echo hurt no other",
       "RFC 9293 3.5.2", "tcp")
def resets(t):
    with t.connect(source=t.other) as honest:
        ping(honest, fresh(100))
        for _ in range(40):
            s = t.connect()
            s.sendall(fresh(20000))
            reset(s)
            ping(honest, fresh(100))
    t.lives()


@check("tcp.ipv6", "a long stream over IPv6 returns, too", "RFC 8200", "tcp", "ipv6")
def ipv6(t):
    with t.connect(host=t.six) as s:
        converse(s, fresh(MIB))


@check("tcp.storm", f"{STORM} connections that are reset at once leave no trace", "CWE-400",
       "tcp", "hostile", ends_run=True)
def storm(t):
    before, end = t.memory(), time.monotonic() + PATIENCE
    for _ in range(STORM):
        with contextlib.suppress(OSError):
            reset(t.connect(patience=1.0))
        if time.monotonic() > end:  # a short backlog makes a slow storm
            break
    t.lives()
    grown = t.memory() - before
    require(grown <= MEMORY, f"grew by {grown:.0f} MiB")


@check("tcp.lock-out", f"{LOCKED_OUT} quick clients of one address shut out nobody else",
       "CWE-645", "tcp", "other", "hostile", ends_run=True)
def lock_out(t):
    served = 0
    for _ in range(LOCKED_OUT):
        try:
            with t.connect(patience=1.0) as s:
                s.sendall(b"x")
                if s.recv(1) != b"x":
                    break
        except OSError:
            break
        served += 1
    try:
        t.lives()
    except Fail as e:
        raise Fail(f"all shut out after {served}") from e
    return f"{served} of them served"
