# SPDX-License-Identifier: ISC
"""journald and process 1 hang: the service does not.

Latencies are printed as ratios of what the same machine did a moment before, and not asserted:
other work on it would break any bound.  What is asserted is that nobody waited for the one who
hangs.
"""

import json
import os
import signal
import time

import clients
from configs import add_service, one_service, set_key
from harness import SLOW, wait_for

BOUND = 2.0 * SLOW  # seconds: generous for an echo, far below what was stopped
SECONDS = 3


def load(machine, seconds=SECONDS):
    """echoc load at a fixed rate for SECONDS; what it measured, in microseconds."""
    out = machine.run("echoc", "load", "--quiet", "--json", "-c", "8", "-r", "1000", "-d",
                      seconds, "--timeout", "30", "127.0.0.1", "7", timeout=60 + seconds).stdout
    return json.loads(out)["latency_us"]


def journald(machine):
    """The host's pid of the container's journald."""
    pid, = machine.members("systemd-journald.service")
    return pid


def compare(figure, name, before, during, after):
    """Print how the latencies were, and hold the longest to the bound."""
    for what in ("p50", "p99", "max"):
        figure(f"{name}: {what} {before[what]:.0f} us, stopped {during[what]:.0f} us "
              f"({during[what] / before[what]:.2f}), again {after[what]:.0f} us "
              f"({after[what] / before[what]:.2f})")
    assert during["max"] < BOUND * 1e6


def log_everything(machine):
    """A record for each connection, and no limit of journald's own."""
    set_key(machine, "connections", "true")
    machine.write("/etc/systemd/journald.conf.d/all.conf",
                  "[Journal]\nRateLimitIntervalSec=0\n")
    machine.systemctl("restart", "systemd-journald")
    machine.systemctl("restart", "echod")


def test_journald_hangs(machine, figure):
    """Echo latency stays; records are dropped and counted; the count arrives afterwards."""
    log_everything(machine)
    with clients.churn(machine, "tcp:127.0.0.1:7", "tcp:[::1]:7") as seen:
        before = load(machine)
        with machine.held(journald(machine)):
            during = load(machine)
            # Far more than any queue holds; a signal and a reload get through as well.
            os.kill(machine.main(), signal.SIGUSR1)
            add_service(machine, one_service())
            os.kill(machine.main(), signal.SIGHUP)
            wait_for("the reload", lambda: clients.echoes(machine, "tcp", "127.0.0.1", 7007), 5.0,
                     step=0.1)
            time.sleep(2)  # not a wait for anything: more records
        record = machine.wait_message("were dropped", "-u", "echod.service", promise=5.0)
        after = load(machine)
    compare(figure, "journald", before, during, after)
    clients.check_nobody_refused(seen, figure)
    for counts in seen.values():
        assert counts["echo"] < BOUND
    figure(record["MESSAGE"])
    assert int(record["ECHOD_DROPPED"]) > 0
    assert record["MESSAGE_ID"] == "cd783ed24af84055a23bb304b5a641a3"
    assert machine.show("NRestarts") == "0"


def test_journald_hangs_at_start_and_stop(machine):
    """The service stops and starts without journald."""
    with machine.held(journald(machine)):
        machine.systemctl("restart", "echod", timeout=60)
        clients.check_echoes(machine)
        machine.systemctl("stop", "echod", timeout=90)
        machine.systemctl("start", "echod", timeout=60)
        clients.check_echoes(machine)
    assert machine.show("Result") == "success"


def test_journald_restarts(machine):
    """A journald that was replaced gets the records."""
    machine.systemctl("restart", "systemd-journald")
    mark = machine.mark()
    machine.systemctl("reload", "echod")
    machine.wait_message("reloaded: ", "-u", "echod.service", after=mark)


def test_init_hangs(machine, figure):
    """Process 1 stands still for longer than the watchdog's period; workers are replaced and
    configurations are read all the same."""
    main = machine.main()
    with clients.churn(machine, "tcp:127.0.0.1:7", "udp:127.0.0.1:7") as seen:
        before = load(machine)
        with machine.held(machine.init):
            start = time.monotonic()
            during = load(machine, 8)
            victim = next(p for p, t in machine.members().items() if " worker " in t)
            os.kill(victim, signal.SIGKILL)
            wait_for("its end", lambda: victim not in machine.members(), 3.0)
            add_service(machine, one_service())
            machine.run("echoctl", "reload")
            clients.check_echoes(machine, [("tcp", "127.0.0.1", 7007)])
            time.sleep(max(0, 12 - (time.monotonic() - start)))
        after = load(machine)
    clients.check_nobody_refused(seen, figure)
    compare(figure, "process 1", before, during, after)
    for counts in seen.values():
        assert counts["echo"] < BOUND
    assert machine.main() == main, "systemd took its own hang for the service's"
    assert machine.show("NRestarts") == "0"
    assert machine.show("ActiveState") == "active"
    machine.systemctl("restart", "echod")
    clients.check_echoes(machine, [("tcp", "127.0.0.1", 7007), *clients.EVERYWHERE])
