# SPDX-License-Identifier: ISC
"""The table of checks: a function with what must be true and who says so.

A check is given a client.Target.  It returns what it saw, in a few words; it raises Fail with
what it saw instead, or NotApplicable with the reason.
"""

from dataclasses import dataclass

ROWS = []


class Fail(Exception):
    """The server does something else."""


class NotApplicable(Exception):
    """This cannot be looked at from here."""


@dataclass(frozen=True)
class Row:
    """One check."""
    id: str            # PROTOCOL.WHAT
    text: str          # what must be true
    source: str        # who says so
    run: object
    needs: tuple = ()  # of client.NEEDS
    ends_run: bool = False  # the server may have turned itself off: others come before it


def check(name, text, source, *needs, ends_run=False):
    """Make the function below a row of the table."""
    def add(function):
        ROWS.append(Row(name, text, source, function, needs, ends_run))
        return function
    return add


def require(condition, seen):
    """Fail with SEEN unless CONDITION."""
    if not condition:
        raise Fail(seen)


def chosen(only=()):
    """The rows that ONLY names ("ID", "tcp", "ID,ID"), or all, in the table's order; those that
    may end a server come last."""
    names = {n for part in only for n in part.split(",")}
    known = {n for r in ROWS for n in (r.id, r.id.partition(".")[0])}
    if names - known:
        raise ValueError(f"no check '{sorted(names - known)[0]}'; --list tells what there is")
    found = [r for r in ROWS if not names or {r.id, r.id.partition(".")[0]} & names]
    return sorted(found, key=lambda r: r.ends_run)
