"""Peer: DistributedDataParallel over gloo on emulated compute, beside `bitstill bench step --emulate`.

One process a rank (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT in the environment). The layers are those that
bench step printed ("emulated" of its line, in a file): each sleeps in its forward and in an autograd function's
backward, and its parameters are as large. For each bucket_cap_mb of --buckets, in turn:

  {"peer": "torch-ddp-gloo", "bucket_cap_mb": 25, "step_ms": .., "plain_ms": .., "busy_ms": .., "hidden": ..}

step_ms: of the step under DDP; plain_ms: of the same step without it; busy_ms: of one all_reduce of all gradients.
hidden = 1 - (step - plain) / busy. 0 as a bucket size means DDP's default.
"""
import argparse
import json
import statistics
import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel


def sleep_ms(ms):
    if ms > 0:
        time.sleep(ms / 1000)


class Sleep(torch.autograd.Function):
    """The identity on `x`; its backward sleeps and then completes the layer's gradients."""

    @staticmethod
    def forward(context, x, ms, *parameters):
        context.ms = ms
        context.shapes = [p.shape for p in parameters]
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        sleep_ms(context.ms)
        return (gradient, None, *(torch.zeros(1).expand(shape) for shape in context.shapes))


class Layer(torch.nn.Module):
    def __init__(self, times):
        super().__init__()
        self.times = times
        self.weights = torch.nn.ParameterList(torch.randn(n) for n in times["parameters"])

    def forward(self, x):
        sleep_ms(self.times["forward_ms"])
        return Sleep.apply(x, self.times["backward_ms"], *self.weights)


def network(layers):
    torch.manual_seed(0)
    return torch.nn.Sequential(*(Layer(times) for times in layers))


def step_ms(model, teacher_ms, optimizer):
    start = time.perf_counter()
    sleep_ms(teacher_ms)
    x = torch.ones(1, requires_grad=True)
    loss = model(x).sum()
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    return 1000 * (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layers", help="a file: the line of bench step --emulate")
    parser.add_argument("--buckets", default="0,25,5,1,0.5,0.25,0.125", help="bucket_cap_mb, each an arm")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    with open(arguments.layers) as file:
        emulated = json.load(file)["emulated"]
    torch.set_num_threads(1)
    dist.init_process_group("gloo")

    def measured(step):
        times = []
        for i in range(arguments.warmup + arguments.steps):
            dist.barrier()
            ms = step()
            if i >= arguments.warmup:
                times.append(ms)
        slowest = torch.tensor([statistics.median(times)])
        dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
        return slowest.item()

    def steps_of(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, foreach=True)
        return measured(lambda: step_ms(model, emulated["teacher_ms"], optimizer))

    def reduce_all():
        start = time.perf_counter()
        dist.all_reduce(flat)
        return 1000 * (time.perf_counter() - start)

    layers = emulated["layers"]
    flat = torch.zeros(sum(sum(layer["parameters"]) for layer in layers))
    plain_ms, busy_ms = steps_of(network(layers)), measured(reduce_all)
    results = []
    for bucket in map(float, arguments.buckets.split(",")):
        options = {"bucket_cap_mb": bucket} if bucket > 0 else {}
        model = DistributedDataParallel(network(layers), gradient_as_bucket_view=True, **options)
        results.append((bucket, steps_of(model)))
    # The least of two: what disturbs the reference would be to the peer's credit.
    plain_ms = min(plain_ms, steps_of(network(layers)))
    for bucket, ms in results:
        if dist.get_rank() == 0:
            print(json.dumps({"peer": "torch-ddp-gloo", "torch": torch.__version__, "bucket_cap_mb": bucket,
                              "step_ms": ms, "plain_ms": plain_ms, "busy_ms": busy_ms,
                              "hidden": 1 - (ms - plain_ms) / busy_ms}), flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
