#!/usr/bin/env python3
"""struck_job.py RANKS DEED SETTING...: starts launch/run.sh -n RANKS bitstill SETTING..., waits until
it trains (an epoch is done, a checkpoint on disk, and the next has begun), or, where the first deed is
at:SECONDS, for so long after run.sh can hear at all, does DEED, and prints one line about the end:

  code=5 seconds=6.1 left=0 epochs=2

code: of launch/run.sh; seconds: from the deed to its end; left: processes of the job that outlived it
by 2 s (then killed); epochs: whole ones in run.jsonl. What the job printed goes to $WORK/out and
$WORK/err. DEED, several joined by a comma:
  SIGNAL:RANK   to that rank     SIGNAL:all   to mpirun, launch/run.sh and every rank
  SIGNAL:ranks  to every rank    SIGNAL:mpirun   to mpirun
  SIGNAL:run    to launch/run.sh     wait:SECONDS     flip:FILE   changes every byte of a file's 2nd half
  alive         the job has to run still"""
import glob
import os
import shutil
import signal
import subprocess
import sys
import time

WORK = os.environ["WORK"]
START_S = 60.0  # of a job on a busy machine
END_S = 60.0


def processes(folder):
    """pid -> rank, "mpirun" or "run" (launch/run.sh) of the processes that name `folder`."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = dict(v.split(b"=", 1) for v in file.read().split(b"\0") if b"=" in v)
        except OSError:
            continue  # ended meanwhile
        if folder.encode() not in words or int(pid) == os.getpid():
            continue
        program = os.path.basename(words[0]) == os.path.basename(os.environ["BITSTILL"]).encode()
        rank = environment.get(b"OMPI_COMM_WORLD_RANK") if program else None
        other = "mpirun" if os.path.basename(words[0]) == b"mpirun" else "run"
        found[int(pid)] = other if rank is None else int(rank)
    return found


def send(pid, number):
    """Whether the process was there to get the signal."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False  # ended meanwhile


def in_mid_epoch(log, folder):
    """Whether an epoch is done, a checkpoint on disk, and the next epoch has begun."""
    if not os.path.exists(log) or not glob.glob(f"{glob.escape(folder)}/checkpoints/step-?????????"):
        return False
    with open(log) as file:
        _, epoch, rest = file.read().rpartition('"type":"epoch"')
    return epoch != "" and '"type":"step"' in rest and '"type":"end"' not in rest


def stopped(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "TZ"
    except OSError:
        return True  # ended


def hold(ranks):
    for pid in ranks:
        send(pid, signal.SIGSTOP)
    while not all(map(stopped, ranks)):
        time.sleep(0.001)


def wait_for_training(log, folder, job):
    """Leaves the ranks held (stopped), so that a fast job cannot end before its deed; their pids.
    None: it has ended before it was seen to train."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and job.poll() is None:
        if in_mid_epoch(log, folder):
            ranks = [pid for pid, rank in processes(folder).items() if isinstance(rank, int)]
            hold(ranks)
            if ranks and in_mid_epoch(log, folder):  # still: on a busy machine seconds have passed
                return ranks
            for pid in ranks:
                send(pid, signal.SIGCONT)
        time.sleep(0.005)
    if job.poll() == 0:
        return None
    job.kill()
    with open(f"{WORK}/err") as file:
        sys.exit(f"the job did not come to train: {file.read()}")


def release(deed, ranks, folder):
    """Held ranks go on, once a signal to launch/run.sh has come through to them."""
    kind, _, argument = deed.partition(":")
    deadline = time.monotonic() + 2
    while argument == "run" and not any(pending(pid) for pid in ranks) and time.monotonic() < deadline:
        time.sleep(0.005)
    numbers = processes(folder)
    for pid in ranks:
        stays = kind == "STOP" and argument in ("all", str(numbers.get(pid)))
        if pid in numbers and not stays:
            send(pid, signal.SIGCONT)


def hears(pid):
    """Whether a process catches or blocks SIGTERM."""
    with open(f"/proc/{pid}/status") as file:
        return any(line.startswith(("SigCgt", "SigBlk")) and int(line.split()[1], 16) >> 14 & 1 for line in file)


def pending(pid):
    try:
        with open(f"/proc/{pid}/status") as file:
            return any(line.startswith(("ShdPnd", "SigPnd")) and int(line.split()[1], 16)
                       for line in file)
    except OSError:
        return True  # ended


def flip(path):
    with open(path, "r+b") as file:
        size = file.seek(0, 2)
        file.seek(size // 2)
        rest = file.read()
        file.seek(size // 2)
        file.write(bytes(byte ^ 255 for byte in rest))


def strike(folder, kind, target):
    """How many processes were there to be hit."""
    hit = 0
    for pid, rank in sorted(processes(folder).items(), key=lambda item: str(item[1])):
        if target in ("all", str(rank)) or (target == "ranks" and isinstance(rank, int)):
            hit += send(pid, signal.Signals["SIG" + kind])
    return hit


def do(deed, job, folder):
    kind, _, argument = deed.partition(":")
    if kind == "wait":
        time.sleep(float(argument))
    elif kind == "alive":
        if job.poll() is not None:
            sys.exit("the job has ended too early")
    elif kind == "flip":
        flip(argument)
    elif argument == "run":
        job.send_signal(signal.Signals["SIG" + kind])
    else:
        deadline = time.monotonic() + START_S
        while not strike(folder, kind, argument) and time.monotonic() < deadline:
            time.sleep(0.005)  # they have yet to be started


def leftovers(folder):
    deadline = time.monotonic() + 2
    while (left := processes(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        send(pid, signal.SIGKILL)
    return len(left)


def struck(tries):
    ranks, deeds, settings = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
    folder = settings[settings.index("--run.folder") + 1]
    with open(f"{WORK}/out", "w") as out, open(f"{WORK}/err", "w") as err:
        job = subprocess.Popen(
            [os.path.join(os.environ["SOURCE"], "launch/run.sh"), "-n", ranks,
             os.environ["BITSTILL"], *settings],
            stdout=out, stderr=err)
    try:
        if deeds[0].startswith("at:"):
            while job.poll() is None and not hears(job.pid):
                time.sleep(0.001)  # its shell is still being started
            start = time.monotonic()
            time.sleep(float(deeds[0][3:]))
        else:
            held = wait_for_training(f"{folder}/run.jsonl", folder, job)
            if held is None and tries > 1:
                shutil.rmtree(folder)
                return struck(tries - 1)
            if held is None:
                sys.exit("the job has ended before it was seen to train")
            start = time.monotonic()
            do(deeds[0], job, folder)
            release(deeds[0], held, folder)
        for deed in deeds[1:]:
            do(deed, job, folder)
        code = job.wait(timeout=END_S)
        seconds = time.monotonic() - start
    finally:
        if job.poll() is None:
            job.kill()
        left = leftovers(folder)
    epochs = 0
    if os.path.exists(f"{folder}/run.jsonl"):
        with open(f"{folder}/run.jsonl") as file:
            epochs = file.read().count('"type":"epoch"')
    print(f"code={code if code >= 0 else 128 - code} seconds={seconds:.1f} left={left} epochs={epochs}")


struck(tries=4)
