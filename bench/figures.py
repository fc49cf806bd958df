# SPDX-License-Identifier: ISC
"""Figures of rounds: medians, paired ratios with their interval, and tables of text."""
import random
import statistics

RESAMPLES, SEED = 4000, 862


def median(results, key):
    return statistics.median(r.get(key, 0.0) for r in results) if results else 0.0


class Spread:
    """The median of VALUES, and the bounds of its 95 % interval by a percentile bootstrap."""

    def __init__(self, values):
        rng = random.Random(SEED)
        medians = sorted(statistics.median(rng.choices(values, k=len(values)))
                         for _ in range(RESAMPLES))
        self.value = statistics.median(values)
        self.low = medians[RESAMPLES * 25 // 1000]
        self.high = medians[RESAMPLES * 975 // 1000 - 1]

    def reaches(self, aim, less_is_better):
        """Does the interval reach AIM?"""
        return self.low <= aim if less_is_better else self.high >= aim

    def cells(self):
        return [f"{self.value:.3f}", f"{self.low:.2f} to {self.high:.2f}"]

    def json(self):
        return {"value": self.value, "low": self.low, "high": self.high}


class Ratio(Spread):
    """OURS / BASE of each round."""

    def __init__(self, ours, base, key):
        super().__init__([a.get(key, 0.0) / max(b.get(key, 0.0), 1e-9)
                          for a, b in zip(ours, base)])


def table(rows):
    """ROWS of texts as lines: the first column to the left, the others to the right."""
    rows = [list(map(str, r)) for r in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join([r[0].ljust(widths[0]), *map(str.rjust, r[1:], widths[1:])]).rstrip()
            for r in rows]


def bar(value, most, width=20):
    return ("#" * round(width * value / most if most else 0)).ljust(width)
