# SPDX-License-Identifier: ISC
"""Start, watch and stop a real echod, and hold it to what must be true after every test.

A test describes services, gets a Daemon, talks to it, and leaves.  Daemon.finish() then stops
it and asserts: exit code 0, no sanitizer report, no error line that the test did not announce,
counters that add up, no process left behind.
"""

import os
import random
import re
import shlex
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field

import procs

SANITIZE = os.environ.get("ECHOD_SANITIZE", "")
SLOW = float(os.environ.get("ECHOD_TEST_SLOW", {"": "1", "thread": "5"}.get(SANITIZE, "3")))
SLACK = 5  # a promise of 1 s is tested with a deadline of 5 s: the machine may be busy
ECHOD = os.path.abspath(os.environ.get("ECHOD", "./echod"))
WRAPPER = shlex.split(os.environ.get("ECHOD_WRAPPER", ""))

LINE = re.compile(r"^\S+ \S+ echod\[(\d+)\] (error|warning|notice|info|debug): (.*)$")
SANITIZER = re.compile(r"(Address|Leak|Thread|Memory)Sanitizer|runtime error:|==\d+==")


def wait_for(what, condition, promise=1.0, step=0.01):
    """Poll CONDITION until it is true and return its value.  It should take at most PROMISE
    seconds; the test fails after SLACK times that."""
    end = time.monotonic() + promise * SLACK * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {promise * SLACK * SLOW:.1f} s: {what}")
        time.sleep(step)


def stand_still(*pids):
    """SIGSTOP, and wait until each stands still or is gone."""
    procs.send(signal.SIGSTOP, *pids)
    wait_for("the processes to stop",
             lambda: all(procs.state(p) in ("T", "t", "Z", "") for p in pids))


def never(what, condition, seconds, step=0.02):
    """Fail if CONDITION becomes true within SECONDS."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert not condition(), what
        time.sleep(step)


PORTS = range(10000, 32000)  # below what connect(2) takes from
given_ports = set()


def free_port():
    """A port that nobody has, TCP and UDP, and that was not given before: tests that run at the
    same time take from different parts of PORTS."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8
    share = PORTS[worker::8]
    while True:
        port = random.choice(share)
        if port in given_ports:
            continue
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET6, kind) as s:
                    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    s.bind(("::", port))
        except OSError:
            continue
        if len(given_ports) > len(share) // 2:
            given_ports.clear()
        given_ports.add(port)
        return port


def conf_text(value):
    """VALUE in libconfig's syntax."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return "{ " + " ".join(f"{k} = {conf_text(v)};" for k, v in value.items()) + " }"
    if value and isinstance(value[0], dict):
        return "(\n  " + ",\n  ".join(conf_text(v) for v in value) + "\n)"
    return "[ " + ", ".join(conf_text(v) for v in value) + " ]"


@dataclass
class Service:
    """One service: what stands in the file, and how a client reaches it."""
    protocol: str
    listen: str
    model: str = "prefork"
    engine: str = "auto"
    transport: object = None  # grid.Transport
    address: object = None    # what connect() takes
    keys: dict = field(default_factory=dict)  # every other key

    @property
    def name(self):
        return self.keys.get("name", f"echo-{self.protocol}")

    def conf(self):
        """What stands in the file.  A test that does not speak of the rate of datagrams has none:
        all its clients are one source, and faster than anybody would be."""
        listen = [self.listen] if isinstance(self.listen, str) else self.listen
        keys = {k: v for k, v in self.keys.items() if k != "name"}
        if self.protocol == "udp":
            keys["udp"] = {"rate": 0, **keys.get("udp", {})}
        return {"name": self.name, "protocol": self.protocol, "listen": listen,
                "model": self.model, "engine": self.engine, **keys}

    def connect(self, timeout=10.0):
        """A client's socket, connected, with a timeout for every call."""
        end = time.monotonic() + timeout * SLOW
        while True:
            s = self.transport.socket()
            s.settimeout(timeout * SLOW)
            try:
                s.connect(self.address)
                return s
            except BlockingIOError:  # a UNIX socket's backlog is full: unix(7) does not wait
                s.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)
            except BaseException:
                s.close()
                raise


class Daemon:
    """One running echod."""

    def __init__(self, services, directory, top=None, **options):
        self.services = list(services)
        self.directory = directory
        self.top = dict(top or {})
        self.conf_file = directory / "echod.conf"
        self.log_file = directory / "stderr.log"
        self.out_file = directory / "stdout.log"
        self.expected_errors = []
        self.expected_exit = 0
        self.told_to_stop = False
        self.check_counters = True
        self.clients = []
        self.process = None
        self.options = options

    # --- starting

    def write_conf(self, services=None, top=None):
        """Write the file that the daemon reads at start and at SIGHUP."""
        if services is not None:
            self.services = list(services)
        if top is not None:
            self.top = dict(top)
        text = "".join(f"{k} = {conf_text(v)};\n" for k, v in self.top.items())
        text += f"services = {conf_text([s.conf() for s in self.services])};\n"
        new = self.conf_file.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o644)
        new.rename(self.conf_file)

    def arguments(self):
        """The command line behind the program's name: all services from --listen, or a file."""
        if not self.options.get("cli"):
            self.write_conf()
            return ["-c", str(self.conf_file)]
        first = self.services[0]
        words = []
        for service in self.services:
            words += ["--listen", f"{service.protocol}:{service.listen}"]
        words += ["--model", first.model, "--engine", first.engine]
        keys = dict(first.keys)
        if "workers" in keys:
            words += ["--workers", str(keys.pop("workers"))]
        for i in range(len(self.services)):
            for key, value in keys.items():
                words += ["-o", f"services[{i}].{key}={str(value).lower()}"]
        return words

    def spawn(self):
        """Start the program without waiting for it to be ready."""
        self.told_to_stop = False
        words = [*self.options.get("prefix", ()), *WRAPPER, ECHOD,
                 *self.arguments(), *self.options.get("arguments", ())]
        if any("valgrind" in w for w in WRAPPER):  # which calls what no worker does
            words += ["-o", "sandbox=off"]
        env = dict(os.environ, **self.options.get("env", {}))
        self.directory.mkdir(exist_ok=True)
        with open(self.log_file, "ab") as err, open(self.out_file, "ab") as out:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env,
                start_new_session=True, preexec_fn=self.options.get("preexec"),
                pass_fds=self.options.get("pass_fds", ()))
        return self

    def start(self):
        """Start the program and wait until it serves."""
        self.spawn()
        wait_for("a ready line or the end", lambda: self.process.poll() is not None
                 or self.lines("ready: "), 3.0)
        assert self.process.poll() is None, f"echod ended at start:\n{self.log()}"
        return self

    # --- the log

    def log(self):
        return self.log_file.read_text(errors="backslashreplace")

    def lines(self, text, start=0):
        """Complete lines of the log that hold TEXT, from byte START on."""
        whole = self.log()[start:]
        return [x for x in whole[:whole.rfind("\n") + 1].splitlines() if text in x]

    def mark(self):
        """A place in the log for lines() and wait_line()."""
        return len(self.log())

    def wait_line(self, text, start=0, promise=2.0):
        return wait_for(f"log line {text!r}", lambda: self.lines(text, start), promise)[0]

    def expect_error(self, pattern):
        """Error lines that match PATTERN are part of the test."""
        self.expected_errors.append(re.compile(pattern))

    # --- signals, counters, processes

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        if number in (signal.SIGTERM, signal.SIGINT):
            self.told_to_stop = True
        os.kill(self.process.pid, number)

    def reload(self, ok=True, promise=3.0):
        """SIGHUP, and wait for its outcome."""
        start = self.mark()
        self.signal(signal.SIGHUP)
        self.wait_line("reloaded: " if ok else "reload failed", start, promise)

    def counters(self):
        """{service: {counter: value}} as SIGUSR1 logs it now."""
        start = self.mark()
        self.signal(signal.SIGUSR1)
        wanted = len(self.services)
        lines = wait_for("the counters", lambda: (
            lambda got: got if len(got) >= wanted else None)(
                self.lines("counters service=", start)), 2.0)
        found = {}
        for line in lines:
            words = dict(w.split("=", 1) for w in line.split("counters ", 1)[1].split())
            name = words.pop("service")
            found[name] = {k: int(v) for k, v in words.items()}
        return found

    def count(self, counter, service=None):
        """One counter of the only (or the named) service."""
        return self.counters()[service or self.services[0].name][counter]

    def wait_counts(self, promise=2.0, service=None, **wanted):
        """Wait until the counters named are as WANTED: an executor counts after it has done,
        so a client may be faster."""
        seen = {}

        def reached():
            now = self.counters()[service or self.services[0].name]
            seen.update({k: now[k] for k in wanted})
            return seen == wanted
        try:
            wait_for(f"{wanted}", reached, promise, step=0.05)
        except AssertionError as e:
            raise AssertionError(f"{e} (are {seen})") from None

    def wait_count(self, counter, value, promise=2.0, service=None):
        """Wait until COUNTER is VALUE."""
        self.wait_counts(promise, service, **{counter: value})

    def processes(self):
        """{pid: title} of the whole tree below the supervisor."""
        return {p: procs.title(p) for p in procs.descendants(self.pid)}

    def workers(self, service=None):
        """The worker processes of a service, oldest title first."""
        name = service or self.services[0].name
        found = {p: t for p, t in self.processes().items()
                 if t.startswith(f"echod: {name} ") and " worker " in t}
        return sorted(found, key=lambda p: (found[p], p))

    def tree(self):
        return [self.pid, *procs.descendants(self.pid)]

    # --- clients

    def connect(self, service=None, timeout=10.0):
        """A client of SERVICE, closed when the test ends."""
        s = (service or self.services[0]).connect(timeout)
        self.clients.append(s)
        return s

    def close_clients(self):
        for s in self.clients:
            s.close()
        self.clients.clear()

    # --- the end

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, promise=3.0):
        """TERM, and wait for the end."""
        if self.alive():
            self.signal(signal.SIGTERM)
        return self.wait_exit(promise)

    def wait_exit(self, promise=3.0):
        try:
            return self.process.wait(promise * SLACK * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {promise * SLACK * SLOW} s") from None

    def check_sums(self):
        """What must always be true of the counters, once nobody talks to the daemon."""
        def sums(counters):
            bad = []
            for name, c in counters.items():
                closed = sum(v for k, v in c.items() if k.startswith("closed_"))
                if c["connections_accepted"] != c["connections_active"] + closed:
                    bad.append(f"{name}: accepted != active + closed: {c}")
                answered = c["datagrams_out"] + c["datagrams_discarded"] + sum(
                    v for k, v in c.items() if k.startswith(("refused_", "dropped_")))
                if c["datagrams_in"] != answered:
                    bad.append(f"{name}: datagrams_in != out + discarded + refused + dropped: {c}")
                if c["connections_active"] != 0:
                    bad.append(f"{name}: connections without a client: {c}")
            return bad
        bad = ["never read"]

        def settled():
            bad[:] = sums(self.counters())
            return not bad
        try:
            wait_for("counters that add up", settled, 2.0, step=0.1)
        except AssertionError as e:
            raise AssertionError(f"{e}: {bad}") from None

    def finish(self):
        """Stop, and assert what holds after every test."""
        if self.process is None:
            return
        try:
            self.close_clients()
            if self.alive() and self.expected_exit == 0 and not self.told_to_stop:
                if self.check_counters:
                    self.check_sums()
                code = self.stop()
            else:  # one that is ending may be gone before it tells its counters
                code = self.wait_exit()
            assert code == self.expected_exit, f"exit code {code}"
            wait_for("no process left behind", lambda: not procs.session(self.pid), 1.0)
            self.check_log()
        finally:
            self.destroy()

    def check_log(self):
        """No sanitizer report, no line of another form, no error that was not announced."""
        bad = [x for x in self.log().splitlines() if SANITIZER.search(x)]
        assert not bad, f"sanitizer: {bad[:5]}"
        if self.expected_exit not in (0, -signal.SIGKILL):
            return
        for line in self.log().splitlines():
            if line.startswith("profiling:"):  # libgcov's, of a worker that is another user
                continue
            match = LINE.match(line)
            assert match, f"not a log line: {line!r}"
            if match[2] == "error":
                assert any(p.search(match[3]) for p in self.expected_errors), line
        assert self.out_file.read_bytes() == b"", "standard output was written to"

    def destroy(self):
        """Whatever happened, leave nothing behind that this test started."""
        self.close_clients()
        for pid in procs.session(self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
