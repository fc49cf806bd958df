# SPDX-License-Identifier: ISC
"""Restarts, upgrades and deaths of the service, while clients come and go: nobody is refused."""

import os
import signal
import time

import clients
from configs import CONF, add_service, file_of, one_service, set_key
from harness import wait_for

TARGETS = ("tcp:127.0.0.1:7", "tcp:[::1]:7", "udp:127.0.0.1:7")
RESTARTS = 100
CONNECT = 1.5  # seconds: the longest that a connect may take over a restart


def test_hundred_restarts(machine, figure):
    """100 restarts, each at once after the one before: the sixth fails with a start limit."""
    start = time.monotonic()
    with clients.churn(machine, *TARGETS) as seen:
        for _ in range(RESTARTS):
            machine.systemctl("restart", "echod")
    figure(f"{RESTARTS} restarts: {time.monotonic() - start:.1f} s")
    clients.check_nobody_refused(seen, figure, CONNECT)
    clients.check_echoes(machine)
    assert machine.show("NRestarts") == "0"
    # Two addresses each; of UDP a socket for each worker, of whom every processor has one.
    listeners = 2 + 2 * os.cpu_count()
    assert machine.show("NFileDescriptorStore") == str(listeners), "listeners, each once"


def test_upgrade(machine, roots, figure):
    """apt installs a newer package: the service and its instances get the new program."""
    unit = "echod@lab.service"
    machine.write("/etc/echod/lab.conf", file_of(one_service(listen="127.0.0.1:7001")))
    machine.systemctl("start", unit)
    before, lab = machine.main(), machine.main(unit)
    with clients.churn(machine, *TARGETS, "tcp:127.0.0.1:7001") as seen:
        machine.run(*roots.apt_install(1), timeout=120)
    clients.check_nobody_refused(seen, figure, CONNECT)
    version = machine.run("dpkg-query", "-W", "-f", "${Version}", "echod").stdout
    assert version.endswith("+newer")
    assert machine.main() not in (0, before)
    assert machine.main(unit) not in (0, lab)
    clients.check_echoes(machine)


def test_reloads(machine, figure):
    """Reloads that change nothing, change one service, and change all of them."""
    main, start = machine.main(), machine.read(CONF)
    with clients.churn(machine, *TARGETS) as seen:
        for n in range(5):
            machine.systemctl("reload", "echod")
            add_service(machine, one_service())
            machine.systemctl("reload", "echod")
            clients.check_echoes(machine, [("tcp", "127.0.0.1", 7007)])
            machine.write(CONF, start)
            set_key(machine, "workers", 1 + n % 2)
            set_key(machine, "model", ('"prethread"', '"iterative"')[n % 2])
            machine.systemctl("reload", "echod")
            machine.write(CONF, start)
    clients.check_nobody_refused(seen, figure, CONNECT)
    for counts in seen.values():
        assert counts["reset"] == 0, counts
    assert machine.main() == main


def test_supervisor_killed(machine, figure):
    """Its listeners stay open, the workers leave, and it comes back."""
    old = machine.main()
    workers = set(machine.members()) - {old}
    with clients.churn(machine, *TARGETS) as seen:
        os.kill(old, signal.SIGKILL)
        wait_for("another supervisor", lambda: machine.main() not in (0, old), 4.0, step=0.1)
        wait_for("active", lambda: machine.show("ActiveState") == "active", 4.0, step=0.1)
        clients.check_echoes(machine, [a for a in clients.EVERYWHERE if a[0] == "tcp"])
    clients.check_nobody_refused(seen, figure)
    assert machine.show("NRestarts") == "1"
    assert not workers & set(machine.members()), "workers of the dead supervisor"
    clients.check_echoes(machine)


def test_supervisor_stopped(machine, figure):
    """systemd's watchdog finds a supervisor that hangs, and starts another."""
    old, mark = machine.main(), machine.mark()
    with clients.churn(machine, *TARGETS) as seen:
        start = time.monotonic()
        os.kill(old, signal.SIGSTOP)
        wait_for("another supervisor", lambda: machine.main() not in (0, old), 20.0, step=0.2)
        wait_for("active", lambda: machine.show("ActiveState") == "active", 4.0, step=0.1)
        figure(f"back after {time.monotonic() - start:.1f} s")
    clients.check_nobody_refused(seen, figure)
    assert machine.show("NRestarts") == "1"
    machine.wait_message("Watchdog timeout", "UNIT=echod.service", after=mark)
    clients.check_echoes(machine)


def workers(machine, service="echo-tcp"):
    """Workers of a service, by their titles."""
    return sorted(p for p, t in machine.members().items()
                  if t.startswith(f"echod: {service} ") and " worker " in t)


def replaced(machine, old, count, promise):
    """Wait until process OLD is gone and its service has COUNT workers again."""
    wait_for("a new worker", lambda: old not in workers(machine)
             and len(workers(machine)) == count, promise, step=0.05)


def test_worker_killed(machine, figure):
    """The supervisor replaces it; the others never notice."""
    supervisor = machine.main()
    count = len(workers(machine))
    assert count > 0
    with clients.churn(machine, *TARGETS) as seen:
        for _ in range(5):
            victim = workers(machine)[0]
            os.kill(victim, signal.SIGKILL)
            replaced(machine, victim, count, 5.0)
    clients.check_nobody_refused(seen, figure)
    assert machine.main() == supervisor
    assert machine.show("NRestarts") == "0"
    assert machine.messages("MESSAGE_ID=4893e77ca5ba42858f75339f72b976a2",
                            "ECHOD_SERVICE=echo-tcp")
    clients.check_echoes(machine)


def test_worker_stopped(machine, figure):
    """A worker that hangs is killed and replaced by the supervisor, not by systemd."""
    supervisor = machine.main()
    count = len(workers(machine))
    victim = workers(machine)[0]
    start = time.monotonic()
    os.kill(victim, signal.SIGSTOP)
    replaced(machine, victim, count, 15.0)
    figure(f"replaced after {time.monotonic() - start:.1f} s")
    assert machine.main() == supervisor
    assert machine.messages("MESSAGE_ID=a54f0d7427b54b868ebd9aaa0d3fbc60")
    clients.check_echoes(machine)


def test_logger_killed(machine, figure):
    """The supervisor starts another logger, and what is logged then arrives."""
    supervisor = machine.main()

    def loggers():
        return [p for p, t in machine.members().items() if t == "echod: logger"]
    victim, = loggers()
    with clients.churn(machine, *TARGETS) as seen:
        os.kill(victim, signal.SIGKILL)
        wait_for("another logger", lambda: loggers() and victim not in loggers(), 5.0, step=0.05)
    clients.check_nobody_refused(seen, figure)
    mark = machine.mark()
    machine.systemctl("reload", "echod")
    machine.wait_message("reloaded: ", "-u", "echod.service", after=mark)
    assert machine.main() == supervisor
    assert machine.messages("MESSAGE_ID=25c3ed34614e48b6bc10d103e73ef6a7")
