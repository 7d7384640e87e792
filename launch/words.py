"""What a start says: mpirun's own words, the ranks' lines, rank 0's signs of life, standard output."""
import json
import os
import re
import signal
import time

STORAGE = 7
RULE = b"-" * 74  # mpirun puts its own words between two such lines
NOISE = re.compile(rb"mpirun: |\[\S+:\d+\] (\[\[\S+\] (ORTE_ERROR_LOG|ACTIVATE)|\d+ more process"
                   rb"|Set MCA parameter|plm:rsh: Warning: setpgid)")
DEAD = re.compile(
    rb"ACTIVATE PROC \[\[\d+,(\d+)\],(\d+)\] STATE .*(ABORT|EXITED WITH|TERMINATED WITHOUT|FAIL)")
SIGN = b"\x1e"  # begins a sign of life (src/app/life_sign.hpp)
TAG = re.compile(rb"\[\d+,\d+\]<stderr>: *$")  # of mpirun --tag-output


def put(number, text):
    """Writes all of it, and goes on reading where nobody wants it: mpirun must not wait."""
    try:
        while text:
            text = text[os.write(number, text):]
    except OSError:
        pass


class Life:
    """The newest sign of life of one start."""

    def __init__(self, token, generation):
        self.token, self.generation = token, generation
        self.phase, self.host, self.stop = None, "?", "none"  # phase None: no sign yet
        self.step = 0
        self.started = False  # beyond "start" once; a study comes back there with every run
        self.saved, self.timeout_s = -1, None
        self.heard = time.monotonic()
        self.done_at = None

    def take(self, line):
        """False: it is none."""
        try:
            sign = json.loads(line)
            if (sign["token"], sign["generation"]) != (self.token, self.generation):
                return True  # of an earlier start
            self.phase, self.stop, self.step = sign["phase"], sign["stop"], int(sign.get("step", 0))
            self.saved, self.timeout_s = int(sign["saved"]), sign["timeout_s"]
            self.host = sign.get("host", "?")
        except (ValueError, TypeError, KeyError):
            return False
        self.heard = time.monotonic()
        self.started |= self.phase != "start"
        if self.stop == "done":
            self.done_at = self.done_at or self.heard
        return True


class Words:
    """What came over mpirun's stderr: the ranks' own lines are passed on as they come, whole lines
    or the pieces of a progress bar; mpirun's words are kept for the verdict. With `holds`, error
    lines are kept too: the job may go on after them."""

    def __init__(self, life, holds):
        self.life, self.holds = life, holds
        self.mpirun, self.errors = [], []
        self.first_dead = None  # a rank
        self.lost_daemon = None  # mpirun's own, by its number: 0 is mpirun itself
        self.ending_since = None  # a rank has died, or said why it will
        self.forwarded = False  # mpirun has passed a signal on, to ranks that may not have been there yet
        self.in_mpirun_block = False
        self.over = False  # the launcher has the last word
        self.spoken = False  # an error line has been passed on

    def read(self, pipe):
        rest = b""
        while chunk := os.read(pipe, 1 << 16):
            chunk, rest = self.without_signs(rest + chunk)
            pieces = re.findall(rb"[^\r\n]*[\r\n]|[^\r\n]+", chunk)
            put(2, b"".join(piece for piece in pieces if self.keep(piece)))

    def without_signs(self, text):
        """The text, and the beginning of a sign whose end has yet to come."""
        plain = b""
        while SIGN in text:
            before, _, text = text.partition(SIGN)
            plain += TAG.sub(b"", before)
            line, end, after = text.partition(b"\n")
            if not end:
                return plain, SIGN + line
            if not self.life.take(line):
                plain += line[line.find(b"error:"):] + end if b"error:" in line else b""
            text = after
        return plain + text, b""

    def keep(self, piece):
        line = piece.rstrip(b"\r\n").removeprefix(b"\033[K")  # over a bar that was drawn
        if line == RULE:
            self.in_mpirun_block = not self.in_mpirun_block
            return False
        if self.in_mpirun_block:
            self.mpirun.append(line.decode(errors="replace").strip())
            return False
        if line.startswith(b"error:"):
            self.ending_since = self.ending_since or time.monotonic()
            self.errors.append(line[len(b"error:"):].decode(errors="replace").strip())
            passes = not self.holds and not self.over
            self.spoken |= passes
            return passes
        if not NOISE.match(line):
            return True
        self.forwarded |= line.startswith(b"mpirun: Forwarding signal")
        if dead := DEAD.search(line):
            job, number = int(dead[1]), int(dead[2])
            if job == 0:  # the daemons'
                self.lost_daemon = number if self.lost_daemon is None else self.lost_daemon
            elif self.first_dead is None:
                self.first_dead = number
            self.ending_since = self.ending_since or time.monotonic()
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
        put(2, f"error: standard output is lost: {self.failure.strerror}\n".encode())
        return STORAGE
