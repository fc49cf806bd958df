# SPDX-License-Identifier: ISC
"""The servers that the bench compares: how each is started, checked, accounted and ended."""
import ctypes
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time

import checks

PR_SET_PDEATHSIG = 1
CLOCK_PROCESS_SCHED = 2  # of another process: ~pid << 3 | 2, see clock_getcpuclockid(3)
LIBC = ctypes.CDLL(None)
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

# Programs of ours in this directory: {protocol: {name: program and arguments}}.
PEERS = {
    "tcp": {"C epoll": ["peer_epoll"], "C io_uring": ["peer_uring"], "asio": ["peer_asio"],
            "libev": ["peer_libev"], "libuv": ["peer_libuv"], "C threads": ["peer_thread"]},
    "udp": {"recvfrom": ["peer_udp", "plain"], "recvmmsg": ["peer_udp", "mmsg"],
            "recvmmsg + GRO": ["peer_udp", "gro"]},
}
MODELS = ("iterative", "prefork", "prethread", "thread", "fork")
ENGINES = ("io_uring", "epoll", "blocking")
# All of echod's rules for datagrams hold, and the rate is set too high to drop any.  The
# buffer is that of the peers.
RULES = {"tcp": [], "udp": ["-o", "services[0].udp.rate=4000000.0",
                            "-o", "services[0].udp.burst=1000000",
                            "-o", "services[0].socket.SO_RCVBUF=4194304"]}

XINETD_CONF = """\
defaults
{{
	log_type = FILE {dir}/xinetd.log
}}
service echo
{{
	type = INTERNAL UNLISTED
	id = echo-stream
	socket_type = stream
	protocol = tcp
	wait = no
	user = {user}
	bind = 127.0.0.1
	port = {port}
	flags = NODELAY NOLIBWRAP
	cps = 100000 1
	instances = UNLIMITED
	per_source = UNLIMITED
	disable = no
}}
"""


def free_port(protocol="tcp"):
    """A port below the ephemeral ones, so that no client's socket can hold it."""
    for port in random.sample(range(2000, 9000), 200):
        with socket.socket(type=KINDS[protocol]) as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise RuntimeError("no free port from 2000 to 9000")


def run_on(cpus):
    """What a child does before exec: pinned, and gone with the bench whatever ends it."""
    def prepare():
        os.sched_setaffinity(0, cpus)
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    return prepare


def descendants(root):
    """ROOT and every process below it."""
    children = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", "rb") as f:
                ppid = int(f.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(ppid, []).append(int(pid))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_ns(root):
    """CPU time of the tree below ROOT: the scheduler's account of each process with its
    ended threads, which is the sum of /proc/PID/task/*/schedstat while they live, and of
    the children that it has waited for (in ticks: all that the kernel keeps of them)."""
    total, tick = 0, 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    for pid in descendants(root):
        try:
            total += time.clock_gettime_ns(~pid << 3 | CLOCK_PROCESS_SCHED)
            with open(f"/proc/{pid}/stat", "rb") as f:
                fields = f.read().rpartition(b")")[2].split()
        except OSError:
            continue
        total += (int(fields[13]) + int(fields[14])) * tick
    return total


def memory(root, what="Pss"):
    """Bytes of WHAT (smaps_rollup) in all processes of the tree below ROOT."""
    total = 0
    for pid in descendants(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                total += sum(int(line.split()[1]) << 10 for line in f
                             if line.startswith(what + ":"))
        except OSError:
            continue
    return total


class Server:
    """One server under test.  COMMAND(port, dir) gives its command line."""

    def __init__(self, name, command, protocol="tcp", ours=False):
        self.name, self.command, self.protocol, self.ours = name, command, protocol, ours
        self.process = self.port = self.log = None
        # xinetd's child looks the peer's name up for its process title.  127.0.0.1 is in
        # /etc/hosts; another source address would make it a test of the name server.
        self.sources = name != "xinetd"
        self.wrong = ""  # why it cannot be measured, or what it does wrong

    def again(self):
        """The same server once more, to compare it with itself."""
        return Server(f"{self.name}, again", self.command, self.protocol)

    def start(self, directory, cpus):
        self.port = free_port(self.protocol)
        self.log = os.path.join(directory, f"{self.name}-{self.port}.log".replace("/", "-"))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self.command(self.port, directory), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, preexec_fn=run_on(cpus))
        self.wrong = self.wait_ready() or checks.check(self.protocol, self.port)

    def wait_ready(self):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return f"ended with status {self.process.returncode}: {self.log_tail()}"
            if checks.answers(self.protocol, self.port):
                return ""
            time.sleep(0.02)
        return f"does not answer: {self.log_tail()}"

    def died(self):
        if self.process.poll() is not None and not self.wrong:
            self.wrong = f"died: status {self.process.returncode}: {self.log_tail()}"
        return bool(self.wrong)

    def log_tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return " | ".join(f.read().splitlines()[-2:])

    def stop(self):
        """End it, and what is left of its session: all of it was started here."""
        if not self.process:
            return
        if self.process.poll() is None:
            self.process.terminate()
            for _ in range(250):
                # WNOWAIT: while the leader is a zombie, its group's number is nobody else's.
                if os.waitid(os.P_PID, self.process.pid,
                             os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    break
                time.sleep(0.02)
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait(5)
        self.process = None


def xinetd(port, directory):
    path = os.path.join(directory, f"xinetd-{port}.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write(XINETD_CONF.format(port=port, dir=directory, user=pwd.getpwuid(os.getuid())[0]))
    return [find("xinetd"), "-dontfork", "-f", path, "-pidfile", path + ".pid"]


def socat(port, _):
    return [find("socat"), "-t", "5",
            f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,backlog=511,nodelay", "EXEC:cat"]


PACKAGED = {"xinetd": xinetd, "socat EXEC:cat": socat}


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Choice:
    """The servers there are: peers that are built or installed, and echod in every pair."""

    def __init__(self, programs, echod):
        self.programs, self.echod_path = programs, echod
        self.missing = [name for p in PEERS for name in PEERS[p] if not self.built(p, name)]
        self.missing += [name for name in PACKAGED if not find(name.split()[0])]
        self.pairs = {p: self.known_pairs(p) if echod else [] for p in PEERS}

    def built(self, protocol, name):
        return os.access(os.path.join(self.programs, PEERS[protocol][name][0]), os.X_OK)

    def peer(self, protocol, name, *arguments):
        program, *rest = PEERS[protocol][name]
        path = os.path.join(self.programs, program)
        return Server(name, lambda port, _: [path, str(port), *rest, *map(str, arguments)],
                      protocol)

    def peers(self, protocol):
        """All that are built, as one would start them."""
        return [self.peer(protocol, name) for name in PEERS[protocol]
                if self.built(protocol, name)]

    @staticmethod
    def packaged():
        return [Server(name, command) for name, command in PACKAGED.items()
                if find(name.split()[0])]

    def known_pairs(self, protocol):
        """Which pairs of model and engine this echod takes."""
        def takes(model, engine):
            argv = [self.echod_path, "--check", "--listen", f"{protocol}:127.0.0.1:7",
                    "--model", model, "--engine", engine]
            return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10,
                                  check=False).returncode == 0
        return [(m, e) for m in MODELS for e in ENGINES if takes(m, e)]

    def echod(self, protocol, model, engine, workers=1, options=()):
        """echod with WORKERS executors where the model has a choice."""
        def command(port, _):
            argv = [self.echod_path, "--listen", f"{protocol}:127.0.0.1:{port}",
                    "--model", model, "--engine", engine, *RULES[protocol], *options]
            return argv + (["--workers", str(workers)] if model.startswith("pre") else [])
        return Server(f"{model}/{engine}", command, protocol, ours=True)
