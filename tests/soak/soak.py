#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""One daemon with every model and engine, verified load on all of them, and a seeded chaos of
kills, stops, reloads, limits and resets.  At the end everything must be as before: descriptors,
threads, processes and, within a bound, memory; no byte may have been another's; and whatever was
lost must have been in the hands of a process that was killed (oracle.py).

It runs in a network of its own, and a clock of its own: the milliseconds of CLOCK_MONOTONIC
pass 2^32 half a minute after the start.  (No namespace has another CLOCK_REALTIME.)

Whatever fails, the seed is printed that repeats the chaos, and the daemon's log is kept."""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import fleet as fleet_module  # noqa: E402  (it finds the black-box tests' modules)
from chaos import Chaos  # noqa: E402
from control import ask  # noqa: E402
from fleet import Fleet, snapshot  # noqa: E402
from harness import SANITIZE, Daemon, wait_for  # noqa: E402
from oracle import Oracle  # noqa: E402
from repair import Repairs, line  # noqa: E402

WARM_UP = 5.0         # seconds of load before what is "before" is looked at
WRAP = 2**32 / 1000   # seconds: where a count of milliseconds in 32 bits begins anew
WRAP_AFTER = 30.0     # seconds after the start
MEMORY = 1.25         # of what there was before, and
MEMORY_KIB = 4096     # KiB more
EXPECTED = ("reload failed", r"echod\.conf", "Too many open files", "cannot start worker",
            "No file descriptors")


class Failed(Exception):
    """The soak has found something."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help="end after SECONDS of chaos")
    parser.add_argument("--connections", type=int, default=1000000, metavar="N",
                        help="or when so many connections (1000000) and")
    parser.add_argument("--datagrams", type=int, default=10000000, metavar="N",
                        help="so many datagrams (10000000) have ended")
    parser.add_argument("--repairs", type=int, default=3, metavar="N",
                        help="then kill all workers of each service N times (3), without load")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--steps", type=int, help="end after so many steps of chaos")
    parser.add_argument("--only", action="append", choices=Chaos.names(), metavar="STEP",
                        help="only such steps, of " + " ".join(Chaos.names()))
    parser.add_argument("--verbose", action="store_true", help="say what is done, as it is done")
    return parser.parse_args()


def enter_namespaces():
    """Run again in namespaces of our own, as far as there can be any.  Only root of the machine
    can let the workers be another user, whom limits of processes bind."""
    offset = int(WRAP - WRAP_AFTER - time.monotonic())
    clock = ["--time", "--monotonic", str(offset), "--boottime", str(offset)]
    network = ["--net"] if os.geteuid() == 0 else ["--map-root-user", "--net"]
    for namespaces in (network + clock, network):
        words = ["unshare", *namespaces, "--fork", "--kill-child"]
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            os.environ["SOAK_INSIDE"] = " ".join(x for x in namespaces if x.startswith("--"))
            os.execvp("unshare", [*words, "--", sys.executable, *sys.argv])
    print("soak: unshare(1) cannot make a network here", file=sys.stderr)
    sys.exit(77)


class Soak:
    def __init__(self, args):
        self.args = args
        self.directory = Path(tempfile.mkdtemp(prefix="echod-soak-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.control = str(self.directory / "control")
        self.program = fleet_module.compile_load(self.directory)
        top = {"log": {"level": "info"}, "control": self.control,
               "process": {"open_files": 4096}}
        if os.geteuid() == 0 and "--map-root-user" not in os.environ["SOAK_INSIDE"]:
            top["process"]["user"] = "nobody"
        self.daemon = Daemon(fleet_module.services(self.directory), self.directory, top)
        self.daemon.check_counters = False  # not as exactly as otherwise: see counters()
        for text in EXPECTED:
            self.daemon.expect_error(text)
        self.events = open(self.directory / "chaos.log", "w", encoding="ascii")
        self.fleet = None

    def say(self, text):
        print(text, file=self.events, flush=True)
        if self.args.verbose:
            print(text, flush=True)

    def load(self, seed):
        self.fleet = Fleet(self.program, self.daemon.services, seed)
        return self.fleet

    def quiet(self):
        """Nobody is connected, and no worker of an old configuration is left."""
        def settled():
            got = ask(self.control, "GetStatus")
            workers = {w["pid"] for s in got["services"] for w in s["workers"] if w["up"]}
            below = self.daemon.processes()
            return (got["connections"] == 0 and len(below) == len(workers) + 1)
        wait_for("nobody to be connected, and no other process", settled, 10.0, step=0.1)
        time.sleep(0.5)

    def judge(self, oracle):
        """Put down what was lost to who was killed."""
        for event in self.fleet.drain_events():
            if isinstance(event, str):
                raise Failed(event)
            oracle.explain(event)
        if oracle.unexplained:
            raise Failed("lost, and nobody was killed who had it:\n" +
                         "\n".join(str(x) for x in oracle.unexplained[:10]))
        if self.fleet.broken():
            raise Failed(f"the load of {self.fleet.broken()} has ended")
        if not self.daemon.alive():
            raise Failed("the daemon has ended")

    def enough(self, began, chaos):
        if self.args.steps:
            return sum(chaos.counts.values()) >= self.args.steps
        if self.args.seconds:
            return time.monotonic() - began >= self.args.seconds
        datagrams = self.fleet.datagrams() >= self.args.datagrams
        if datagrams:
            for x in self.fleet.of(True):
                x.hush()
        return datagrams and self.fleet.connections() >= self.args.connections

    def storm(self):
        """Load and chaos.  Returns (chaos, oracle, seconds)."""
        load = self.load(self.args.seed)
        chaos = Chaos(self.daemon, self.control, load, self.args, self.say)
        oracle = Oracle(chaos)
        began = told = time.monotonic()
        try:
            while not self.enough(began, chaos):
                chaos.step()
                self.judge(oracle)
                if time.monotonic() - told > 10:
                    told = time.monotonic()
                    print(f"      {told - began:.0f} s: {load.connections()} connections, "
                          f"{load.datagrams()} datagrams, {len(chaos.kills)} kills", flush=True)
        finally:
            chaos.rest()
        load.stop()
        self.judge(oracle)
        return chaos, oracle, time.monotonic() - began

    def counters(self, chaos, oracle):
        """The daemon's own account.  What a killed worker had in hand it had counted as come."""
        for name, c in self.daemon.counters().items():
            closed = sum(v for k, v in c.items() if k.startswith("closed_"))
            if c["connections_accepted"] != closed or c["connections_active"] != 0:
                raise Failed(f"{name}: accepted != closed: {c}")
            gone = c["datagrams_in"] - c["datagrams_out"] - sum(
                v for k, v in c.items() if k.startswith(("refused_", "dropped_")))
            most = sum(k.datagrams for k in chaos.kills if k.service.name == name)
            if not -most <= gone <= most:
                raise Failed(f"{name}: {gone} datagrams are not accounted for: {c}")

    def compare(self, before, after):
        if after[0] != before[0]:
            pairs = {k: (before[0].get(k), after[0].get(k)) for k in {*before[0], *after[0]}}
            raise Failed("(descriptors, threads) of each process are not as before:\n" +
                         "\n".join(f"{k}: {a} -> {b}" for k, (a, b) in pairs.items() if a != b))
        was, now = sum(before[1].values()), sum(after[1].values())
        if now > was * MEMORY + MEMORY_KIB and not SANITIZE:  # a sanitizer keeps what is freed
            more = {k: f"{before[1][k]} -> {v}" for k, v in after[1].items()}
            raise Failed(f"memory: {was} KiB before, {now} KiB after: {more}")

    def run(self):
        self.daemon.start()
        load = self.load(self.args.seed + 1)
        time.sleep(WARM_UP)
        load.stop()
        if told := load.drain_events():
            raise Failed("without any chaos: " + "\n".join(map(str, told[:10])))
        self.quiet()
        before = snapshot(self.daemon)
        first_keys = [dict(s.keys) for s in self.daemon.services]
        chaos, oracle, seconds = self.storm()
        for s, keys in zip(self.daemon.services, first_keys):
            s.keys = keys
        self.daemon.write_conf()
        chaos.reload_same()
        self.quiet()
        repairs = Repairs(self.daemon, self.control)
        repairs.run(self.args.repairs)
        self.quiet()
        after = snapshot(self.daemon)
        self.report(chaos, oracle, seconds, before, after)
        if chaos.repairs:
            print(f"until a killed worker's successor is up, under load: {line(chaos.repairs)}")
        if repairs.times:
            print("until clients are served again, all workers killed, without load:")
        if repairs.times and not repairs.report():
            raise Failed("repairs are slow")
        self.compare(before, after)
        self.counters(chaos, oracle)
        self.daemon.finish()

    def report(self, chaos, oracle, seconds, before, after):
        f = self.fleet
        print(f"{f.connections()} connections, {f.datagrams()} datagrams, "
              f"{sum(x.bytes for x in f.loads) / 1e9:.1f} GB verified in {seconds:.0f} s, "
              f"{len(f.loads)} services ({os.environ['SOAK_INSIDE']})")
        print("chaos: " + ", ".join(f"{v} {k}" for k, v in sorted(chaos.counts.items())))
        print(f"lost with whom was killed: {oracle.killed} connections of "
              f"{sum(len(k.held) for k in chaos.kills)} that were held, {oracle.datagrams} "
              f"datagrams; ended by a reload: {oracle.drained}; unexplained: "
              f"{len(oracle.unexplained)}")
        print(f"processes {sum(map(len, before[0].values()))} -> "
              f"{sum(map(len, after[0].values()))}, descriptors "
              f"{sum(d for v in before[0].values() for d, _ in v)} -> "
              f"{sum(d for v in after[0].values() for d, _ in v)}, threads "
              f"{sum(t for v in before[0].values() for _, t in v)} -> "
              f"{sum(t for v in after[0].values() for _, t in v)}, PSS "
              f"{sum(before[1].values())} -> {sum(after[1].values())} KiB")


def main():
    args = arguments()
    if "SOAK_INSIDE" not in os.environ:
        sys.argv += [] if "--seed" in " ".join(sys.argv) else ["--seed", str(args.seed)]
        enter_namespaces()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    soak = Soak(args)
    print(f"seed {args.seed}", flush=True)
    try:
        soak.run()
    except (Failed, AssertionError, OSError, subprocess.SubprocessError) as e:
        print(f"FAILED with --seed {args.seed}: {e}\nkept: {soak.directory} (stderr.log, "
              "chaos.log)")
        return 1
    finally:
        if soak.fleet:
            for x in soak.fleet.loads:
                x.process.kill()
        if soak.daemon.process:
            soak.daemon.destroy()
    shutil.rmtree(soak.directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
