# SPDX-License-Identifier: ISC
"""What is done to a daemon under load, one thing after another, as a seed has it."""

import heapq
import itertools
import os
import random
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import procs
from bad_configs import BAD
from control import ask, call
from harness import SLOW, wait_for

YOUNG = 5.0        # seconds; who dies before that may have to wait for his successor
BATCH = 64         # datagrams that an executor has in hand at most
STOP_MOST = 2.0    # seconds that a process is stopped; the supervisor has patience for 10


@dataclass
class Kill:
    """A process that was killed, and what it had."""
    service: object
    pid: int
    when: int                                # ns
    held: set = field(default_factory=set)   # ports of clients, or inodes of their sockets
    datagrams: int = 0                       # that it may have had in hand
    lost: int = 0                            # that were put down to it


@dataclass
class Reload:
    """A reload that exchanged the workers of some services."""
    services: set  # names
    begun: int     # ns
    ended: int = 0
    stragglers: dict = field(default_factory=dict)  # {name: who came later and was ended}


def stopped(pid):
    """Are all threads of PID stopped (or is it gone)?"""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return all(procs.state(f"{pid}/task/{t}") in ("T", "Z", "") for t in tasks)
    except (FileNotFoundError, ProcessLookupError):
        return True


def ends_of_clients(service):
    """{inode of a connection's socket in the daemon: the client's port, or its inode}."""
    if service.protocol == "unix":
        words = ["ss", "-Hxn", "state", "connected", "src", service.address]
    else:
        words = ["ss", "-Htne", "state", "connected", "exclude", "time-wait", "sport", "=",
                 f":{service.address[1]}"]
    out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = {}
    for line in out.splitlines():
        if service.protocol == "unix":
            words = line.split()
            found[words[-3]] = int(words[-1])
        elif (inode := re.search(r"\bino:(\d+)", line)):
            found[inode[1]] = int(re.search(r":(\d+)\s+(?:uid:|timer:|ino:|$)", line)[1])
    return found


class Chaos:
    """Does it, and keeps a record of it."""

    def __init__(self, daemon, control, fleet, args, say):
        self.daemon = daemon
        self.control = control
        self.fleet = fleet
        self.random = random.Random(args.seed)
        self.rows = [(w, m) for w, m in self.ROWS if m.__name__ in (args.only or self.names())]
        self.say = say
        self.services = {s.name: s for s in daemon.services}
        self.kills, self.reloads, self.repairs = [], [], []
        self.counts = {}
        self.to_undo = []
        self.order = itertools.count()
        self.disturbed = 0  # things that are to be undone: a repair may take longer meanwhile

    # --- whom it meets

    def status(self):
        return ask(self.control, "GetStatus")["services"]

    def worker(self, wanted=lambda service: True):
        """(service, what the daemon says of one of its workers)."""
        found = [(self.services[s["name"]], w) for s in self.status()
                 if wanted(self.services[s["name"]]) for w in s["workers"] if w["up"]]
        return self.random.choice(found) if found else (None, None)

    def is_ours(self, pid):
        return procs.title(pid).startswith("echod")

    def logger(self):
        return next((p for p, t in self.daemon.processes().items() if t == "echod: logger"), None)

    # --- how it is done, and undone

    def later(self, seconds, undo):
        self.disturbed += 1
        heapq.heappush(self.to_undo, (time.monotonic() + seconds, next(self.order), undo))

    def undo_due(self, all_of_it=False):
        while self.to_undo and (all_of_it or self.to_undo[0][0] <= time.monotonic()):
            self.disturbed -= 1
            heapq.heappop(self.to_undo)[2]()

    def stop_for_a_while(self, pid):
        procs.send(signal.SIGSTOP, pid)
        self.later(self.random.uniform(0.02, STOP_MOST), lambda: procs.send(signal.SIGCONT, pid))

    def kill(self, service, pid, executors):
        """Kill PID: stop it first, so that it can be asked what it has."""
        procs.send(signal.SIGSTOP, pid)
        wait_for("a process to stop", lambda: stopped(pid), 2.0, step=0.0005)
        record = Kill(service, pid, 0)
        if service.transport.datagram:
            record.datagrams = BATCH * executors
        else:
            own = {x[8:-1] for x in procs.descriptors(pid).values() if x.startswith("socket:[")}
            ends = ends_of_clients(service)
            record.held = {ends[inode] for inode in own if inode in ends}
        record.when = time.monotonic_ns()
        procs.send(signal.SIGKILL, pid)
        self.kills.append(record)
        return record

    def await_repair(self, record, number, measured):
        """Wait until the worker's successor says that it serves."""
        def successor():
            status, = ask(self.control, "GetStatus", service=record.service.name)["services"]
            return [w for w in status["workers"]
                    if w["number"] == number and w["pid"] != record.pid and w["up"]]
        wait_for(f"a successor of {record.pid} of {record.service.name}", successor, 5.0,
                 step=0.002)
        if measured:
            self.repairs.append((time.monotonic_ns() - record.when) / 1e6)

    # --- what it does: each a method, and a row below

    def kill_worker(self):
        service, worker = self.worker()
        if not service:
            return
        measured = worker["age"] > YOUNG and not self.disturbed
        record = self.kill(service, worker["pid"],
                           2 if service.model == "prethread" else 1)
        self.await_repair(record, worker["number"], measured)

    def kill_child(self):
        service, worker = self.worker(lambda s: s.model == "fork")
        if not service:
            return
        text = Path(f"/proc/{worker['pid']}/task/{worker['pid']}/children").read_text()
        children = text.split()
        if children:
            self.kill(service, int(self.random.choice(children)), 0)

    def kill_logger(self):
        pid = self.logger()
        if pid:
            procs.send(signal.SIGKILL, pid)

    def stop_worker(self):
        _, worker = self.worker()
        if worker:
            self.stop_for_a_while(worker["pid"])

    def stop_logger(self):
        pid = self.logger()
        if pid:
            self.stop_for_a_while(pid)

    def stop_supervisor(self):
        """It is deaf for a while, and somebody dies meanwhile."""
        service, worker = self.worker()
        procs.send(signal.SIGSTOP, self.daemon.pid)
        try:
            time.sleep(self.random.uniform(0.01, 0.5))
            record = self.kill(service, worker["pid"], 2) if service else None
            time.sleep(self.random.uniform(0.01, 0.5))
        finally:
            procs.send(signal.SIGCONT, self.daemon.pid)
        if record:
            self.await_repair(record, worker["number"], False)

    def reload(self, names):
        """Returns the answer's error, or ""."""
        record = Reload(names, time.monotonic_ns())
        self.reloads.append(record)
        answer = call(self.control, "Reload")
        record.ended = time.monotonic_ns()
        return answer.get("error", "")

    def reload_same(self):
        self.must(not self.reload(set()), "a reload of the same file failed")

    def change(self, most=5):
        """Change some services, up to MOST.  Returns their names."""
        some = self.random.sample(list(self.services.values()), self.random.randint(1, most))
        for s in some:
            if self.random.random() < 0.3 and "workers" in s.keys:
                s.keys["workers"] = 5 - s.keys["workers"]
            elif s.protocol == "udp":
                s.keys["udp"] = {"rate": 0, "batch": 96 - s.keys["udp"]["batch"]}
            elif s.transport.datagram:
                s.keys["busy_poll"] = self.random.randint(1, 20)
            else:
                s.keys["idle_timeout"] = self.random.randint(300, 100000)
        self.daemon.write_conf()
        return {s.name for s in some}

    def reload_changed(self, most=5):
        names = self.change(most)
        error = self.reload(names)
        self.must(not error, f"a reload of a good file failed: {error}")

    def reload_all(self):
        self.reload_changed(len(self.services))

    def reload_bad(self):
        before = self.pids()
        _, text, _ = self.random.choice(BAD)
        self.daemon.conf_file.write_bytes(text if isinstance(text, bytes) else text.encode())
        error = self.reload(set())
        self.daemon.write_conf()
        self.must(error, f"a bad file was taken: {text!r}")
        self.must(self.pids() == before, "a bad file changed the workers")

    def pids(self):
        return {w["pid"] for s in self.status() for w in s["workers"]}

    def limit(self, pid, what, soft):
        """Lower a limit of PID.  Returns what restores it."""
        old = self.prlimit(pid, f"--{what}", "--raw", "--noheadings", "--output=SOFT,HARD").split()
        self.prlimit(pid, f"--{what}={soft}:{old[1]}")

        def restore():
            if self.is_ours(pid):
                self.prlimit(pid, f"--{what}={old[0]}:{old[1]}")
        return restore

    def prlimit(self, pid, *words):
        """prlimit(1) as the user whose process it is: root may not have CAP_SYS_RESOURCE."""
        status = dict(x.split(":", 1) for x in
                      Path(f"/proc/{pid}/status").read_text().splitlines())
        uid, gid = status["Uid"].split()[0], status["Gid"].split()[0]
        become = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"]
        done = subprocess.run([*(become if int(uid) != os.getuid() else []), "prlimit", "--pid",
                               str(pid), *words], capture_output=True, text=True, check=False)
        if done.returncode and procs.state(pid) in ("", "Z"):
            raise ProcessLookupError
        self.must(done.returncode == 0, f"prlimit {words}: {done.stderr}")
        return done.stdout

    def lower_files(self):
        _, worker = self.worker()
        if worker:
            soft = len(procs.descriptors(worker["pid"])) + self.random.randint(-3, 3)
            self.later(self.random.uniform(0.1, 2.0),
                       self.limit(worker["pid"], "nofile", max(soft, 3)))

    def lower_processes(self):
        _, worker = self.worker(lambda s: s.model in ("fork", "thread"))
        if worker:
            self.later(self.random.uniform(0.1, 2.0),
                       self.limit(worker["pid"], "nproc", 1))

    def starve_supervisor(self):
        """A reload without descriptors for it: done, or not done at all, and then done."""
        restore = self.limit(self.daemon.pid, "nofile",
                             len(procs.descriptors(self.daemon.pid)) + 2)
        names = self.change()
        first = self.reload(names)
        restore()
        error = self.reload(names)
        self.must(not error, f"a reload failed after relief: {error} (before: {first or 'done'})")

    def reset_connections(self):
        self.random.choice(self.fleet.of(False)).reset_all()

    ROWS = (  # weight, method
        (30, kill_worker), (8, kill_child), (4, kill_logger), (12, stop_worker), (3, stop_logger),
        (3, stop_supervisor), (5, reload_same), (9, reload_changed), (1, reload_all),
        (5, reload_bad), (8, lower_files), (5, lower_processes), (3, starve_supervisor),
        (6, reset_connections),
    )

    # --- the whole

    @classmethod
    def names(cls):
        return [m.__name__ for _, m in cls.ROWS]

    def must(self, condition, what):
        if not condition:
            raise AssertionError(what)

    def step(self):
        """The next thing."""
        self.undo_due()
        weights, methods = zip(*self.rows)
        method, = self.random.choices(methods, weights)
        self.say(f"{time.monotonic():.4f} {method.__name__}")
        self.counts[method.__name__] = self.counts.get(method.__name__, 0) + 1
        try:
            method(self)
        except (FileNotFoundError, ProcessLookupError):
            self.say("whom it meant has just ended")
        end = time.monotonic() + self.random.uniform(0.02, 0.4) * SLOW
        while time.monotonic() < end:
            self.undo_due()
            time.sleep(0.01)

    def rest(self):
        """Undo all, and let things be as the first file had them."""
        self.undo_due(all_of_it=True)
