# SPDX-License-Identifier: ISC
"""What is measured: tables, their rows, and what is to be reached.  A load is what
`echoc load` takes, or "burst" and what burst.c takes."""
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    title: str
    text: object  # of a value
    less_is_better: bool


FIGURES = {
    "rate": Figure("a second", lambda v: f"{v:.0f}", False),
    "bytes_per_second": Figure("GB/s", lambda v: f"{v / 1e9:.2f}", False),
    "cpu_us": Figure("CPU us", lambda v: f"{v:.2f}", True),
    "p50_us": Figure("p50 us", lambda v: f"{v:.1f}", True),
    "p99_us": Figure("p99 us", lambda v: f"{v:.1f}", True),
}


@dataclass(frozen=True)
class Table:
    title: str
    rows: dict             # name: load
    figure: str            # what is compared
    no_worse: str = ""     # and this is no worse
    aim: float = 1.0       # times the best peer's figure; 0: there is no final
    protocol: str = "tcp"
    blocking: bool = False  # executors that serve one client at a time can serve this load
    forks: int = 0         # up to so many connections for servers with a process for each
    workers: int = 4       # of prefork and prethread with the blocking engine
    all_workers: int = 1   # of prefork and prethread with the others
    options: tuple = ()    # of echod
    peers: dict = field(default_factory=dict)  # further ones, {name: (peer, argument)}
    base: str = ""         # how the names of the peers begin that it is to reach; "": all
    spin: bool = False     # the client never sleeps


def fixed(connections, rate):
    return ["-c", connections, "-s", 64, "-r", rate]


def closed(connections, size, depth):
    return ["-c", connections, "-s", size, "-w", depth]


TABLES = {
    "fixed": Table(
        "the server's CPU for an echo of 64 B, on a fixed schedule",
        {"64 clients, 20000/s": fixed(64, 20000),
         "64 clients, 80000/s": fixed(64, 80000),
         "1000 clients, 100000/s": fixed(1000, 100000)},
        "cpu_us", no_worse="p50_us", forks=64, spin=True),
    "closed": Table(
        "64 B back and forth, as fast as they come back",
        {"64 clients": closed(64, 64, 1), "1000 clients": closed(1000, 64, 1)},
        "rate", no_worse="p99_us", forks=64),
    "bulk": Table(
        "streams with 256 KiB in flight, written in messages of 64 KiB",
        {"4 streams": closed(4, 65536, 4)},
        "bytes_per_second", forks=64, base="C epoll",
        peers={"C epoll, 64K": ("C epoll", 65536), "C epoll, 1M": ("C epoll", 1048576),
               "C io_uring, 64K": ("C io_uring", 65536)}),
    "connect": Table(
        "connect, 64 B back and forth, FIN, FIN, close; 16 at a time",
        {"16 at a time": ["-c", 16, "-s", 64, "--connect-each"]},
        "rate", no_worse="p99_us", blocking=True, forks=64),
    "models": Table(
        "64 B back and forth in every model; prefork and prethread have 16 executors",
        {"16 clients": closed(16, 64, 1)},
        "rate", aim=0, blocking=True, forks=64, workers=16, all_workers=16),
    "busy": Table(
        "one client that never sleeps, one message in flight; echod looks again for 1 ms "
        "(busy_poll)",
        {"1 client": closed(1, 64, 1)},
        "p50_us", aim=0.5, blocking=True, forks=64, workers=1, spin=True,
        options=("-o", "services[0].busy_poll=1000")),
    "udp": Table(
        "datagrams, as fast as they come back; all rules on",
        {"64 clients, 64 B": closed(64, 64, 1),
         "16 clients, 16 of 64 B": closed(16, 64, 16),
         "16 clients, 16 of 1400 B": closed(16, 1400, 16),
         "4 clients, 4 of 32000 B": closed(4, 32000, 4)},
        "rate", protocol="udp", blocking=True, workers=1),
    "udp-burst": Table(
        "datagrams in bursts that the kernel is given in one piece; all rules on",
        {"16 clients, bursts of 16 of 1400 B": ["burst", 16, 16, 1400]},
        "rate", protocol="udp", blocking=True, workers=1),
    "udp-fixed": Table(
        "the server's CPU for a datagram, on a fixed schedule; all rules on",
        {"64 clients, 64 B, 100000/s": fixed(64, 100000)},
        "cpu_us", no_worse="p50_us", protocol="udp", blocking=True, workers=1, spin=True),
}

# (rounds, seconds, warm-up): everybody runs in the heats, the best of them in the final.
HEATS, FINAL, QUICK = (3, 0.4, 0.1), (15, 0.5, 0.1), (3, 0.25, 0.05)
