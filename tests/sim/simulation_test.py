"""bitstill scaling simulate against its formula and against what a plan says must be sent."""
import json
import os
import shutil
import subprocess
import sys
import unittest

BITSTILL, WORK = os.environ["BITSTILL"], os.environ["WORK"]
PROFILE = os.path.join(WORK, "profile.json")


def profile(floats=4096, layers=7, group=0, **more):
    """A step of layers alike, some of whose chunks leave under the backward pass. Whole shares for 16 ranks: a
    ring sends what is left over by itself."""
    units = [{"name": f"unit {i}", "forward_s": 0.001, "backward_s": 0.002, "gradients": [[i * floats, floats]]}
             for i in range(layers)]
    slices = {"window_bytes": 40000 * group,
              "pieces": [{"slice_bytes": size, "seconds": 0.001} for size in (10000, 3000, 20000)]}
    return {"format": 1, "made_by": {}, "elements": floats * layers, "sums": 16, "chunk_bytes": 16384,
            "micro_batches": 1, "fixed": False, "overlap": True, "begin_s": 0.0005, "pass_s": 0.003, "update_s": 0.0002,
            "group": group, "slices": slices if group else None, "units": units} | more


def bitstill(*words):
    return subprocess.run([BITSTILL, "scaling", "simulate", "--scaling.folder", os.path.join(WORK, "out"), *words],
                          capture_output=True, text=True)


def simulate(what, *words):
    with open(PROFILE, "w") as file:
        json.dump(what, file)
    done = bitstill("--scaling.profile", PROFILE, *words)
    if done.returncode != 0:
        raise AssertionError(f"exit code {done.returncode}: {done.stderr}")
    with open(os.path.join(WORK, "out", "simulated.jsonl")) as file:
        return [json.loads(line) for line in file]


class Simulation(unittest.TestCase):
    def near_formula(self, points, share):
        for point in points:
            formula = point["formula"]["step_s"]
            self.assertLess(abs(point["step_s"] - formula), share * formula, point)
            self.assertAlmostEqual(point["efficiency"], point["compute_s"] / point["step_s"])

    def test_sums_take_what_the_formula_says(self):
        for algorithm in "ring", "halving":
            for gbit in "100", "2", "0.2":  # hidden; some chunks wait; the step waits for its sums
                points = simulate(profile(floats=1 << 16), "--scaling.nodes", "1,2,4,16", "--scaling.algorithm",
                                  algorithm, "--scaling.gbit", gbit, "--scaling.chunk_bytes", str(1 << 18),
                                  "--scaling.fraction", "1")
                self.near_formula(points, 0.01)
        self.assertGreater(points[-1]["step_s"], 2 * points[0]["step_s"])

    def test_without_overlap_every_message_is_waited_for(self):
        for group in 0, 4:
            apart = simulate(profile(floats=1 << 16, group=group, overlap=False), "--scaling.nodes", "4,16",
                             "--scaling.gbit", "2", "--scaling.fraction", "1")
            under = simulate(profile(floats=1 << 16, group=group), "--scaling.nodes", "4,16", "--scaling.gbit", "2",
                             "--scaling.fraction", "1")
            self.near_formula(apart, 0.01)
            for a, u in zip(apart, under):
                self.assertEqual(a["sent"], u["sent"])
                self.assertGreater(a["step_s"], u["step_s"])

    def test_a_fraction_of_the_bytes_takes_as_long(self):
        whole, parts = (simulate(profile(floats=1 << 18), "--scaling.nodes", "4", "--scaling.gbit", "2",
                                 "--scaling.fraction", fraction) for fraction in ("1", "16"))
        self.assertLess(abs(whole[0]["step_s"] / parts[0]["step_s"] - 1), 0.01)
        self.assertEqual(whole[0]["sent"], parts[0]["sent"])

    def test_gathers_take_what_the_formula_says(self):
        for gbit in "10", "0.5":
            points = simulate(profile(group=4), "--scaling.nodes", "4,16", "--scaling.gbit", gbit)
            self.near_formula(points, 0.05)

    def test_every_worker_sends_what_its_plan_has(self):
        for fixed, group in (False, 0), (False, 2), (True, 2):
            what = profile(group=group, fixed=fixed, micro_batches=4 if fixed else 1)
            for point in simulate(what, "--scaling.nodes", "2,4", "--scaling.fraction", "1"):
                sent, ranks = point["sent"], point["ranks"]
                message = 4 * (what["elements"] + what["sums"])
                # In the fixed order a tree adds ranks up two by two, and its root tells all.
                times = ranks - 1 + 1 if fixed else ranks
                self.assertEqual(sent["gradients"]["bytes"], times * message, point)
                pieces = sum(piece["slice_bytes"] for piece in what["slices"]["pieces"]) if group else 0
                self.assertEqual(sent["gathers"]["bytes"], ranks * pieces, point)

    def test_every_topology_runs(self):
        flat = simulate(profile(), "--scaling.nodes", "128")[0]["step_s"]
        for topology in "fat_tree", "oversubscribed", "torus", "dragonfly":
            point = simulate(profile(), "--scaling.nodes", "128", "--scaling.topology", topology)[0]
            self.assertGreaterEqual(point["step_s"], 0.999 * flat, topology)

    def test_says_what_is_wrong_in_one_line(self):
        with open(PROFILE, "w") as file:
            json.dump(profile(group=4), file)
        for words, said in ((("--scaling.nodes", "4,2"), "above the one before"),
                            (("--scaling.nodes", "6"), "groups of 4"),
                            (("--scaling.topology", "fat_tre"), "fat_tree"),
                            (("--scaling.nodes", "24", "--scaling.topology", "fat_tree"), "multiple of 16"),
                            (("--scaling.profile", "/no/such"), "/no/such")):
            done = bitstill("--scaling.profile", PROFILE, *words) if said != "/no/such" else bitstill(*words)
            self.assertEqual(done.returncode, 2, done.stderr)
            lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
            self.assertEqual(len(lines), 1, done.stderr)
            self.assertIn(said, lines[0])


if __name__ == "__main__":
    simulator = os.path.join(os.path.dirname(BITSTILL), "scale_sim")
    if not os.path.exists(simulator) or not shutil.which("smpirun"):
        print("SKIP: no SimGrid here (launch/setup.sh --tests)")
        sys.exit(77)
    unittest.main()
