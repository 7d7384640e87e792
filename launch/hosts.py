"""The hosts of a job: which there are, how many ranks each has, and which of them still answer."""
import concurrent.futures
import os
import re
import subprocess
import tempfile

import leftovers
import start

LISTS = ("--host", "-host", "-H")
FILES = ("--hostfile", "-hostfile", "--machinefile", "-machinefile", "--default-hostfile")
PLACING = ("--map-by", "-map-by", "--bind-to", "-bind-to", "--rank-by", "-rank-by")
PROBE_S = 10.0
AT_ONCE = 16
# Behind a cable that is cut meanwhile a probe's daemon, which has no rank to end it, would wait for ever.
BOUNDED_DAEMONS = {"OMPI_MCA_orte_launch_agent": f"timeout {2 * PROBE_S:.0f} orted",
                   "OMPI_MCA_orte_leave_session_attached": "1"}
HERE = os.path.dirname(os.path.realpath(__file__))
NAMED = re.compile(r"rank \d+ on ([^\s,:]+)")


def short(name):
    """The same for a host's name with and without its domain; an address stays as it is."""
    return name if name.replace(".", "").isdigit() else name.partition(".")[0]


def from_list(text):
    """A:4,B,B -> {A: 4, B: 2}"""
    found = {}
    for entry in filter(None, text.split(",")):
        name, _, slots = entry.partition(":")
        found[name] = found.get(name, 0) + (int(slots) if slots.isdigit() else 1)
    return found


def from_file(path):
    """{host: slots}; slots 0 where the file leaves them to mpirun."""
    found = {}
    with open(path) as file:
        for line in file:
            words = line.partition("#")[0].split(None, 1)
            if words:
                slots = re.search(r"(?:^|\s)slots *= *(\d+)", words[1] if len(words) > 1 else "")
                found[words[0]] = found.get(words[0], 0) + (int(slots[1]) if slots else 0)
    return found


def from_slurm():
    """Of the allocation; none where there is none, or nobody to ask."""
    try:
        names = subprocess.run(["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]],
                               stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        tasks = os.environ["SLURM_TASKS_PER_NODE"].split(",")  # 4(x2),3
    except (KeyError, OSError, subprocess.CalledProcessError):
        return {}
    slots = []
    for part in tasks:
        count, _, times = part.rstrip(")").partition("(x")
        slots += [int(count)] * int(times or 1)
    return dict(zip(names, slots))


def ranks_of(slots, ranks):
    """How mpirun fills the slots, host by host; evenly where their number is open, or too small."""
    if 0 in slots.values() or sum(slots.values()) < ranks:
        each, more = divmod(ranks, len(slots))
        filled = {name: each + (i < more) for i, name in enumerate(slots)}
    else:
        filled = {}
        for name, count in slots.items():
            filled[name] = min(count, ranks - sum(filled.values()))
    return {name: count for name, count in filled.items() if count > 0}


class Hosts:
    """Of one launcher. `ranks` (host -> its ranks) is empty for a job of this machine alone."""

    def __init__(self, ranks, arguments):
        self.all_ranks, self.given = ranks, arguments
        self.ranks, self.lost, self.file, self.named = {}, [], None, set()
        self.arguments = []  # mpirun's, without those that name hosts
        slots, words = {}, iter(arguments)
        for word in words:
            if word in LISTS:
                slots = from_list(next(words, ""))
            elif word in FILES:
                slots = from_file(next(words, ""))
            else:
                self.arguments.append(word)
        slots = slots or from_slurm()
        own = short(os.uname().nodename)  # mpirun's own host comes first, wherever it was named
        slots = dict(sorted(slots.items(), key=lambda item: short(item[0]) != own))
        if slots:
            self.ranks = ranks_of(slots, ranks)

    def flags(self, placing):
        """Of mpirun, for the next start; the first one's are those that were given."""
        if not self.lost:
            return ["-n", str(self.all_ranks), *placing, *self.given]
        return ["-n", str(sum(self.ranks.values())), *placing, *self.arguments, "--hostfile", self.file.name]

    def environment(self):
        return {"BITSTILL_HOSTS_LOST": ",".join(self.lost)} if self.lost else {}

    def suspects(self, line, words):
        """The hosts that a failure names: by the ranks' words, else by the place of what has died."""
        said = {name for word in NAMED.findall(line) for name in self.ranks if short(name) == short(word)}
        if said:
            return said
        if words.first_dead is not None:
            places = [name for name, count in self.ranks.items() for _ in range(count)]
            return set(places[words.first_dead:words.first_dead + 1])
        if words.lost_daemon:
            others = [name for name in self.ranks if short(name) != short(os.uname().nodename)]
            return set(others[words.lost_daemon - 1:words.lost_daemon])
        return set()

    def settle(self, suspects, program, token, generation):
        """After a failed start: ends what is left of it and keeps the hosts that answer. The names of
        those that do not: nobody could look for leftovers there."""
        leftovers.kill(token, generation)
        if not self.ranks:
            return []
        names = list(self.ranks)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            swept = pool.map(lambda name: self.sweep(name, token, generation), names)
            silent = [name for name, answers in zip(names, swept) if not answers]
        kept = [name for name in names if name not in silent]
        twice = suspects & self.named & set(kept)
        if len(twice) < len(kept):
            kept = [name for name in kept if name not in twice]
        for suspect in [None, *sorted(suspects & set(kept))]:
            if suspect is not None and len(kept) > 1:
                kept.remove(suspect)
            if len(kept) <= 1 or self.joined(kept, program, token):
                break
        self.named = suspects
        self.keep(kept)
        return silent

    def sweep(self, name, token, generation):
        return self.probe([name], ["python3", "-B", os.path.join(HERE, "leftovers.py"), token, str(generation)], "")

    def joined(self, names, program, token):
        """Whether ranks of these hosts reach each other: a barrier of one rank a host."""
        if not program.is_bitstill:
            return True
        return self.probe(names, [program.command[0], "--version"], f"{token}-probe:0")

    def probe(self, names, command, launch):
        places, words = [], iter(self.arguments)
        for word in words:
            if word in PLACING:
                next(words, "")
            elif word != "--oversubscribe":
                places.append(word)
        job = start.spawn(
            ["mpirun", "-n", str(len(names)), "--map-by", "ppr:1:node", "--bind-to", "none", "--oversubscribe",
             "-x", "BITSTILL_LAUNCH", *places, "--host", ",".join(f"{name}:1" for name in names), *command],
            {"BITSTILL_LAUNCH": launch, **BOUNDED_DAEMONS}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        try:
            return job.wait(timeout=PROBE_S) == 0
        except subprocess.TimeoutExpired:
            start.end(job, 0, launch.partition(":")[0] or "none", 0)
            return False

    def keep(self, names):
        gone = [name for name in self.ranks if name not in names]
        self.lost += gone
        self.ranks = {name: self.ranks[name] for name in names}
        if gone:
            self.file = tempfile.NamedTemporaryFile("w", prefix="bitstill-hosts.")
            self.file.write(self.text())
            self.file.flush()

    def text(self):
        """A hostfile, which tells what was lost too."""
        lines = [f"{name} slots={count}" for name, count in self.ranks.items()]
        return "\n".join([*lines, *(f"# {name}: lost" for name in self.lost)]) + "\n"

    def going_on(self):
        if not self.ranks:
            return " from the newest checkpoint"
        hosts, ranks = len(self.ranks), sum(self.ranks.values())
        return (f" with {hosts} host{'s' * (hosts > 1)}, {ranks} rank{'s' * (ranks > 1)}, "
                "from the newest checkpoint")

    def write_list(self, folder):
        """Beside the run's log, for who reads it later."""
        if self.ranks and folder and os.path.exists(os.path.join(folder, "run.jsonl")):
            path = os.path.join(folder, "launch.hosts")
            try:
                with open(path + ".partial", "w") as file:
                    file.write(self.text())
                os.replace(path + ".partial", path)
            except OSError:
                pass  # the run itself will say that the folder cannot be written
