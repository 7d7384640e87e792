#!/usr/bin/env python3
"""peak_memory.py FILE COMMAND...: runs it; its greatest resident size in MB goes to FILE.RANK."""
import os
import resource
import subprocess
import sys

code = subprocess.call(sys.argv[2:])
with open(f"{sys.argv[1]}.{os.environ.get('OMPI_COMM_WORLD_RANK', 0)}", "w") as file:
    file.write(f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000:.0f}\n")
sys.exit(code)
