"""One start of the job: mpirun from its beginning to its end, which never takes for ever."""
import os
import signal
import subprocess
import sys
import threading
import time

import leftovers
from words import Life, Output, Words

PEER = 5
STOPPED = 75  # in good order, by a signal: what the next start needs is on disk
STOPS = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP}
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    STOPS.remove(signal.SIGHUP)  # nohup
# mpirun answers these by killing the ranks one second later. Blocked, they wait where pending() sees
# them; in the ranks Open MPI unblocks them again.
BLOCKED = {signal.SIGINT, signal.SIGTERM}
COPIES_WITHIN_S = 2.0  # signals to launcher, mpirun and ranks at once are one request
REPEAT_S = 1.0
# mpirun's notice of who died first is lost now and then; its state machine's log is not.
STATES = ["--mca", "state_base_verbose", "1"]
# After a rank's death it ends the others within 5 s, or waits for a host that no longer answers, for ever.
ENDING_S = 7.0
SIGN_SLACK_S = 2.0  # by which the ranks' own watchdogs, which know more, speak first


def spawn(command, environment, **streams):
    """In a session of its own: Ctrl-C on the terminal reaches the launcher alone."""
    return subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True,
                            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, BLOCKED), **streams)


def end(job, gently_s, token, generation):
    """Ends mpirun, by itself within gently_s, and what it has started on this host."""
    try:
        if gently_s > 0:
            job.send_signal(signal.SIGHUP)  # as SIGTERM, but not blocked
        job.wait(timeout=gently_s)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    leftovers.kill(token, generation)


def pending(pid):
    """Of BLOCKED, a signal that waits in front of a process."""
    try:
        with open(f"/proc/{pid}/status") as file:
            masks = [int(line.split()[1], 16) for line in file if line.startswith(("SigPnd", "ShdPnd"))]
    except (OSError, ValueError):
        return None
    return next((number for number in BLOCKED if any(mask >> (number - 1) & 1 for mask in masks)), None)


class Start:
    def __init__(self, program, token, generation, holds_errors):
        self.program, self.token, self.generation = program, token, generation
        self.life = Life(token, generation)
        self.words, self.output = Words(self.life, holds_errors), Output()
        self.job = None
        self.began = time.monotonic()
        self.asked = None  # the first signal
        self.asked_at = self.passed_at = 0.0
        self.line = None   # the launcher's own verdict

    def run(self, flags, environment):
        """The exit code."""
        names = [word for name in environment for word in ("-x", name)]
        stdin = subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None
        self.job = spawn(["mpirun", *STATES, *names, *flags, *self.program.command], environment,
                         stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        readers = [threading.Thread(target=target.read, args=(pipe.fileno(),), daemon=True)
                   for target, pipe in ((self.words, self.job.stderr), (self.output, self.job.stdout))]
        for reader in readers:
            reader.start()
        code = self.wait()
        for reader in readers:
            reader.join(timeout=2)  # a process that outlived mpirun may hold the pipe open
        return self.settled(code)

    def wait(self):
        while True:
            came = signal.sigtimedwait(STOPS | {signal.SIGCHLD}, 0.2)
            number = came.si_signo if came and came.si_signo in STOPS else None
            code = self.job.poll()
            if code is not None:
                return code if code >= 0 else 128 - code
            code = self.hear(number) or self.pass_on() or self.overdue()
            if code:
                return code

    def lives(self):
        """Whether there are, or will be, signs of life: of bitstill, also in a container."""
        return self.program.is_bitstill or self.life.phase is not None

    def hear(self, number):
        """The first signal asks the ranks to stop; a later one ends them (its code), copies do not."""
        if self.asked is None:
            number = number or pending(self.job.pid) or (signal.SIGUSR1 if self.words.forwarded else None)
            if number:
                self.asked, self.asked_at = signal.Signals(number), time.monotonic()
        elif number and time.monotonic() - self.asked_at >= COPIES_WITHIN_S:
            self.asked = signal.Signals(number)
            end(self.job, ENDING_S, self.token, self.generation)
            return 128 + number
        return None

    def pass_on(self):
        """SIGUSR1, which mpirun hands on, until rank 0 says that it came."""
        if self.asked is None or self.life.stop != "none":
            return None
        if self.lives() and self.life.phase is None:  # before it can hear
            end(self.job, ENDING_S, self.token, self.generation)
            return STOPPED
        now = time.monotonic()
        if self.passed_at == 0 or (self.lives() and now - self.passed_at >= REPEAT_S):
            self.job.send_signal(signal.SIGUSR1)
            self.passed_at = now
        return None

    def overdue(self):
        """Where mpirun or the ranks would wait for ever: ends them; the code."""
        now, life = time.monotonic(), self.life
        since, gently_s = self.words.ending_since, 0.0
        since = life.done_at or since
        dead = self.words.first_dead is not None or self.words.lost_daemon is not None
        if since is not None and (self.lives() or dead):
            if now - since <= ENDING_S:
                return None
        elif not self.lives():
            return None
        else:
            self.line, gently_s = self.silence(now), 3.0 if life.started else 1.0  # nothing is done yet
            if self.line is None:
                return None
            self.words.over = True
        end(self.job, gently_s, self.token, self.generation)
        return PEER

    def silence(self, now):
        life, within_s = self.life, self.program.start_within_s()
        if not life.started:
            if within_s == 0 or now - self.began <= within_s:
                return None
            return (f"the ranks have not started within {within_s:.0f} s (a rank is stopped, or a host does not "
                    "answer); with a longer run.timeout_s they get more time")
        if not life.timeout_s or now - life.heard <= life.timeout_s + SIGN_SLACK_S:
            return None
        return f"no sign of life for {life.timeout_s:.1f} s: rank 0 on {life.host} does not answer"

    def settled(self, code):
        if self.life.stop == "done":
            return STOPPED
        killed = code - 128 in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
        if killed and self.lives() and not self.life.started:
            return STOPPED  # before there was anything to lose
        return code

    def verdict(self, code):
        """What a person is to read of a failure, without "error: "; the ranks' own words go first."""
        if self.words.errors:
            return self.words.errors[0]
        how = f"exit code {code}"
        if code - 128 in set(signal.Signals):
            how = f"killed by {signal.Signals(code - 128).name}"
        if self.asked:
            return f"stopped by {self.asked.name} ({how})"
        if self.line:
            return self.line
        if self.words.first_dead is None and self.words.lost_daemon is not None:
            return f"mpirun has lost its daemon number {self.words.lost_daemon}, on one of the hosts ({how})"
        if self.words.first_dead is None:
            said = " ".join(word for word in self.words.mpirun if word)
            return f"mpirun ended with {how}: {said[:400] or 'without a word'}"
        hint = "what it printed above may tell more"
        if code == 128 + signal.SIGKILL:
            hint = "by hand, or by the system for want of memory (dmesg tells)"
        where = ""
        if self.words.first_dead != 0 and self.life.started:
            where = f" (when rank 0 last told, it was in {self.life.phase} of step {self.life.step})"
        return f"rank {self.words.first_dead} ended without a word, {how}{where}: {hint}"
