"""What the launcher needs to know of a program's words: settings of its command line and recipe."""
import os

DEFAULT_TIMEOUT_S = 600.0
SHORT_S = 50.0  # a time-out that was given to see faults soon
START_SLACK_S = 7.0
RESUMABLE = ("train", "distill", "cache")


def option(words, name):
    """The last value of --name VALUE or --name=VALUE; None where there is none."""
    value = None
    for i, word in enumerate(words):
        if word.startswith(f"--{name}="):
            value = word.partition("=")[2]
        elif word == f"--{name}" and i + 1 < len(words):
            value = words[i + 1]
    return value


def in_recipe(path, section, key):
    """None where the recipe cannot be read: the program itself will say why."""
    value, here = None, ""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                line = line.strip()
                if line.startswith("["):
                    here = line[1:].partition("]")[0].strip()
                elif here == section and line.partition("=")[0].strip() == key:
                    value = line.partition("=")[2].partition(" #")[0].strip().strip('"')
    except OSError:
        pass
    return value


class Program:
    """PROGRAM COMMAND WORD..., of bitstill or any other."""

    def __init__(self, command):
        self.command = command
        self.words = command[1:]
        # Only bitstill gives signs of life and can be resumed.
        self.is_bitstill = os.path.basename(command[0]) == "bitstill"
        self.name = self.words[0] if self.words else ""

    def setting(self, name):
        value = option(self.words, name)
        recipe = option(self.words, "config")
        if recipe is None and len(self.words) > 1 and not self.words[1].startswith("--"):
            recipe = self.words[1]  # of a study
        if value is None and recipe is not None:
            section, _, key = name.rpartition(".")
            value = in_recipe(recipe, section, key)
        return value

    def timeout_s(self):
        """run.timeout_s; 0: nothing is watched."""
        try:
            return max(float(self.setting("run.timeout_s") or DEFAULT_TIMEOUT_S), 0.0)
        except ValueError:
            return DEFAULT_TIMEOUT_S

    def start_within_s(self):
        """By when all ranks have to have started; 0: no matter when."""
        timeout_s = self.timeout_s()
        return timeout_s + START_SLACK_S if 0 < timeout_s <= SHORT_S else 10 * timeout_s

    def folder(self):
        """Where what it writes lies, and its lock."""
        name = {"cache": "out", "study": "study.folder"}.get(self.name, "run.folder")
        return self.setting(name) or "runs/run"

    def newest_checkpoint(self):
        """Changes with every checkpoint in the folder (of any run of a study, any part of a cache);
        None: there is none."""
        newest = None
        for place, _, files in os.walk(self.folder()):
            for name in files if self.name == "cache" or "checkpoints" in place.split(os.sep) else []:
                try:
                    when = os.stat(os.path.join(place, name)).st_mtime_ns
                except OSError:
                    continue  # replaced meanwhile
                if ".partial." not in name:
                    newest = max(newest or (0, ""), (when, name))
        return newest

    def holds_lock(self, token):
        """Whether the run folder was claimed by a start of this launcher."""
        try:
            with open(os.path.join(self.folder(), "run.lock"), "rb") as file:
                return f'"launch":"{token}"'.encode() in file.read()
        except OSError:
            return False

    def resumed(self, trained, token):
        """The command of the next start. What was there before this launcher began is not resumed
        in place of the run that was asked for."""
        replaces = any(word.startswith("--overwrite") for word in self.words)
        ours = trained or (not replaces and self.holds_lock(token))
        if not self.is_bitstill or self.name not in RESUMABLE or not ours:
            return self.command
        return [*self.command, "--overwrite=false", "--resume=auto"]  # the last word wins
