# SPDX-License-Identifier: ISC
"""A network of the bench's own: only its loopback, nobody else's connections, one congestion
control for all, many ports.  It goes with the bench."""
import ctypes
import os
import subprocess

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
CONGESTION = "cubic"
PORTS = "10000 60999"  # of clients; servers are below


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def use_congestion():
    """The route decides, for both ends: a namespace may not choose its default freely."""
    for net in ("127.0.0.0/8", "127.0.0.1"):
        subprocess.run(["ip", "route", "replace", "local", net, "dev", "lo", "table", "local",
                        "proto", "kernel", "scope", "host", "src", "127.0.0.1",
                        "congctl", CONGESTION], check=True)


def enter():
    """Enter it; returns where we are, in words.  Who may not, stays."""
    uid, gid = os.geteuid(), os.getegid()
    flags = CLONE_NEWNET | (CLONE_NEWUSER if uid else 0)
    if ctypes.CDLL(None).unshare(flags) < 0:
        with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as f:
            return f"the machine's own network, {f.read().strip()}"
    if uid:
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"0 {uid} 1")
        write("/proc/self/gid_map", f"0 {gid} 1")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    write("/proc/sys/net/ipv4/ip_local_port_range", PORTS)
    use_congestion()
    return f"a network of its own, {CONGESTION}"
