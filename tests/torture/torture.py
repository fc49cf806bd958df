#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Fail each call of the daemon to the system, each allocation and each completion of a ring once,
at each position, in every model and engine.

For each cell of the grid, each call (faults.py) and each error that it can have, a daemon is
started in which the Nth such call fails: each of the first N, and some of those behind, of which a
life without a fault tells how many there are.  What must be true all the same says run.py.

The last lines count lives with a fault.  A failure names the command that repeats it."""

import argparse
import collections
import contextlib
import itertools
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox")]

import panel  # noqa: E402
from faults import ALL, RINGS  # noqa: E402
from lives import KINDS, settings, unusable  # noqa: E402
from run import Broken, Fault, Late, Usual, cells  # noqa: E402


class Torture:
    def __init__(self, args):
        self.args = args
        self.directory = Path(tempfile.mkdtemp(prefix="echod-torture-"))
        self.library = panel.build(self.directory)
        self.numbers = itertools.count()
        self.usual, self.made = {}, {}
        self.lives = self.hits = 0
        self.failures = []
        self.hit_calls = collections.Counter()

    def place(self):
        directory = self.directory / str(next(self.numbers))
        directory.mkdir()
        return directory

    def life(self, setting, fault, directory):
        """One life, and up to three more if the machine may be to blame."""
        for patience in (1, 3, 10, None):
            life = setting.kind(setting.cell, directory, self.library, fault)
            try:
                return life, life.live(self.usual.get(setting))
            except Late:
                if not patience:
                    raise
                time.sleep(patience)
                shutil.rmtree(directory)
                directory.mkdir()

    def once(self, setting, fault):
        """One life with a fault."""
        directory = self.place()
        self.lives += 1
        try:
            _, (happened, _) = self.life(setting, fault, directory)
        except (Broken, OSError, AssertionError) as e:
            self.fail(setting, fault, directory, e)
            return True
        self.hits += happened
        if happened:
            self.hit_calls[fault.call] += 1
        shutil.rmtree(directory)
        return happened

    def fail(self, setting, fault, directory, why):
        self.hits += 1
        self.failures.append(f"{setting} {fault}: {why}")
        print(f"FAIL  seed {self.args.seed}: tools/torture {setting} --fault {fault}\n"
              f"      {why}\n      logs: {directory}", flush=True)

    def learn(self, setting):
        """What some lives without a fault have, and how often they make each call, at most."""
        n = 1 if self.args.reach else 3
        try:
            lives = [self.life(setting, None, self.place()) for _ in range(n)]
        except Exception as e:
            raise Broken(f"without a fault, {setting}: {e}") from e
        self.usual[setting] = Usual.of([found for _, (_, found) in lives])
        self.made[setting] = {call: max(life.panel.made().get(call, 0) for life, _ in lives)
                              for call in ALL}

    def learn_all(self, chosen):
        """The slowest first."""
        with ThreadPoolExecutor(self.args.jobs) as pool:
            list(pool.map(self.learn, sorted(chosen, key=lambda s: s.kind.name != "hung")))

    def reached(self, call):
        """{kind of life: how often the call is made in one, at most} of those in which it is to
        fail."""
        made = {}
        for setting, calls in self.made.items():
            if call in setting.calls() and calls[call]:
                made[setting.kind.name] = max(calls[call], made.get(setting.kind.name, 0))
        return made

    def unreached(self):
        """Calls that no life makes in which they are to fail.  What strace(1) counts is not
        known."""
        return [c for c in self.calls_of(self.made) if c not in RINGS and not self.reached(c)]

    def positions(self, setting, call):
        """Where CALL is to fail: at each of the first --dense, then spread over as many as there
        are.  What strace(1) counts is counted for each process, and not known."""
        made = self.made[setting][call] if call not in RINGS else self.args.dense // 2
        spread = max(0, min(self.args.spread, made - self.args.dense))
        return [*range(1, min(self.args.dense, made) + 1),
                *(self.args.dense + (made - self.args.dense) * i // spread
                  for i in range(1, spread + 1))]

    def everything(self, chosen):
        """All of it, or each K-th of N parts; in an order that the seed makes, so that one which
        is interrupted has seen of all."""
        work = [(setting, Fault(call, error, position)) for setting in chosen
                for call in self.calls(setting) for error in ALL[call]
                for position in self.positions(setting, call)]
        random.Random(self.args.seed).shuffle(work)
        part, parts = map(int, self.args.part.split("/"))
        print(f"{len(work)} injections, of which this is part {self.args.part}", flush=True)
        with ThreadPoolExecutor(self.args.jobs) as pool:
            list(pool.map(lambda w: self.once(*w), work[part - 1::parts]))

    def sample(self, chosen, seconds):
        """As many as there is time for, drawn from the seed."""
        end = time.monotonic() + seconds

        def draw(seed):
            rng = random.Random(f"{self.args.seed}/{seed}")
            while time.monotonic() < end:
                setting = rng.choice(chosen)
                call = rng.choice(self.calls(setting) or [""])
                positions = self.positions(setting, call) if call else ()
                if positions:
                    self.once(setting, Fault(call, rng.choice(ALL[call]), rng.choice(positions)))
        with ThreadPoolExecutor(self.args.jobs) as pool:
            list(pool.map(draw, range(self.args.jobs)))

    def calls(self, setting):
        wanted = self.args.calls.split(",") if self.args.calls else ALL
        return [c for c in setting.calls() if c in wanted]

    def calls_of(self, settings):
        return sorted({c for setting in settings for c in self.calls(setting)})

    def chosen(self):
        """The settings that the arguments name; who names a call has those in which it fails."""
        found = [s for s in settings() if self.args.life in (None, s.kind.name)
                 and self.args.cell in (None, str(s.cell)) and (self.args.fault or self.calls(s))]
        if not found:
            sys.exit(f"torture: there is no such life: {' '.join(KINDS)}; or no such cell: "
                     f"{' '.join(map(str, cells()))}")
        return found

    def show_reach(self):
        for call in self.calls_of(self.made):
            if call not in RINGS:
                print(f"{call:16}", *(f"{k}:{n}" for k, n in self.reached(call).items()))

    def inject(self, chosen):
        if self.args.reach:
            self.show_reach()
        elif self.args.fault:
            call, error, position = self.args.fault.split(":")
            for setting in chosen:
                if not self.once(setting, Fault(call, error, int(position))):
                    print(f"{setting}: there is no such call")
        elif self.args.sample:
            self.sample(chosen, self.args.sample)
        else:
            self.everything(chosen)

    def missed(self, chosen):
        """Calls that should have failed and have not.  Where all lives were looked at, one that
        none of them makes is a failure."""
        whole = not (self.args.cell or self.args.life or self.args.fault) \
            and not any(map(unusable, KINDS.values()))
        missed = self.unreached() if whole else []
        if missed:
            print("FAIL  no life makes:", " ".join(missed))
        if not (self.args.reach or self.args.fault):
            rest = sorted(set(self.calls_of(chosen)) - set(self.hit_calls) - set(missed))
            if rest:
                print("never made, or not so often:", " ".join(rest))
        return missed

    def run(self):
        chosen = self.chosen()
        began = time.monotonic()
        self.learn_all(chosen)
        self.inject(chosen)
        missed = self.missed(chosen)
        print(f"seed {self.args.seed}: {self.lives} lives, {self.hits} with a fault, "
              f"{time.monotonic() - began:.0f} s")
        print(f"{self.hits - len(self.failures)} passed, {len(self.failures)} failed")
        if not self.failures:
            shutil.rmtree(self.directory)
        return 1 if self.failures or missed or not (self.hits or self.args.reach) else 0


def rings_have_memory():
    """What they lock is limited for all the processes of a user together."""
    with contextlib.suppress(ValueError, OSError):  # we may not
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=float, metavar="SECONDS",
                        help="not all of it, but what there is time for, drawn from the seed")
    parser.add_argument("--seed", type=int, default=862, help="of the order and of the sample (862)")
    parser.add_argument("--cell", help="only this one, such as prefork-epoll-tcp4")
    parser.add_argument("--life", choices=KINDS, help="only this kind of life (lives.py)")
    parser.add_argument("--reach", action="store_true",
                        help="nothing fails: count how often which life makes each call")
    parser.add_argument("--calls", help="only these: accept4,cqe_receive")
    parser.add_argument("--fault", help="one injection: CALL:ERRNO:POSITION")
    parser.add_argument("--part", default="1/1", help="of all: the first of ten is 1/10")
    parser.add_argument("--dense", type=int, default=5, help="up to here each position (5)")
    parser.add_argument("--spread", type=int, default=3,
                        help="and as many that are spread over those behind (3)")
    parser.add_argument("-j", "--jobs", type=int, default=2 * (os.cpu_count() or 1))
    rings_have_memory()
    return Torture(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
