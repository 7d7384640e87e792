#!/usr/bin/env python3
"""leftovers.py TOKEN GENERATION: kills what is left on this host of the starts up to GENERATION of the
launch/run.sh whose token this is, and waits until it is gone. Processes are known by their
environment (BITSTILL_LAUNCH) and by this process's network namespace, never by a name. Also removes the
memory that ranks which were killed had shared: it would pile up, start after start."""
import glob
import os
import signal
import sys
import time

GONE_WITHIN_S = 5.0
SEGMENTS = "/dev/shm/vader_segment.*"  # Open MPI's
SEGMENT_AGE_S = 30.0  # all ranks of a host have opened it by then


def namespace(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


def launch_of(pid):
    """(token, generation) of a process; (None, -1) where it has none or has ended."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        for variable in file.read().split(b"\0"):
            name, _, value = variable.partition(b"=")
            token, colon, generation = value.decode(errors="replace").partition(":")
            if name == b"BITSTILL_LAUNCH" and colon and generation.isdigit():
                return token, int(generation)
    return None, -1


def find(token, generation):
    here, found = namespace("self"), []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            theirs, number = launch_of(pid)
            if theirs == token and number <= generation and namespace(pid) == here and pid != os.getpid():
                found.append(pid)
        except OSError:
            continue  # ended meanwhile, or another user's
    return found


def remove_segments():
    """Those of this user that no process uses."""
    old = time.time() - SEGMENT_AGE_S
    for path in set(glob.glob(SEGMENTS)) - mapped_files():
        try:
            facts = os.stat(path)
            if facts.st_uid == os.getuid() and facts.st_mtime < old:
                os.unlink(path)
        except OSError:
            continue  # removed meanwhile


def mapped_files():
    """Paths that processes of this user have in their memory."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/maps") as file:
                found.update(line.split(None, 5)[5].rstrip("\n") for line in file if " /" in line)
        except OSError:
            continue  # ended meanwhile, or another user's
    return found


def kill(token, generation):
    """True: none is left."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while left := find(token, generation):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass  # ended meanwhile
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    remove_segments()
    return True


if __name__ == "__main__":
    sys.exit(0 if kill(sys.argv[1], int(sys.argv[2])) else 1)
