# SPDX-License-Identifier: ISC
"""--daemon and --pid-file: a daemon for hosts without systemd."""

import errno
import fcntl
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import termios
from pathlib import Path

import pytest

import harness
import journald
import procs
from grid import TCP4, TRANSPORTS, UDP4, stream_grid
from harness import SLACK, SLOW, wait_for
from shim import FOREVER
from talk import exchange, payload, ping

LIMIT = 10.0 * SLACK * SLOW  # for what takes milliseconds


def gone(pid):
    return procs.state(pid) in ("", "Z")


class Detached(harness.Daemon):
    """A daemon that has left: its parent is done, and its pid is in its pid file."""

    def __init__(self, services, directory, top=None, **options):
        super().__init__(services, directory, top, **options)
        self.pid_file = directory / "echod.pid"
        self.found = None  # its pid
        self.session = None
        self.done = None   # the process that was called

    def words(self):
        return [*self.options.get("prefix", ()), *harness.WRAPPER, harness.ECHOD, *self.arguments(),
                "--daemon", "--pid-file", str(self.options.get("pid_file", self.pid_file)),
                *self.options.get("arguments", ())]

    def call(self, **how):
        """Run the command to its end.  Pipes that anybody held open would make it last."""
        self.directory.mkdir(exist_ok=True)
        how = {"cwd": self.directory, "text": True, "stdin": subprocess.DEVNULL,
               "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        how["env"] = dict(os.environ, **self.options.get("env", {}))
        self.done = subprocess.run(self.words(), timeout=LIMIT, check=False, **how)
        return self.done

    def start(self, **how):
        done = self.call(**how)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        return self.look()

    def look(self):
        self.found = int(self.pid_file.read_text())
        self.session = int(procs.stat(self.found)[3])
        return self

    @property
    def pid(self):
        return self.found

    def signal(self, number):
        os.kill(self.found, number)

    def alive(self):
        return self.found is not None and not gone(self.found)

    def wait_exit(self, promise=3.0):
        wait_for("the end of the daemon", lambda: gone(self.found), promise)
        return 0

    def finish(self):
        if self.found is None:
            return
        try:
            self.close_clients()
            if self.alive():
                self.stop()
            wait_for("no process left behind", lambda: not procs.session(self.session))
            assert not self.pid_file.exists()
        finally:
            for pid in procs.session(self.session):
                procs.send(signal.SIGKILL, pid)


@pytest.fixture
def detached(tmp_path):
    """detached(service, ...) makes a Detached that is stopped, if it was started, and checked."""
    made = []

    def make(*services, top=None, **options):
        made.append(Detached(services, tmp_path / f"d{len(made)}", top, **options))
        made[-1].directory.mkdir()
        return made[-1]

    yield make
    for daemon in reversed(made):
        daemon.finish()


def null_or_own(target):
    return target == "/dev/null" or target.startswith(("pipe:", "socket:", "anon_inode:"))


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_start_serves_and_stops(detached, cell, tmp_path):
    """When the command is done the daemon serves; it has said nothing; TERM ends it and removes
    the pid file."""
    d = detached(cell.service(tmp_path)).start()
    ping(d.connect())
    assert d.done.stderr == ""
    assert procs.title(d.pid) == "echod: supervisor"
    d.close_clients()
    exchange(d.connect(), payload(100000))
    d.stop()
    assert not d.pid_file.exists()


def test_ready_means_ready(detached, tmp_path):
    """Five times: the first connect after the command finds a listener and an answer."""
    service = TCP4.service(tmp_path)
    for _ in range(5):
        d = detached(service).start()
        ping(d.connect())
        d.close_clients()
        d.stop()


def test_nothing_of_the_caller_is_kept(detached, tmp_path):
    """No process of the daemon has the caller's descriptors, terminal, session, directory or
    umask; standard input, output and error of the supervisor are the null device."""
    mine, theirs = os.pipe()
    d = detached(TCP4.service(tmp_path, workers=2), UDP4.service(tmp_path))
    with open(tmp_path / "input", "w+") as file:
        d.start(pass_fds=[theirs], umask=0o077, stdin=file)
    os.close(theirs)
    ready, _, _ = select.select([mine], [], [], LIMIT)
    assert ready and os.read(mine, 1) == b"", "the caller's pipe is still held"
    os.close(mine)
    assert d.session not in (d.pid, os.getsid(0))
    tree = d.tree()
    assert len(tree) >= 5
    for pid in tree:
        fields = procs.stat(pid)
        assert int(fields[3]) == d.session
        assert int(fields[4]) == 0, "has a terminal"
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        opened = procs.descriptors(pid)
        assert opened[0] == opened[1] == "/dev/null"
        for number, target in opened.items():
            own = number > 2 and target == str(d.pid_file) and pid == d.pid
            assert own or null_or_own(target), f"{procs.title(pid)}: {number} is {target}"
    assert procs.descriptors(d.pid)[2] == "/dev/null"
    assert "Umask:\t0022\n" in Path(f"/proc/{d.pid}/status").read_text()
    assert d.pid_file.stat().st_mode & 0o777 == 0o644


def test_survives_its_terminal(detached, tmp_path):
    """Started on a terminal, it holds it not: who reads the terminal sees its end, and the
    hang-up that follows is not the daemon's."""
    d = detached(TCP4.service(tmp_path))
    master, slave = pty.openpty()

    def control():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(d.words(), cwd=d.directory, stdin=slave, stdout=slave,
                               stderr=slave, preexec_fn=control)
    os.close(slave)
    assert process.wait(LIMIT) == 0
    d.look()
    said = b""
    with pytest.raises(OSError) as e:  # Linux says so when nobody has the other side
        while select.select([master], [], [], LIMIT)[0]:
            said += os.read(master, 4096)
    assert e.value.errno == errno.EIO and said == b""
    os.close(master)
    ping(d.connect())


def test_relative_names(detached, tmp_path):
    """Names that were relative where it was called are found from everywhere: the configuration
    at a reload, what it includes, and the pid file."""
    one, two = (TCP4.service(tmp_path, name=n, workers=1) for n in ("one", "two"))
    d = detached(one, pid_file="echod.pid")
    d.write_conf()
    (d.directory / "inner.conf").write_text("log = { connections = true; };\n")
    (d.directory / "inner.conf").chmod(0o644)
    text = '@include "inner.conf"\n' + d.conf_file.read_text()
    d.arguments = lambda: ["-c", "echod.conf"]
    d.conf_file.write_text(text)
    d.start()
    ping(d.connect())
    d.conf_file.write_text(text.replace(one.listen, two.listen))
    os.kill(int(d.pid_file.read_text()), signal.SIGHUP)

    def served():
        try:
            ping(d.connect(two))
        except ConnectionRefusedError:
            return False
        return True
    wait_for("the new address", served, 3.0)
    assert d.pid_file.read_text() == str(d.pid)


def test_log_to_a_file(detached, tmp_path):
    """log.target = "stderr" is the caller's standard error, kept: a file, say."""
    d = detached(TCP4.service(tmp_path), top={"log": {"target": "stderr"}})
    with open(d.log_file, "ab") as log:
        d.start(stderr=log)
    wait_for("the line", lambda: d.lines("ready: "))
    assert all(harness.LINE.match(x) for x in d.log().splitlines())
    d.reload()
    assert d.count("workers_died") == 0
    d.stop()
    d.wait_line("stopped")


@pytest.fixture
def syslogd(tmp_path):
    """(what stands before the command, the messages): a /dev/log for whom is started so."""
    if journald.problem():
        pytest.skip(journald.problem())
    messages = []
    dev, nothing = tempfile.mkdtemp(prefix="ed-"), tmp_path / "journal"
    nothing.mkdir()
    server = journald.Datagrams(f"{dev}/log", messages.append).start()
    yield ["unshare", "-m", "sh", "-c", journald.IN_NAMESPACE, "sh", str(nothing), dev], messages
    server.stop()
    shutil.rmtree(dev)


def test_log_to_syslog(detached, syslogd, tmp_path):
    """What it says goes to syslog from the beginning, and on after the caller has left."""
    prefix, messages = syslogd
    d = detached(TCP4.service(tmp_path, workers=1), prefix=prefix).start()
    assert d.done.stderr == ""
    name = rb"echod\[%d\]: " % d.pid
    for text in (rb"<30>.*" + name + b"service=echo-tcp listening on ", rb"<29>.*" + name + b"ready: "):
        wait_for(text, lambda t=text: [m for m in messages if re.match(t, m)])
    d.signal(signal.SIGUSR1)
    wait_for("the counters", lambda: [m for m in messages if b"counters service=echo-tcp" in m])
    d.stop()
    wait_for("the last", lambda: [m for m in messages if m.endswith(b": stopped")])


def test_failed_start_in_syslog(detached, echod, syslogd, tmp_path):
    """Why a start failed is in syslog as well as on standard error."""
    prefix, messages = syslogd
    service = TCP4.service(tmp_path)
    echod(service)
    refuse(detached(service, prefix=prefix), 71, "bind: Address already in use", "cannot start: ")
    wait_for("the reason", lambda: [m for m in messages if re.match(rb"<27>.*: bind: ", m)])


def test_warnings_are_seen(detached, syslogd, tmp_path):
    """A start that succeeds says its warnings on standard error, and only in syslog what is
    less."""
    prefix, messages = syslogd
    one = TCP4.service(tmp_path, workers=1)
    d = detached(one, prefix=[*prefix, "setpriv", "--inh-caps=-all", "--bounding-set=-sys_nice",
                              "--"], top={"process": {"nice": -5}})
    done = d.call()
    d.look()
    assert done.returncode == 0
    wait_for("the warning", lambda: [m for m in messages if re.match(rb"<28>.*process.nice", m)])
    assert all(" warning: process.nice=-5: " in x for x in done.stderr.splitlines())


# --- starts that fail

def refuse(d, code, *texts, **how):
    """The start ends with CODE, and TEXTS are on standard error; nothing is left."""
    done = d.call(**how)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    for text in texts:
        assert text in done.stderr
    return done


def test_bad_configuration(detached, tmp_path):
    """78, with file and line, before anything was made."""
    d = detached(TCP4.service(tmp_path, backlog=0))
    refuse(d, 78, f"{d.conf_file}:2: services[0].backlog: ")
    assert not d.pid_file.exists()


def test_port_in_use(detached, echod, tmp_path):
    """71, with the reason: the failed daemon's own words reach its caller."""
    service = TCP4.service(tmp_path)
    first = echod(service)
    d = detached(service)
    refuse(d, 71, f"cannot listen on {service.listen}: bind: Address already in use",
           "cannot start: ")
    assert not d.pid_file.exists()
    assert first.alive()


def test_long_explanation(detached, echod, tmp_path):
    """What is said at a failing start comes through whole, however long: more than a pipe
    holds."""
    service = TCP4.service(tmp_path)
    echod(service)
    many = [TRANSPORTS["unix"].service(tmp_path, "iterative", name=f"s{i}") for i in range(200)]
    for i, s in enumerate(many):
        s.listen = str(tmp_path / f"s{i}.sock")
    d = detached(*many, service, top={"log": {"level": "debug", "target": "stderr"}})
    done = refuse(d, 71, "cannot start: ")
    assert all(harness.LINE.match(x) for x in done.stderr.splitlines())


def test_privileged_port(detached, tmp_path):
    """77, and the pid file that was already made is gone."""
    if os.geteuid() != 0:
        pytest.skip("needs root to give up being root")
    service = TCP4.service(tmp_path, port=7)
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        d = detached(service, pid_file=f"{directory}/echod.pid", prefix=[
            "setpriv", "--reuid", "54321", "--clear-groups", "--inh-caps=-all", "--"])
        d.arguments = lambda: ["--listen", f"tcp:{service.listen}"]
        done = d.call()
        if "setpriv: failed to execute" in done.stderr:
            pytest.skip("another user cannot run the program where it is")
        assert done.returncode == 77, done.stderr
        assert "127.0.0.1:7: bind: Permission denied" in done.stderr
        assert os.listdir(directory) == []


@pytest.mark.parametrize("skip", [0, 1], ids=["first", "second"])
def test_no_process(detached, shim, tmp_path, skip):
    """71 when it cannot fork: the first time, or the second."""
    d = detached(TCP4.service(tmp_path), env=shim.env)
    shim.set(fork_skip=skip, fork_errno=errno.EAGAIN, fork_left=1)
    refuse(d, 71, "cannot become a daemon: Resource temporarily unavailable")
    assert shim.did_fork == 1
    assert not d.pid_file.exists()


def test_directory_that_is_gone(tmp_path):
    """64 when a relative name cannot be made absolute."""
    gone_soon = tmp_path / "gone"
    gone_soon.mkdir()
    words = [*harness.WRAPPER, harness.ECHOD, "--daemon", "-c", "echod.conf"]
    done = subprocess.run(words, text=True, capture_output=True, timeout=LIMIT, check=False,
                          cwd=gone_soon, preexec_fn=lambda: os.rmdir(gone_soon))
    assert done.returncode == 64
    assert "--daemon: the current directory: No such file or directory" in done.stderr


def test_nobody_reads_why(detached, echod, tmp_path):
    """Without a reader of standard error the exit code is what it would be."""
    service = TCP4.service(tmp_path)
    echod(service)
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as err:
        assert detached(service).call(stderr=err).returncode == 71


def test_no_descriptors(detached, tmp_path):
    """71 when there are no pipes."""
    d = detached(TCP4.service(tmp_path))
    refuse(d, 71, "cannot become a daemon: Too many open files", preexec_fn=lambda:
           resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6)))


# --- the time before it serves: nobody can be forked after the logger

@pytest.fixture
def starting(detached, shim, tmp_path):
    """(a daemon that never gets ready, its caller), the pid file written."""
    d = detached(TCP4.service(tmp_path), env=shim.env)
    shim.set(fork_skip=4, fork_errno=errno.EAGAIN, fork_left=FOREVER)
    with open(d.log_file, "ab") as err:
        process = subprocess.Popen(d.words(), cwd=d.directory, stdin=subprocess.DEVNULL,
                                   stderr=err, env=dict(os.environ, **shim.env))
    wait_for("the pid file", lambda: d.pid_file.exists() and d.pid_file.read_text(), 3.0)
    d.look()
    wait_for("a fork that fails", lambda: shim.did_fork > 0, 3.0)
    yield d, process
    if process.poll() is None:
        process.kill()
    process.wait()


def test_killed_before_it_serves(starting):
    """The caller says so, with 71; the pid file is stale."""
    d, process = starting
    assert process.poll() is None
    d.signal(signal.SIGKILL)
    assert process.wait(LIMIT) == 71
    assert "the daemon has ended before it served" in d.log()
    d.pid_file.unlink()


def test_stopped_before_it_serves(starting):
    """The same when it was told to stop, but it has removed its pid file."""
    d, process = starting
    d.signal(signal.SIGTERM)
    assert process.wait(LIMIT) == 71
    assert "the daemon has ended before it served" in d.log()
    assert not d.pid_file.exists()


def test_complaints_are_seen_before_it_serves(starting):
    """What stands in the way is on the caller's standard error while it waits."""
    d, process = starting
    wait_for("the complaint", lambda: d.lines("cannot start worker 1"), 3.0)
    assert process.poll() is None


def test_caller_killed(starting, shim):
    """A caller that dies does not take the daemon with it, nor what it still says."""
    d, process = starting
    process.kill()
    process.wait()
    d.signal(signal.SIGUSR1)
    shim.calm()
    wait_for("an answer", lambda: len(d.workers()) > 0, 3.0)
    ping(d.connect())


# --- the pid file

def test_double_start(detached, tmp_path):
    """75 and the pid of the first, which goes on; the pid file stays its own."""
    d = detached(TCP4.service(tmp_path)).start()
    second = detached(TCP4.service(tmp_path), pid_file=d.pid_file)
    refuse(second, 75, f"already running, pid {d.pid} (it has the pid file {d.pid_file})")
    assert d.pid_file.read_text() == str(d.pid)
    ping(d.connect())


def test_double_start_while_starting(detached, tmp_path):
    """Somebody has locked the file and not yet written to it."""
    d = detached(TCP4.service(tmp_path))
    with open(d.pid_file, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refuse(d, 75, "already starting")
    d.pid_file.unlink()


def test_stale_pid_file(detached, tmp_path):
    """A daemon that was killed leaves its pid file; the next start takes it over."""
    service = TCP4.service(tmp_path)
    d = detached(service).start()
    tree = d.tree()
    d.signal(signal.SIGKILL)
    wait_for("the end of all", lambda: all(map(gone, tree)), 3.0)
    assert d.pid_file.read_text() == str(d.pid)
    old = d.pid
    d.start()
    assert d.pid != old
    ping(d.connect())


def test_pid_file_of_something_else(detached, tmp_path):
    """What was in the file does not matter if nobody has it locked."""
    d = detached(TCP4.service(tmp_path))
    d.pid_file.write_text("123456789 and some more\n")
    d.start()
    assert d.pid_file.read_text() == str(d.pid)


def impossible(tmp_path):
    (tmp_path / "there").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "precious").write_text("data")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "dangling").symlink_to(tmp_path / "not there")
    (tmp_path / "second").hardlink_to(tmp_path / "precious")
    link = "it is a symbolic link"
    return {"link": (tmp_path / "link", link), "dangling link": (tmp_path / "dangling", link),
            "no directory": (tmp_path / "none/echod.pid", "No such file or directory"),
            "hard link": (tmp_path / "second", "it has another name (a hard link)"),
            "directory": (tmp_path / "there", "Is a directory"),
            "fifo": (tmp_path / "fifo", "No such device or address"),
            "fifo that is read": (tmp_path / "fifo", "it is not a regular file")}


@pytest.mark.parametrize("detach", [True, False], ids=["daemon", "foreground"])
@pytest.mark.parametrize("what", ["no directory", "directory", "fifo", "fifo that is read", "link",
                                  "dangling link", "hard link"])
def test_pid_file_cannot_be_made(detached, tmp_path, request, what, detach):
    """73, and why; what is there stays."""
    path, why = impossible(tmp_path)[what]
    if what == "fifo that is read":
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        request.addfinalizer(lambda: os.close(reader))
    there = os.path.lexists(path)
    d = detached(TCP4.service(tmp_path), pid_file=path)
    if not detach:
        words = [w for w in d.words() if w != "--daemon"]
        d.words = lambda: words
    refuse(d, 73, f"cannot make the pid file {path}: {why}")
    assert os.path.lexists(path) == there
    assert (tmp_path / "precious").read_text() == "data"
    assert not (tmp_path / "not there").exists()


@pytest.mark.parametrize("detach", [True, False], ids=["daemon", "foreground"])
def test_pid_file_cannot_be_written(detached, tmp_path, detach):
    """73 when there is no room for the number: nothing is served and nothing left."""
    d = detached(TCP4.service(tmp_path))
    if not detach:
        words = [w for w in d.words() if w != "--daemon"]
        d.words = lambda: words

    def no_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    refuse(d, 73, f"cannot write the pid file {d.pid_file}: File too large", preexec_fn=no_room)
    assert not d.pid_file.exists()


@pytest.mark.parametrize("other", [None, "another daemon's\n"], ids=["removed", "replaced"])
def test_foreign_pid_file_stays(detached, tmp_path, other):
    """A file that has come in the place of ours is not removed."""
    d = detached(TCP4.service(tmp_path)).start()
    d.pid_file.unlink()
    if other:
        d.pid_file.write_text(other)
    d.stop()
    assert d.pid_file.exists() == bool(other)
    if other:
        assert d.pid_file.read_text() == other
        d.pid_file.unlink()


def test_pid_file_in_the_foreground(echod, tmp_path):
    """--pid-file without --daemon: written and removed; a second one is refused."""
    file = tmp_path / "run.pid"
    d = echod(TCP4.service(tmp_path), arguments=["--pid-file", str(file)])
    assert file.read_text() == str(d.pid)
    second = echod(TCP4.service(tmp_path), ready=False, arguments=["--pid-file", str(file)])
    second.expected_exit = 75
    assert second.spawn().wait_exit() == 75
    assert f"already running, pid {d.pid}" in second.log()
    ping(d.connect())
    d.stop()
    assert not file.exists()


def test_workers_do_not_hold_the_pid_file(detached, tmp_path):
    """The lock ends with the supervisor, although a worker that is stopped lives on a while."""
    d = detached(TCP4.service(tmp_path, workers=1)).start()
    worker = d.workers()[0]
    tree = d.tree()
    os.kill(worker, signal.SIGSTOP)
    d.signal(signal.SIGKILL)
    wait_for("the end of the supervisor", lambda: gone(d.pid), 3.0)
    with open(d.pid_file) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    procs.send(signal.SIGCONT, worker)
    wait_for("the end of all", lambda: all(map(gone, tree)), 3.0)
    d.pid_file.unlink()
