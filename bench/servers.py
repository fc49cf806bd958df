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
import threading
import time

PR_SET_PDEATHSIG = 1
CLOCK_PROCESS_SCHED = 2  # of another process: ~pid << 3 | 2, see clock_getcpuclockid(3)
LIBC = ctypes.CDLL(None)

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


def free_port():
    """A port below the ephemeral ones, so that no client's socket can hold it."""
    for port in random.sample(range(20000, 32000), 200):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise RuntimeError("no free port from 20000 to 32000")


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


class Server:
    """One server under test.  COMMAND(port, dir) gives its command line."""

    def __init__(self, name, command, sources=64):
        self.name, self.command, self.sources = name, command, sources
        self.process = self.port = self.log = None
        self.wrong = ""  # why it cannot be measured, or what it does wrong

    def start(self, directory, cpus):
        self.port = free_port()
        self.log = os.path.join(directory, f"{self.name}-{self.port}.log".replace("/", "-"))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                self.command(self.port, directory), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, preexec_fn=run_on(cpus))
        self.wrong = self.wait_ready() or check(self.port)

    def wait_ready(self):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return f"ended with status {self.process.returncode}: {self.log_tail()}"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return ""
            except OSError:
                time.sleep(0.02)
        return "does not accept"

    def died(self):
        if self.process.poll() is not None and not self.wrong:
            self.wrong = f"died: status {self.process.returncode}: {self.log_tail()}"
        return bool(self.wrong)

    def log_tail(self):
        with open(self.log, errors="replace") as f:
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


def check(port):
    """Does it echo byte-exactly, and to the end after a half-close?  Returns what is wrong."""
    for size in (0, 5, 4 << 20):
        wrong = check_size(port, size)
        if wrong:
            return f"half-close after {size} bytes: {wrong}"
    return ""


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


def xinetd(port, directory):
    path = os.path.join(directory, f"xinetd-{port}.conf")
    with open(path, "w") as f:
        f.write(XINETD_CONF.format(port=port, dir=directory, user=pwd.getpwuid(os.getuid())[0]))
    return [find("xinetd"), "-dontfork", "-f", path, "-pidfile", path + ".pid"]


def socat(port, _):
    return [find("socat"), "-t", "5",
            f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,backlog=511,nodelay", "EXEC:cat"]


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Choice:
    """The servers there are: peers that are built or installed, and echod in every pair."""

    PAIRS = [(m, e) for m in ("iterative", "fork", "thread", "prefork", "prethread")
             for e in ("blocking", "epoll") if not (m in ("fork", "thread") and e == "epoll")]

    def __init__(self, programs, echod):
        self.programs, self.echod_path = programs, echod

    def bare(self, program, name):
        path = os.path.join(self.programs, program)
        return Server(name, lambda port, _: [path, str(port)])

    def packaged(self):
        # xinetd's child looks the peer's name up for its process title.  127.0.0.1 is in
        # /etc/hosts; another source address would make it a test of the name server.
        return [Server(name, command, sources=0)
                for name, command in (("xinetd", xinetd), ("socat EXEC:cat", socat))
                if find(name.split()[0])]

    def echod(self, model, engine, workers):
        def command(port, _):
            argv = [self.echod_path, "--listen", f"tcp:127.0.0.1:{port}",
                    "--model", model, "--engine", engine]
            return argv + (["--workers", str(workers)] if model.startswith("pre") else [])
        return [Server(f"{model}/{engine}", command)] if self.echod_path else []
