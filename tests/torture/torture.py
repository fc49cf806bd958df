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
sys.path.insert(0, str(Path(__file__).parent))

import panel  # noqa: E402
from faults import ALL, COMPLETIONS, FAULTS, RINGS  # noqa: E402
from run import Broken, Fault, Late, Life, Usual, cells  # noqa: E402


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

    def life(self, cell, fault, directory):
        """One life, and up to three more if the machine may be to blame."""
        for patience in (1, 3, 10, None):
            life = Life(cell, directory, self.library, fault)
            try:
                return life, life.live(self.usual.get(cell))
            except Late:
                if not patience:
                    raise
                time.sleep(patience)
                shutil.rmtree(directory)
                directory.mkdir()

    def once(self, cell, fault):
        """One life with a fault."""
        directory = self.place()
        self.lives += 1
        try:
            _, (happened, _) = self.life(cell, fault, directory)
        except (Broken, OSError, AssertionError) as e:
            self.fail(cell, fault, directory, e)
            return True
        self.hits += happened
        if happened:
            self.hit_calls[fault.call] += 1
        shutil.rmtree(directory)
        return happened

    def fail(self, cell, fault, directory, why):
        self.hits += 1
        self.failures.append(f"{cell} {fault}: {why}")
        print(f"FAIL  seed {self.args.seed}: tools/torture --cell {cell} --fault {fault}\n"
              f"      {why}\n      logs: {directory}", flush=True)

    def learn(self, cell):
        """What three lives without a fault have, and how often they make each call, at most."""
        lives = [self.life(cell, None, self.place()) for _ in range(3)]
        self.usual[cell] = Usual.of([found for _, (_, found) in lives])
        self.made[cell] = {call: max(life.panel.made().get(call, 0) for life, _ in lives)
                           for call in ALL}

    def positions(self, cell, call):
        """Where CALL is to fail: at each of the first --dense, then spread over as many as there
        are.  What strace(1) counts is counted for each process, and not known."""
        made = self.made[cell][call] if call not in RINGS else self.args.dense // 2
        spread = max(0, min(self.args.spread, made - self.args.dense))
        return [*range(1, min(self.args.dense, made) + 1),
                *(self.args.dense + (made - self.args.dense) * i // spread
                  for i in range(1, spread + 1))]

    def everything(self, chosen):
        """All of it, or each K-th of N parts; in an order that the seed makes, so that one which
        is interrupted has seen of all."""
        work = [(cell, Fault(call, error, position)) for cell in chosen
                for call in self.calls(cell) for error in ALL[call]
                for position in self.positions(cell, call)]
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
                cell = rng.choice(chosen)
                call = rng.choice(self.calls(cell))
                positions = self.positions(cell, call)
                error = rng.choice(ALL[call])
                if positions:
                    self.once(cell, Fault(call, error, rng.choice(positions)))
        with ThreadPoolExecutor(self.args.jobs) as pool:
            list(pool.map(draw, range(self.args.jobs)))

    def calls(self, cell):
        if self.args.calls:
            return self.args.calls.split(",")
        ring = cell.engine == "io_uring"
        return [*FAULTS, *(RINGS if ring else ()), *(COMPLETIONS if ring else ())]

    def run(self):
        chosen = [c for c in cells() if not self.args.cell or str(c) == self.args.cell]
        if not chosen:
            sys.exit(f"torture: no cell {self.args.cell!r}: {' '.join(map(str, cells()))}")
        began = time.monotonic()
        with ThreadPoolExecutor(self.args.jobs) as pool:
            list(pool.map(self.learn, chosen))
        if self.args.fault:
            call, error, position = self.args.fault.split(":")
            for cell in chosen:
                if not self.once(cell, Fault(call, error, int(position))):
                    print(f"{cell}: there is no such call")
        elif self.args.sample:
            self.sample(chosen, self.args.sample)
        else:
            self.everything(chosen)
        missed = sorted({c for cell in chosen for c in self.calls(cell)} - set(self.hit_calls))
        if missed and not self.args.fault:
            print("never made, or not so often:", " ".join(missed))
        print(f"seed {self.args.seed}: {self.lives} lives, {self.hits} with a fault, "
              f"{time.monotonic() - began:.0f} s")
        print(f"{self.hits - len(self.failures)} passed, {len(self.failures)} failed")
        if not self.failures:
            shutil.rmtree(self.directory)
        return 1 if self.failures or not self.hits else 0


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
