#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""Fail each call of the daemon to the system once, at each position, in every model and engine.

For each cell of the grid, each call (faults.py) and each error that it can have, a daemon is
started in which the Nth such call fails: N = 1, 2, ... until there are no more.  Each time it
must serve, or end with a word; no client may hang or see a wrong byte; soon all must be as if
nothing had happened, descriptors and children included; and it must stop when told.

The last line counts lives with a fault.  A failure names the command that repeats it."""

import argparse
import collections
import itertools
import os
import random
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))

import panel  # noqa: E402
from faults import FAULTS, RINGS  # noqa: E402
from run import Broken, Fault, Life, cells  # noqa: E402


class Torture:
    def __init__(self, args):
        self.args = args
        self.directory = Path(tempfile.mkdtemp(prefix="echod-torture-"))
        self.library = panel.build(self.directory)
        self.numbers = itertools.count()
        self.usual = {}
        self.lives = self.hits = 0
        self.failures = []
        self.hit_calls = collections.Counter()

    def place(self):
        directory = self.directory / str(next(self.numbers))
        directory.mkdir()
        return directory

    def once(self, cell, fault):
        """One life.  Returns whether the fault happened."""
        directory = self.place()
        try:
            happened, _ = Life(cell, directory, self.library, fault).live(self.usual[cell])
        except (Broken, OSError, AssertionError) as e:
            self.fail(cell, fault, directory, e)
            return True
        finally:
            self.lives += 1
        self.hits += happened
        if happened:
            self.hit_calls[fault.call] += 1
        shutil.rmtree(directory)
        return happened

    def fail(self, cell, fault, directory, why):
        self.hits += 1
        self.failures.append(f"{cell} {fault}: {why}")
        print(f"FAIL  tools/torture --cell {cell} --fault {fault}\n      {why}\n"
              f"      logs: {directory}", flush=True)

    def learn(self, chosen):
        """What a life without a fault has open: the least of three, in case a client's process
        is still there."""
        for cell in chosen:
            self.usual[cell] = min(Life(cell, self.place(), self.library).live(None)[1]
                                   for _ in range(3))

    def series(self, cell, call, error):
        """Positions 1, 2, ... while there are so many; beyond --dense in steps that grow."""
        position, step = 1, 1
        while position <= self.args.most and self.once(cell, Fault(call, error, position)):
            if position >= self.args.dense:
                step += 1
            position += step

    def everything(self, chosen):
        work = [(cell, call, error) for cell in chosen for call in self.calls(cell)
                for error in {**FAULTS, **RINGS}[call]]
        random.Random(self.args.seed).shuffle(work)  # so that an interrupted run has seen all
        with ThreadPoolExecutor(self.args.jobs) as pool:
            list(pool.map(lambda w: self.series(*w), work))

    def sample(self, chosen, seconds):
        """As many as there is time for, drawn from the seed."""
        end = time.monotonic() + seconds

        def draw(seed):
            rng = random.Random(f"{self.args.seed}/{seed}")
            while time.monotonic() < end:
                cell = rng.choice(chosen)
                call = rng.choice(self.calls(cell))
                error = rng.choice({**FAULTS, **RINGS}[call])
                self.once(cell, Fault(call, error, min(rng.randint(1, 20), rng.randint(1, 20))))
        with ThreadPoolExecutor(self.args.jobs) as pool:
            list(pool.map(draw, range(self.args.jobs)))

    def calls(self, cell):
        if self.args.calls:
            return self.args.calls.split(",")
        return [*FAULTS, *(RINGS if cell.engine == "io_uring" else ())]

    def run(self):
        chosen = [c for c in cells() if not self.args.cell or str(c) == self.args.cell]
        if not chosen:
            sys.exit(f"torture: no cell {self.args.cell!r}: {' '.join(map(str, cells()))}")
        began = time.monotonic()
        self.learn(chosen)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=float, metavar="SECONDS",
                        help="not all of it, but what there is time for, drawn from the seed")
    parser.add_argument("--seed", type=int, default=862, help="of the order and of the sample (862)")
    parser.add_argument("--cell", help="only this one, such as prefork-epoll-tcp4")
    parser.add_argument("--calls", help="only these system calls: accept4,recvfrom")
    parser.add_argument("--fault", help="one injection: CALL:ERRNO:POSITION")
    parser.add_argument("--most", type=int, default=200, help="the last position that is tried")
    parser.add_argument("--dense", type=int, default=10,
                        help="up to here each position, then fewer and fewer (10)")
    parser.add_argument("-j", "--jobs", type=int, default=2 * (os.cpu_count() or 1))
    return Torture(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
