# SPDX-License-Identifier: ISC
"""Socket options: the table that is printed, and what the kernel makes of a value."""

import re
import subprocess

import harness
import pytest

# What the course's table, their IPv6 twins, systemd.socket(5) and socat have.
WANTED = """
SO_BROADCAST SO_KEEPALIVE SO_LINGER SO_RCVBUF SO_RCVLOWAT SO_REUSEADDR SO_SNDLOWAT SO_SNDBUF
TCP_KEEPIDLE TCP_NODELAY IP_TTL IP_MULTICAST_TTL IP_MULTICAST_LOOP IP_ADD_MEMBERSHIP
IP_DROP_MEMBERSHIP IPV6_UNICAST_HOPS IPV6_MULTICAST_HOPS IPV6_MULTICAST_LOOP IPV6_ADD_MEMBERSHIP
IPV6_DROP_MEMBERSHIP SO_REUSEPORT SO_BINDTODEVICE SO_PRIORITY SO_MARK SO_RCVTIMEO SO_SNDTIMEO
SO_RCVBUFFORCE SO_SNDBUFFORCE SO_OOBINLINE SO_BUSY_POLL SO_INCOMING_CPU SO_MAX_PACING_RATE
SO_TIMESTAMPING IP_TOS IP_FREEBIND IP_TRANSPARENT IP_MTU_DISCOVER IPV6_V6ONLY IPV6_TCLASS
IPV6_FREEBIND IPV6_TRANSPARENT IPV6_MTU_DISCOVER TCP_KEEPINTVL TCP_KEEPCNT TCP_USER_TIMEOUT
TCP_DEFER_ACCEPT TCP_FASTOPEN TCP_QUICKACK TCP_CORK TCP_MAXSEG TCP_CONGESTION TCP_WINDOW_CLAMP
TCP_NOTSENT_LOWAT TCP_SYNCNT TCP_LINGER2
""".split()


@pytest.fixture(scope="module")
def table():
    """{name: (level, type, set at, protocols, sentence)} of --list-options."""
    out = subprocess.run([harness.ECHOD, "--list-options"], capture_output=True, text=True,
                         check=True).stdout.splitlines()
    head = out[0]
    begins = [m.start() for m in re.finditer(r"\S+( \S+)*", head)]
    rows = {}
    for line in out[1:]:
        cells = [line[a:b].rstrip() for a, b in zip(begins, begins[1:] + [None])]
        # A column that is too narrow would push its neighbours aside.
        assert all(line[b - 1] == " " for b in begins[1:]), line
        rows[cells[0]] = cells[1:]
    return rows


def test_every_option_is_there(table):
    assert set(table) == set(WANTED)


def test_rows_say_where(table):
    assert table["SO_RCVBUF"][:3] == ["SOL_SOCKET", "size", "socket"]
    assert table["TCP_NODELAY"][:4] == ["IPPROTO_TCP", "bool", "socket", "tcp, mptcp"]
    assert table["TCP_QUICKACK"][2] == "connection"
    assert table["SO_OOBINLINE"][3] == "tcp"
    for name in ("SO_SNDLOWAT", "IP_DROP_MEMBERSHIP", "IPV6_DROP_MEMBERSHIP"):
        assert table[name][2] == "never"
        assert "Refused: " in table[name][4]


def dump(*arguments):
    done = subprocess.run([harness.ECHOD, "--dump-config", *arguments], capture_output=True,
                          text=True)
    return done.stdout + done.stderr


VALUES = {"bool": "true", "int": "5", "size": "64K", "seconds": "5", "time": "1.5",
          "linger": "5", "string": "lo", "group": "239.1.2.3"}
SPECIAL = {"SO_TIMESTAMPING": "software", "IP_MTU_DISCOVER": "do", "IPV6_MTU_DISCOVER": "do",
           "IPV6_ADD_MEMBERSHIP": "ff02::9", "TCP_MAXSEG": "1000"}


def test_each_can_be_configured(table):
    """Every row that is not refused is a key, for a protocol that it names."""
    for name, (_, kind, stage, protocols, _) in table.items():
        if stage == "never":
            continue
        value = SPECIAL.get(name) or VALUES[kind]
        address = "[::1]:7" if name.startswith("IPV6_") else "127.0.0.1:7"
        text = dump("--listen", f"{protocols.split(',')[0]}:{address}",
                    "-o", f"services[0].socket.{name}={value}")
        assert re.search(rf'{name} = "?{re.escape(value)}"?;', text), text


def receive_buffer(log):
    """(asked, effective) of SO_RCVBUF as the log tells."""
    match = re.search(r"SO_RCVBUF\D+(\d+)\D+(\d+)", log)
    return int(match[1]), int(match[2])


def test_receive_buffer_is_doubled(echod):
    """The exercise of the course: ask for a receive buffer, double it, see what the kernel
    makes of it.  It doubles what one sets (socket(7)), and the log says so."""
    asked = 16384
    for size in (asked, 2 * asked):
        port = harness.free_port()
        daemon = echod(harness.Service("tcp", f"127.0.0.1:{port}",
                                       keys={"socket": {"SO_RCVBUF": size}}))
        line = daemon.wait_line("SO_RCVBUF")
        assert receive_buffer(line) == (size, 2 * size), line


def test_option_that_fails_is_named(echod):
    """A value that only the kernel can judge: the daemon says which option it refused."""
    port = harness.free_port()
    daemon = echod(harness.Service("tcp", f"127.0.0.1:{port}",
                                   keys={"socket": {"TCP_CONGESTION": "nosuch"}}), ready=False)
    daemon.spawn()
    daemon.expected_exit = daemon.process.wait(10 * harness.SLOW)
    assert daemon.expected_exit != 0
    assert "TCP_CONGESTION" in daemon.log()
