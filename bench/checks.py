# SPDX-License-Identifier: ISC
"""Is it an echo server?  What is not gets no figure."""
import random
import socket
import threading

HELD_MAX = 160 << 20  # bytes: more than the kernel's buffers of both sides can hold


def answers(protocol, port):
    """Does something serve there yet?"""
    try:
        if protocol == "tcp":
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return echo_datagram(port, b"ready?", 0.2) == b"ready?"
    except OSError:
        return False


def check(protocol, port):
    """Returns what is wrong with it, or an empty text."""
    return check_tcp(port) if protocol == "tcp" else check_udp(port)


def check_tcp(port):
    """Byte-exact, to the end after a half-close, and no more taken than is given back."""
    for size in (0, 5, 4 << 20):
        wrong = check_size(port, size)
        if wrong:
            return f"half-close after {size} bytes: {wrong}"
    return check_back_pressure(port)


def check_size(port, size):
    data = random.Random(size).randbytes(size)
    got = bytearray()
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            def send():
                try:
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # the receiver says what is missing
            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            while len(got) <= size:
                part = s.recv(1 << 18)
                if not part:
                    break
                got += part
            sender.join(5)
    except OSError as e:
        return f"{e} after {len(got)} bytes"
    if got == data:
        return ""
    if len(got) < size and data.startswith(got):
        return f"the last {size - len(got)} bytes are missing"
    return f"other bytes came back ({len(got)})"


def check_back_pressure(port):
    """A client that never reads is not read without end either."""
    sent, chunk = 0, bytes(1 << 20)
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        s.settimeout(0.3)
        try:
            while sent < HELD_MAX:
                sent += s.send(chunk)
        except TimeoutError:
            return ""
        except OSError as e:
            return f"a client that does not read, after {sent} bytes: {e}"
    return f"no back-pressure: it took {sent} bytes of a client that reads none"


def echo_datagram(port, data, patience=2):
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        s.settimeout(patience)
        s.connect(("127.0.0.1", port))
        s.send(data)
        return s.recv(65536)


def check_udp(port):
    for size in (1, 64, 1400, 1472, 32000, 65507, 0):
        data = random.Random(size).randbytes(size)
        try:
            got = echo_datagram(port, data)
        except OSError as e:
            return f"a datagram of {size} bytes: {e}"
        if got != data:
            return f"a datagram of {size} bytes: {len(got)} bytes came back, or others"
    return ""
