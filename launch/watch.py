#!/usr/bin/env python3
"""watch.py MPIRUN ARGUMENT...: runs mpirun, passes signals and its exit code on, and speaks when a
rank ended without an "error:" line. Used by run.sh."""
import os
import re
import signal
import subprocess
import sys
import threading
import time

PEER, STORAGE = 5, 7
STOPPED = 75  # in good order, by a signal; the ranks have said so
RULE = b"-" * 74  # mpirun puts its own words between two such lines
NOISE = re.compile(rb"mpirun: |\[\S+:\d+\] (\[\[\S+\] (ORTE_ERROR_LOG|ACTIVATE)|\d+ more process)")
# mpirun's notice of who died first is lost now and then; its state machine's log is not.
STATES = ["--mca", "state_base_verbose", "1"]
# After a rank's death it ends the others within 5 s, or waits for a host that no longer answers, for ever.
ENDING_S = 7
DEAD = re.compile(
    rb"ACTIVATE PROC \[\[\d+,\d+\],(\d+)\] STATE .*(ABORT|EXITED WITH|TERMINATED WITHOUT|FAIL)")


def put(number, text):
    """Writes all of it, and goes on reading where nobody wants it: mpirun must not wait."""
    try:
        while text:
            text = text[os.write(number, text):]
    except OSError:
        pass


class Words:
    """What came over mpirun's stderr: the ranks' own lines are passed on as they come, whole lines
    or the pieces of a progress bar; mpirun's words are kept for the verdict."""

    def __init__(self):
        self.mpirun = []
        self.error_seen = False
        self.first_dead = None
        self.dead_since = None
        self.in_mpirun_block = False

    def read(self, pipe):
        while chunk := os.read(pipe, 1 << 16):
            kept = [piece for piece in re.findall(rb"[^\r\n]*[\r\n]|[^\r\n]+", chunk) if self.keep(piece)]
            put(2, b"".join(kept))

    def keep(self, piece):
        line = piece.rstrip(b"\r\n")
        if line == RULE:
            self.in_mpirun_block = not self.in_mpirun_block
            return False
        if self.in_mpirun_block:
            self.mpirun.append(line.decode(errors="replace").strip())
            return False
        self.error_seen |= line.startswith(b"error:")
        if not NOISE.match(line):
            return True
        if (dead := DEAD.search(line)) and self.first_dead is None:
            self.first_dead = f"rank {int(dead[1])}"
            self.dead_since = time.monotonic()
        return False


class Output:
    """What came over mpirun's stdout, passed on: mpirun itself would not tell that it is lost."""

    def __init__(self):
        self.failure = None

    def read(self, pipe):
        while chunk := os.read(pipe, 1 << 16):
            while chunk and self.failure is None:
                try:
                    chunk = chunk[os.write(1, chunk):]
                except OSError as failure:
                    self.failure = failure

    def code(self):
        if isinstance(self.failure, BrokenPipeError):
            return 128 + signal.SIGPIPE  # nobody wanted the rest
        os.write(2, f"error: standard output is lost: {self.failure.strerror}\n".encode())
        return STORAGE


def wait(job, words):
    """mpirun's exit code. Where it waits for ever, it is killed, with what it has started here."""
    while True:
        try:
            code = job.wait(timeout=0.2)
            return code if code >= 0 else 128 - code
        except subprocess.TimeoutExpired:
            if words.dead_since is not None and time.monotonic() - words.dead_since > ENDING_S:
                os.killpg(job.pid, signal.SIGKILL)  # its session is its own
                job.wait()
                return PEER


def verdict(code, words, ending):
    how = f"exit code {code}"
    if code - 128 in set(signal.Signals):
        how = f"killed by {signal.Signals(code - 128).name}"
    if ending:
        return f"stopped by {ending.name} ({how})"
    if words.first_dead is None:
        said = " ".join(word for word in words.mpirun if word)
        return f"mpirun ended with {how}: {said[:400] or 'without a word'}"
    hint = "what it printed above may tell more"
    if code == 128 + signal.SIGKILL:
        hint = "by hand, or by the system for want of memory (dmesg tells)"
    return f"{words.first_dead} ended without a word, {how}: {hint}"


def main():
    # A session of its own: Ctrl-C on the terminal reaches mpirun once, through forward().
    stdin = subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None
    command = [sys.argv[1], *STATES, *sys.argv[2:]]
    job = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           start_new_session=True)
    ending = []

    def forward(number, _frame):
        # mpirun answers SIGTERM and SIGINT by killing the ranks one second later; SIGUSR1 it hands on
        # and waits. So the first signal asks the ranks to stop, the second one ends them.
        first = not ending
        ending.append(signal.Signals(number))
        job.send_signal(signal.SIGUSR1 if first else number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, forward)
    words, output = Words(), Output()
    readers = [threading.Thread(target=target.read, args=(pipe.fileno(),), daemon=True)
               for target, pipe in ((words, job.stderr), (output, job.stdout))]
    for reader in readers:
        reader.start()
    code = wait(job, words)
    for reader in readers:
        reader.join(timeout=2)  # a process that outlived mpirun may hold the pipe open
    if code not in (0, STOPPED) and not words.error_seen:
        line = verdict(code, words, ending[0] if ending else None)
        os.write(2, f"error: {line}\n".encode())
    elif code == 0 and any(words.mpirun):  # a warning
        os.write(2, ("\n".join(words.mpirun) + "\n").encode())
    if code == 0 and output.failure is not None:
        code = output.code()
    os._exit(code)  # not waiting for a reader whose pipe never ends


if __name__ == "__main__":
    main()
