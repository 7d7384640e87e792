#!/usr/bin/env python3
"""watch.py MPIRUN ARGUMENT...: runs mpirun, passes signals and its exit code on, and speaks when a
rank ended without an "error:" line. Used by run.sh."""
import os
import re
import signal
import subprocess
import sys
import threading

RULE = b"-" * 74  # mpirun puts its own words between two such lines
NOISE = re.compile(rb"mpirun: |\[[^\]]*\] (\[\[[0-9,]*\],[0-9]+\] ORTE_ERROR_LOG|[0-9]+ more process)")


class Words:
    """What came over mpirun's stderr: the ranks' own lines are passed on as they come, whole lines
    or the pieces of a progress bar; mpirun's words are kept for the verdict."""

    def __init__(self):
        self.mpirun = []
        self.error_seen = False
        self.in_mpirun_block = False

    def read(self, pipe):
        while chunk := os.read(pipe, 1 << 16):
            kept = [piece for piece in re.findall(rb"[^\r\n]*[\r\n]|[^\r\n]+", chunk) if self.keep(piece)]
            os.write(2, b"".join(kept))

    def keep(self, piece):
        line = piece.rstrip(b"\r\n")
        if line == RULE:
            self.in_mpirun_block = not self.in_mpirun_block
            return False
        if self.in_mpirun_block:
            self.mpirun.append(line.decode(errors="replace").strip())
            return False
        self.error_seen |= line.startswith(b"error:")
        return not NOISE.match(line)


def verdict(code, mpirun_words, forwarded):
    how = f"exit code {code}"
    if code - 128 in set(signal.Signals):
        how = f"killed by {signal.Signals(code - 128).name}"
    if forwarded:
        return f"stopped by {forwarded.name} ({how})"
    words = " ".join(word for word in mpirun_words if word)
    who = re.search(r"process (rank \d+) with PID \d+ on node (\S+)", words)
    who = who or re.search(r"Process name: \[\[\d+,\d+\],(\d+)\]", words)
    if not who and words and "job has been aborted" not in words:
        return f"mpirun ({how}): {words[:400]}"
    hint = "what it printed above may tell more"
    if code == 128 + signal.SIGKILL:
        hint = "by hand, or by the system for want of memory (dmesg tells)"
    name = "a rank"
    if who:
        name = " on host ".join(who.groups()) if len(who.groups()) == 2 else f"rank {who[1]}"
    return f"{name} ended without a word, {how}: {hint}"


def main():
    # A session of its own: Ctrl-C on the terminal reaches mpirun once, through forward().
    stdin = subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None
    job = subprocess.Popen(sys.argv[1:], stdin=stdin, stderr=subprocess.PIPE, start_new_session=True)
    ending = []

    def forward(number, _frame):
        if number != signal.SIGUSR1:
            ending.append(signal.Signals(number))
        job.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, forward)
    words = Words()
    reader = threading.Thread(target=words.read, args=(job.stderr.fileno(),), daemon=True)
    reader.start()
    code = job.wait()
    reader.join(timeout=2)  # a process that outlived mpirun may hold the pipe open
    code = code if code >= 0 else 128 - code
    if code != 0 and not words.error_seen:
        line = verdict(code, words.mpirun, ending[0] if ending else None)
        os.write(2, f"error: {line}\n".encode())
    elif code == 0 and any(words.mpirun):  # a warning
        os.write(2, ("\n".join(words.mpirun) + "\n").encode())
    os._exit(code)  # not waiting for a reader whose pipe never ends


if __name__ == "__main__":
    main()
