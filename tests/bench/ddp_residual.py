"""Peer of bench V2: quantized distillation of residual networks by DistributedDataParallel over gloo.

One process a rank, started by torchrun; random images, so only speed is measured.

    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 ddp_residual.py --student resnet18 --sweep

The student decides the teacher and the size of images: resnet18 is taught by a ResNet-34 at 64 pixels, wrn-16-2 by a
WRN-40-2 at 32. A JSON line a configuration on rank 0; --sweep: in bf16, channels-last or not, compiled or not.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "infer"))
from residual_nets import ResNet, WideResNet  # noqa: E402

CLASSES = 10
PUPILS = {  # student: its network, its teacher's, pixels
    "resnet18": (lambda: ResNet(18, 1, False, CLASSES), lambda: ResNet(34, 1, False, CLASSES), 64),
    "wrn-16-2": (lambda: WideResNet(16, 2, CLASSES), lambda: WideResNet(40, 2, CLASSES), 32),
}
TEMPERATURE, SOFT_WEIGHT = 2.0, 0.7


def quantized(tensor, bits, bucket):
    """The nearest of 2^bits points that divide each bucket's range evenly."""
    flat = tensor.reshape(-1)
    count = flat.numel()
    size = min(bucket, count)
    flat = torch.cat([flat, flat[-1:].expand(-count % size)])
    rows = flat.view(-1, size)
    least = rows.amin(1, keepdim=True)
    step = (rows.amax(1, keepdim=True) - least).clamp_min(1e-10) / (2**bits - 1)
    return (((rows - least) / step).round() * step + least).view(-1)[:count].view_as(tensor)


def all_quantized(tensors, bits, bucket):
    return [quantized(tensor, bits, bucket) for tensor in tensors]


class Step:
    def __init__(self, arguments, configuration):
        torch.manual_seed(0)
        torch._dynamo.reset()
        make_student, make_teacher, pixels = PUPILS[arguments.student]
        self.arguments, self.bf16 = arguments, configuration["bf16"]
        student, teacher = make_student(), make_teacher().eval()
        self.x = torch.randn(arguments.batch, 3, pixels, pixels)
        self.labels = torch.randint(0, CLASSES, (arguments.batch,))
        if configuration["channels_last"]:
            student, teacher, self.x = (
                one.to(memory_format=torch.channels_last) for one in (student, teacher, self.x))
        self.parameters = list(student.parameters())
        maybe = torch.compile if configuration["compiled"] else lambda function: function
        self.teacher, self.quantize = maybe(teacher), maybe(all_quantized)
        self.student = DistributedDataParallel(maybe(student), bucket_cap_mb=configuration["bucket_mb"],
                                               gradient_as_bucket_view=True, static_graph=True)
        self.optimizer = torch.optim.SGD(self.parameters, lr=1e-3, momentum=0.9, nesterov=True, weight_decay=2.2e-4,
                                         foreach=True)

    def run(self):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            soft = F.softmax(self.teacher(self.x).float() / TEMPERATURE, 1)
        soft = soft.clone()
        with torch.no_grad():
            masters = [p.detach().clone() for p in self.parameters]
            torch._foreach_copy_(self.parameters, self.quantize(masters, self.arguments.bits, self.arguments.bucket))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.student(self.x).float()
        softer = F.kl_div(F.log_softmax(logits / TEMPERATURE, 1), soft, reduction="batchmean")
        loss = SOFT_WEIGHT * TEMPERATURE**2 * softer + (1 - SOFT_WEIGHT) * F.cross_entropy(logits, self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            torch._foreach_copy_(self.parameters, masters)
        self.optimizer.step()


def measure(arguments, configuration):
    step = Step(arguments, configuration)
    times = []
    for i in range(arguments.warmup + arguments.steps):
        if i == arguments.warmup:
            dist.barrier()
        start = time.perf_counter()
        step.run()
        if i >= arguments.warmup:
            times.append(time.perf_counter() - start)
    slowest = torch.tensor([statistics.median(times)])
    dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
    if dist.get_rank() == 0:
        images = arguments.batch * dist.get_world_size()
        print(json.dumps({"peer": "torch-ddp-gloo", "torch": torch.__version__, "student": arguments.student,
                          "batch": arguments.batch, **configuration, "step_ms_median": 1000 * slowest.item(),
                          "step_ms_min": 1000 * min(times), "images_per_s": images / slowest.item()}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", choices=PUPILS, default="resnet18")
    parser.add_argument("--batch", type=int, default=32, help="per rank")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--bucket", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--bucket-mb", type=int, default=25)
    parser.add_argument("--compile", action="store_true", help="teacher, quantizer and student")
    parser.add_argument("--sweep", action="store_true", help="all four configurations")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    dist.init_process_group("gloo")
    grid = [(arguments.channels_last, arguments.bf16, arguments.compile)]
    if arguments.sweep:
        grid = [(last, True, compiled) for last in (False, True) for compiled in (False, True)]
    for last, bf16, compiled in grid:
        measure(arguments, {"channels_last": last, "bf16": bf16, "compiled": compiled,
                            "bucket_mb": arguments.bucket_mb})
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
