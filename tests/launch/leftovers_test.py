"""launch/leftovers.py removes the shared memory of ranks that are gone, and nothing else."""
import mmap
import os
import subprocess
import sys
import time
import unittest

LAUNCH = os.path.join(os.environ["SOURCE"], "launch")
sys.path.insert(0, LAUNCH)
import leftovers


class Segments(unittest.TestCase):
    def setUp(self):
        self.paths = {}
        for name in ("old", "new", "mapped"):
            path = f"/dev/shm/vader_segment.test{os.getpid()}.{name}"
            with open(path, "wb") as file:
                file.write(bytes(4096))
            self.paths[name] = path
            self.addCleanup(lambda path=path: os.path.exists(path) and os.unlink(path))
        for name in ("old", "mapped"):
            past = time.time() - 2 * leftovers.SEGMENT_AGE_S
            os.utime(self.paths[name], (past, past))

    def test_only_old_ones_that_nobody_uses(self):
        with open(self.paths["mapped"], "r+b") as file, mmap.mmap(file.fileno(), 0):
            subprocess.run([sys.executable, "-B", os.path.join(LAUNCH, "leftovers.py"), "no-such-token", "1"], check=True)
        left = {name for name, path in self.paths.items() if os.path.exists(path)}
        self.assertEqual(left, {"new", "mapped"})


if __name__ == "__main__":
    unittest.main()
