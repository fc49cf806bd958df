# SPDX-License-Identifier: ISC
"""Two network namespaces with a link between them: a server's and a client's.

They belong to two idle processes and end with them: nothing has a name, nothing needs cleaning
up.  To make them takes root, or a user namespace in which one is root.  Each has an /etc/hosts of
its own that knows both, and no name server: xinetd asks for the name of each client.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

SERVER4, SERVER4_SECOND = "10.9.0.1", "10.9.0.2"
SERVER6, SERVER6_SECOND = "fd09::1", "fd09::2"
CLIENT4, CLIENT4_OTHER, CLIENT6 = "10.9.0.100", "10.9.0.101", "fd09::100"
ADDRESSES = {"server": (SERVER4, SERVER4_SECOND, SERVER6, SERVER6_SECOND),
             "client": (CLIENT4, CLIENT4_OTHER, CLIENT6)}

HOSTS = "127.0.0.1 localhost\n::1 localhost\n" + "".join(
    f"{a} {name}{i}\n" for name, found in ADDRESSES.items() for i, a in enumerate(found))
HOLD = """\
mount --bind "$1/hosts" /etc/hosts && mount --bind "$1/resolv.conf" /etc/resolv.conf &&
	exec cat"""


class NoNamespaces(Exception):
    """Why there are none."""


class Pair:
    """The two namespaces."""

    def __init__(self):
        self.holders = {}
        self.files = tempfile.TemporaryDirectory(prefix="netpair-")

    def __enter__(self):
        etc = Path(self.files.name)
        etc.chmod(0o755)
        (etc / "hosts").write_text(HOSTS)
        (etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        try:
            for name in ADDRESSES:
                self.hold(name)
            self.link()
        except (OSError, subprocess.CalledProcessError) as e:
            self.__exit__()
            raise NoNamespaces(getattr(e, "stderr", None) or str(e)) from None
        return self

    def __exit__(self, *_):
        for name, holder in self.holders.items():
            if holder.poll() is None:
                self.end_all(name)
                holder.stdin.close()
                holder.wait()
        self.files.cleanup()

    def hold(self, name):
        """A process that does nothing in a namespace of its own, until its input ends."""
        holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", HOLD, "sh", self.files.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.holders[name] = holder
        holder.stdin.write(b"x")
        holder.stdin.flush()
        if holder.stdout.read(1) != b"x":  # cat(1) is there only in the namespace
            raise OSError(holder.stderr.read().decode().strip())

    def inside(self, name):
        """Words before a command that let it run there."""
        of = f"/proc/{self.holders[name].pid}/ns"
        return ["nsenter", f"--net={of}/net", f"--mount={of}/mnt", "--"]

    def ip(self, name, *words):
        subprocess.run([*self.inside(name), "ip", *words], check=True, capture_output=True,
                       text=True, stdin=subprocess.DEVNULL)

    def link(self):
        self.ip("server", "link", "add", "veth0", "type", "veth", "peer", "name", "veth0",
                "netns", str(self.holders["client"].pid))
        for name, addresses in ADDRESSES.items():
            self.ip(name, "link", "set", "lo", "up")
            self.ip(name, "link", "set", "veth0", "up")
            for a in addresses:
                six = ["nodad"] if ":" in a else ["broadcast", "+"]
                self.ip(name, "address", "add", a + ("/64" if ":" in a else "/24"),
                        "dev", "veth0", *six)
        # Answers to forged addresses go to the client, which throws them away.
        self.ip("server", "route", "add", "default", "via", CLIENT4)

    def inhabitants(self, name):
        """The processes in a namespace, its holder left out."""
        holder = self.holders[name].pid
        wanted = os.readlink(f"/proc/{holder}/ns/net")
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(OSError):
                if pid != holder and os.readlink(f"/proc/{pid}/ns/net") == wanted:
                    found.append(pid)
        return found

    def end_all(self, name):
        """End whatever runs in a namespace: all of it was started here."""
        for sign, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
            for pid in self.inhabitants(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
            end = time.monotonic() + patience
            while self.inhabitants(name) and time.monotonic() < end:
                time.sleep(0.01)

    def ports(self, name):
        """{(protocol, port)} that are open there: tcp, tcp6, udp, udp6."""
        found = set()
        for protocol in ("tcp", "tcp6", "udp", "udp6"):
            with open(f"/proc/{self.holders[name].pid}/net/{protocol}") as f:
                for line in list(f)[1:]:
                    words = line.split()
                    if protocol[:3] == "udp" or words[3] == "0A":
                        found.add((protocol, int(words[1].rpartition(":")[2], 16)))
        return found
