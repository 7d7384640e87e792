"""Peer of bench V3: ResNet-34 at 224 pixels in eager PyTorch, bf16, channels-last, on one thread.

    OMP_NUM_THREADS=1 python3 infer_residual.py --batch 16

Prints {"images_per_cpu_s": ..}.
"""
import argparse
import json
import os
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "infer"))
from residual_nets import ResNet  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--batches", type=int, default=4)
arguments = parser.parse_args()
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
network = ResNet(34, 1, False, 1000).eval().to(torch.bfloat16, memory_format=torch.channels_last)
x = torch.randn(arguments.batch, 3, 224, 224).to(torch.bfloat16, memory_format=torch.channels_last)
with torch.inference_mode():
    network(x)
    start = time.process_time()
    for _ in range(arguments.batches):
        network(x)
    seconds = time.process_time() - start
print(json.dumps({"torch": torch.__version__, "batch": arguments.batch,
                  "images_per_cpu_s": arguments.batch * arguments.batches / seconds}))
