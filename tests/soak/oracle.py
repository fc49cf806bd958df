# SPDX-License-Identifier: ISC
"""What may be lost, and to whom.

A connection is lost by right only if the process that was killed had it: the client's port (or
the inode of its socket) was found among the descriptors of the killed, who stood still for it,
and the kill was in the connection's life.  Who was ended by a reload is not lost: he saw an end
of file and no reset, and his worker was exchanged.  An executor that is exchanged accepts once
more when it comes to know of it, so some few may even have come after the reload.

A datagram is lost by right only if a worker of its service was killed after it was sent and
before it was given up, and not more of them than that worker can have in hand."""

DRAIN = 35 * 10**9  # ns: shutdown_timeout, and some
STRAGGLERS = 3 * 8  # of a service and a reload: executors, and what each takes at once


class Oracle:
    def __init__(self, chaos):
        self.chaos = chaos
        self.killed = self.drained = self.datagrams = 0
        self.unexplained = []

    def explain(self, loss):
        if loss.service.transport.datagram:
            self._datagram(loss)
        elif self._had(loss):
            self.killed += 1
        elif loss.why == "eof" and self._drained(loss):
            self.drained += 1
        else:
            self.unexplained.append(loss)

    def _kills(self, loss):
        return [k for k in self.chaos.kills if k.service is loss.service
                and loss.opened <= k.when <= loss.noticed]

    def _had(self, loss):
        return any(loss.key in k.held for k in self._kills(loss))

    def _drained(self, loss):
        name = loss.service.name
        reloads = [r for r in self.chaos.reloads
                   if name in r.services and r.begun <= loss.noticed <= r.ended + DRAIN]
        if any(loss.opened <= r.ended for r in reloads):
            return True
        for r in reloads:
            r.stragglers[name] = r.stragglers.get(name, 0) + 1
            if r.stragglers[name] <= STRAGGLERS:
                return True
        return False

    def _datagram(self, loss):
        for k in self._kills(loss):
            if k.lost < k.datagrams:
                k.lost += 1
                self.datagrams += 1
                return
        self.unexplained.append(loss)
