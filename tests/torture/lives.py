# SPDX-License-Identifier: ISC
"""More kinds of lives, for calls that one who just serves makes seldom or never.  Each has a few
cells of the grid and the calls that are to fail in it, so that there are not too many."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import control
import grid
import harness
import journald
import procs
import proxy
from faults import COMPLETIONS, FAULTS, RINGS
from pid1 import LAUNCH
from run import PATIENCE, Broken, Life, cells, promise, until
from talk import payload

LEVELS = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"]
IDENTITY = {"setgroups", "setresgid", "setresuid", "getpwnam", "getgrnam"}


def one_of(*names):
    """Whether a cell is one of NAMES."""
    return classmethod(lambda cls, cell: str(cell) in names)


class Report(Life):
    """Clients get a report, after a PROXY header; somebody asks for the status meanwhile."""
    name = "report"
    calls = ("getpeername", "gethostname", "getsockname", "getsockopt", "setsockopt", "accept4",
             "recv", "send", "malloc")
    REQUEST = b"?" * 1400  # a report over UDP is no longer than what asks for it

    @classmethod
    def fits(cls, cell):
        return cell.transport.name == "tcp4" or str(cell) in (
            "prefork-epoll-unix", "prefork-epoll-udp4", "prefork-blocking-udp4",
            "prefork-io_uring-udp4")

    def top(self):
        return {**super().top(), "control": str(self.directory / "control")}

    def keys(self):
        wanted = {} if self.cell.transport.datagram else proxy.keys(self.cell)
        return {**super().keys(), **wanted, "respond": "report"}

    def exchange(self, size, exact):
        got = b""
        try:
            with self.service.connect(PATIENCE) as s:
                got = self.datagram(s, self.REQUEST) if self.cell.transport.datagram \
                    else self.stream(s, proxy.v1() + b"?")
        except TimeoutError as e:
            promise(self.cell.transport.datagram, f"a client hangs: {e}")
        except OSError:
            pass
        if got.endswith(b"\n"):
            promise(json.loads(got)["service"] == self.service.name, f"wrong report: {got!r}")
            return True
        return got[:1] in (b"", b"{") and not exact

    def bystander(self):
        return None

    def status(self):
        """Who asks may lose his connection, and comes again."""
        with contextlib.suppress(ConnectionError), \
                control.Line(str(self.directory / "control"), PATIENCE) as line:
            return line.call("GetStatus")
        return None

    def serve(self):
        self.status()
        super().serve()
        until("a status", self.status)


class Drain(Life):
    """It is told to stop while one client has yet to read and another never pauses."""
    name = "drain"
    calls = ("ioctl", "shutdown", "epoll_wait", "poll", "cqe_alarm", "cqe_cancel")
    WAITING = 30000  # bytes that the slow one has not read
    LATER = 1.4      # seconds from the order until it does: it has been looked at twice

    @classmethod
    def fits(cls, cell):
        return not cell.transport.datagram and (
            cell.transport.name == "tcp4" or str(cell) == "prefork-epoll-unix")

    def slow(self):
        """Its answer is on its way, more than it has room for."""
        s = self.cell.transport.socket()
        s.settimeout(PATIENCE * harness.SLOW)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(self.service.address)
        s.sendall(payload(self.WAITING))
        time.sleep(0.1)
        return s

    def busy(self, ready):
        """Until it is ended, whoever does it, it sends as fast as it gets."""
        data = payload(harness.SLACK * 4096)
        with contextlib.suppress(OSError), self.service.connect(PATIENCE) as s:
            ready.set()
            while True:
                s.sendall(data)
                got = b""
                while len(got) < len(data):
                    block = s.recv(len(data) - len(got))
                    if not block:
                        return
                    got += block
                promise(got == data, "wrong bytes for who never pauses")

    def stop(self):
        allowed = self.fault is None or self.fault.call in ("ioctl", "epoll_wait", "poll")
        ready = threading.Event()
        busy = threading.Thread(target=self.busy, args=(ready,))
        got = b""
        with self.slow() as s:
            busy.start()
            ready.wait(PATIENCE)
            os.kill(self.supervisor(), signal.SIGTERM)
            time.sleep(self.LATER)
            with contextlib.suppress(ConnectionError):
                while block := s.recv(65536):
                    got += block
        busy.join()
        whole = payload(self.WAITING)
        promise(whole.startswith(got), "wrong bytes for who reads late")
        promise(got == whole or not allowed, f"who reads late got {len(got)} bytes")
        self.wait_stopped()


class Killed(Life):
    """It is told to stop, and then at once, while its processes stand still: it kills them."""
    name = "killed"
    calls = ("kill", "syscall", "poll")
    fits = one_of("prefork-epoll-tcp4", "iterative-epoll-udp4", "prethread-io_uring-tcp4",
                  "fork-blocking-tcp4", "thread-blocking-unix")

    def stop(self):
        self.bystander()  # a process of its own, where the model is so
        stopped = procs.descendants(self.supervisor())
        harness.stand_still(*stopped)
        os.kill(self.supervisor(), signal.SIGTERM)
        time.sleep(0.2)
        os.kill(self.supervisor(), signal.SIGTERM)
        self.wait_stopped()


class Hung(Life):
    """A worker stands still until it is replaced."""
    name = "hung"
    calls = ("kill", "fork")
    fits = one_of("prefork-epoll-tcp4", "iterative-epoll-udp4")

    def bystander(self):
        return None

    def serve(self):
        super().serve()
        worker = self.daemon.workers()[0]
        self.killed.add(worker)
        harness.stand_still(worker)
        until("its end", lambda: worker not in procs.descendants(self.supervisor()), 2 * PATIENCE)


class Passed(harness.Service):
    """A service whose sockets are passed."""

    def conf(self):
        conf = super().conf()
        del conf["listen"]
        return conf


class Handed(Life):
    """Its sockets are passed, and the service manager hears nothing of it for a while."""
    name = "handed"
    calls = ("fcntl", "getpeername", "getsockname", "getsockopt", "setsockopt", "fstat", "sendmsg",
             "listen", "malloc", "open", "socket")
    fits = one_of("prefork-epoll-tcp4", "prefork-epoll-unix", "iterative-epoll-udp4",
                  "prethread-epoll-unix-dgram")

    def make_service(self):
        """It listens on nothing itself."""
        made = super().make_service()
        self.sock = self.cell.transport.socket()
        self.sock.bind(made.address)
        if not self.cell.transport.datagram:
            self.sock.listen(50)
        return Passed(made.protocol, "", made.model, made.engine, made.transport, made.address,
                      {**made.keys, "activation": "unit"})

    def services(self):
        """And one whose socket the manager is to keep."""
        return [self.service, grid.TCP4.service(self.directory, name="other", workers=1)]

    def prefix(self):
        return [sys.executable, LAUNCH, str(self.sock.fileno()), "unit"]

    def options(self):
        return {"pass_fds": [self.sock.fileno()]}

    def open(self):
        self.late = True

    def serve(self):
        self.manager.open()
        self.late = False
        super().serve()

    def close(self):
        self.sock.close()
        if self.late:
            self.manager.open()
        super().close()


class Logged(Life):
    """Its log is the journal, which is one of ours."""
    name = "journal"
    calls = ("connect", "socket", "sendmsg", "send", "ioctl", "nanosleep", "malloc")
    fits = one_of("prefork-epoll-tcp4", "iterative-epoll-udp4")
    TARGET = "journal"

    def __init__(self, *args):
        self.journal = journald.Journald()
        super().__init__(*args)

    def top(self):
        return {**super().top(), "log": {"target": self.TARGET}}

    def prefix(self):
        return self.journal.prefix()

    def open(self):
        super().open()
        self.journal.take = self.take
        self.journal.start()

    def close(self):
        super().close()
        self.journal.stop()

    def write(self, level, text):
        """As the daemon would, so that all that it says stands in one place."""
        with open(self.daemon.log_file, "a", encoding="utf-8") as log:
            log.write(f" {LEVELS[level]}: {text}\n")

    def take(self, data):
        record = journald.parse(data)
        self.write(int(record["PRIORITY"]), record["MESSAGE"])


class Detached(Logged):
    """It leaves the terminal, has a pid file and another user, and its log is syslog's.  Where a
    file is in the place of its socket, it is that of one who has died.

    write(2) is not among its calls: what it writes to a pipe cannot fail while somebody reads."""
    name = "detached"
    calls = ("fork", "dup2", "openat", "flock", "ftruncate", "pwrite", "fchmod", "chdir", "getcwd",
             "pipe2", "poll", "read", "open", "fstat", "lstat", "unlink", "connect", "socket",
             "bind", "fchmodat", *IDENTITY)
    fits = one_of("prefork-epoll-tcp4", "prefork-epoll-unix", "iterative-epoll-unix-dgram",
                  "fork-blocking-tcp4")
    TARGET = "stderr" if harness.SANITIZE else "syslog"  # a sanitizer's words are to be found

    def __init__(self, cell, directory, *args):
        (directory / "dev").mkdir()
        self.syslog = journald.Datagrams(str(directory / "dev/log"), self.take_line)
        self.pid_file = directory / "echod.pid"
        self.pid = None  # of the supervisor
        super().__init__(cell, directory, *args)
        if self.service.transport.family == socket.AF_UNIX:
            with self.service.transport.socket() as dead:
                dead.bind(self.service.address)

    def top(self):
        conf = super().top()
        conf["process"] |= {"user": "nobody", "group": "nogroup"}
        return conf

    def prefix(self):
        return [*self.journal.prefix(self.directory / "dev"), "env", "-C", str(self.directory)]

    def options(self):
        return {"arguments": ["--daemon", "--pid-file", self.pid_file.name]}

    def open(self):
        super().open()
        self.syslog.start()

    def close(self):
        for pid in self.ours():
            procs.send(signal.SIGKILL, pid)
        super().close()
        self.syslog.stop()

    def take_line(self, data):
        level, _, text = data.decode().lstrip("<").partition(">")
        self.write(int(level) & 7, text)

    def ours(self):
        """All that live, who started them or whom they wait for aside."""
        found = []
        for pid in procs.parents():
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/comm", encoding="ascii") as name, \
                        open(f"/proc/{pid}/maps", encoding="ascii") as maps:
                    if "echod" in name.read() and str(self.panel.path) in maps.read():
                        found.append(pid)
        return found

    def supervisor(self):
        return self.pid

    def ended(self):
        return procs.state(self.pid) in ("", "Z") if self.pid else super().ended()

    def start(self):
        """The one that was called ends when it serves, or cannot."""
        self.began = time.monotonic()
        self.daemon.spawn()
        try:
            code = self.daemon.process.wait(PATIENCE * harness.SLOW)
        except subprocess.TimeoutExpired:
            raise Broken("who waits for it waits for ever") from None
        if code == 0:
            self.pid = int(self.pid_file.read_text())
            return True
        promise(code > 0, f"at the start it ended with {code}")
        promise(self.daemon.log().strip(), f"at the start it ended with {code} and no word")
        until("the end of all", lambda: not self.ours())
        return False

    def hangup(self):
        """The file of its socket is to have another mode."""
        if self.service.transport.family == socket.AF_UNIX:
            self.service.keys["mode"] = "0640"
            self.daemon.write_conf()
        super().hangup()

    def wait_stopped(self):
        until("its end", lambda: self.ended() and not self.ours())
        promise(not self.pid_file.exists() or self.fault and self.fault.call in (
            "unlink", "fstat", "lstat"), "the pid file stays")


KINDS = {kind.name: kind for kind in (Life, Report, Drain, Killed, Hung, Handed, Logged, Detached)}


def unusable(kind):
    """Why there can be no such life here, or ""."""
    if kind is Detached and os.geteuid() != 0:
        return "it changes its user, which is for root"
    return journald.problem() if issubclass(kind, Logged) else ""


@dataclass(frozen=True)
class Setting:
    """A cell of the grid, and a kind of life in it."""
    cell: grid.Cell
    kind: type

    def __str__(self):
        return f"--cell {self.cell} --life {self.kind.name}"

    def calls(self):
        """Those that are to fail."""
        ring = self.cell.engine == "io_uring"
        there = [*FAULTS, *(RINGS if ring else ()), *(COMPLETIONS if ring else ())]
        return [c for c in there if (self.kind.calls is None or c in self.kind.calls)
                and not (c == "malloc" and harness.SANITIZE)]  # the sanitizers have their own


def settings():
    """All of them."""
    found = []
    for kind in KINDS.values():
        if unusable(kind):
            print(f"no life {kind.name}: {unusable(kind)}")
        else:
            found += [Setting(c, kind) for c in cells() if kind.fits(c)]
    return found
