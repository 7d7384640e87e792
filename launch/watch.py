#!/usr/bin/env python3
"""watch.py RESTARTS RANKS -- MPIRUN'S PLACING FLAGS -- MPIRUN'S OTHER FLAGS -- PROGRAM ARGUMENT...: runs
mpirun, passes signals and its exit code on, speaks when a rank ended without an "error:" line, and
starts again what lost a rank. Used by run.sh, whose --help says what it promises."""
import signal

from start import PEER, STOPPED, STOPS, Start

# Until Start waits for them; run.sh has blocked them already where env can.
signal.pthread_sigmask(signal.SIG_BLOCK, STOPS | {signal.SIGCHLD})

import os  # noqa: E402
import secrets  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

from hosts import Hosts  # noqa: E402
from settings import Program  # noqa: E402
from words import put  # noqa: E402

DAEMON_LOST = (9, 137, 205)  # what mpirun returns where its own daemon on a host has gone
WATCHDOG_SLACK_S = 10.0


def may_start_again(start, code):
    killed = 128 < code < 128 + signal.NSIG and code != 128 + signal.SIGPIPE
    # A host that was lost since it answered; in the first start it may be one that never was.
    unreachable = code == 1 and start.generation > 0 and start.words.lost_daemon is not None
    return start.asked is None and start.output.failure is None and (
        code == PEER or killed or code in DAEMON_LOST or unreachable)


class Launcher:
    def __init__(self, restarts, ranks, placing, arguments, command):
        self.restarts, self.placing = restarts, placing
        self.token = secrets.token_hex(8)
        self.program = Program(command)
        self.hosts = Hosts(ranks, arguments) if restarts else None
        self.plain_flags = ["-n", str(ranks), *placing, *arguments]
        self.before = self.program.newest_checkpoint() if restarts else None
        self.saved = -1  # the newest step that a sign of life told
        self.failed_at = None  # the newest checkpoint when the last start failed

    def run(self):
        generation = 0
        while True:
            start = Start(self.program, self.token, generation, self.restarts > 0)
            environment = {"BITSTILL_LAUNCH": f"{self.token}:{generation}"}
            flags = self.plain_flags
            if self.hosts:
                environment.update(self.hosts.environment())
                flags = self.hosts.flags(self.placing)
            code = start.run(flags, environment)
            if self.restarts == 0 or not may_start_again(start, code):
                return self.last_words(start, code, "")
            line = start.verdict(code)
            if start.life.saved >= 0:
                self.saved = start.life.saved
            newest = (self.saved, self.program.newest_checkpoint())
            if generation == self.restarts:
                return self.last_words(start, code, f"; {generation} restarts are used up")
            if newest == self.failed_at:
                return self.last_words(start, code, "; twice without a newer checkpoint, so not started again")
            self.failed_at = newest
            failure = time.monotonic()
            suspects = self.hosts.suspects(line, start.words)
            silent = self.hosts.settle(suspects, self.program, self.token, generation)
            if silent and not self.hosts.ranks:
                return self.last_words(start, code, "; no host answers any more (each needs python3)")
            generation += 1
            self.program.command = self.program.resumed(newest != (-1, self.before), self.token)
            put(2, f"restart {generation} of {self.restarts}: {line}; going on{self.hosts.going_on()}\n".encode())
            self.hosts.write_list(self.program.folder())
            if silent:  # by then their own watchdogs have ended what runs there
                rest_s = failure + self.program.timeout_s() + WATCHDOG_SLACK_S - time.monotonic()
                if stopped := signal.sigtimedwait(STOPS, max(rest_s, 0)):
                    put(2, f"stopped by {signal.Signals(stopped.si_signo).name} between two starts\n".encode())
                    return STOPPED

    def last_words(self, start, code, why):
        """The exit code of the launcher."""
        if code not in (0, STOPPED) and not start.words.spoken:
            put(2, f"error: {start.verdict(code)}{why}\n".encode())
        elif code == 0 and any(start.words.mpirun):  # a warning
            put(2, ("\n".join(start.words.mpirun) + "\n").encode())
        if code == 0 and start.output.failure is not None:
            code = start.output.code()
        return code


def main():
    restarts, ranks, _, *words = sys.argv[1:]
    first = words.index("--")
    second = words.index("--", first + 1)
    launcher = Launcher(int(restarts), int(ranks), words[:first], words[first + 1:second], words[second + 1:])
    code = launcher.run()
    if launcher.hosts and launcher.hosts.file:
        launcher.hosts.file.close()
    os._exit(code)  # not waiting for a reader whose pipe never ends


main()
