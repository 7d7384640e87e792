"""PyTorch's half of tests/whole/pytorch_logits.sh: plain PyTorch networks load our weights.

    pytorch_logits.py check KIND FOLDER   loads ours.safetensors, compares with ours_run.safetensors
    pytorch_logits.py write KIND FOLDER   theirs.pt (a state_dict) and theirs_run.safetensors
A run: images, evaluation's logits, and the gradients of sum(training's logits * given), as "gradient.NAME".
"""
import copy
import sys

import torch
import torch.nn as nn
from safetensors.torch import load_file, save_file

import residual_nets

NETS = {  # convolution widths ("P": 2x2 max-pool), kernel, hidden widths
    "teacher": ([76, 76, "P", 126, 126, "P", 148, 148, 148, 148, "P"], 3, [1200, 1200]),
    "student3": ([25, 10, "P", 10, 5, "P"], 5, [300]),
}


def make_net(kind):
    if kind in residual_nets.NETS:
        return residual_nets.NETS[kind]().eval()
    convolutions, kernel, hidden = NETS[kind]
    layers, channels, side = [], 3, 32
    for width in convolutions:
        if width == "P":
            layers.append(nn.MaxPool2d(2))
            side //= 2
        else:
            layers += [nn.Conv2d(channels, width, kernel, padding="same"), nn.ReLU()]
            layers.append(nn.BatchNorm2d(width))
            channels = width
    layers.append(nn.Flatten())
    features = channels * side * side
    for width in hidden:
        layers += [nn.Linear(features, width), nn.ReLU(), nn.BatchNorm1d(width)]
        features = width
    layers.append(nn.Linear(features, 10))
    return nn.Sequential(*layers).eval()


def gradients(net, images, given):
    """In double: where fp32 rounds a value to ReLU's other side, a gradient jumps."""
    net = copy.deepcopy(net).double().train()
    with torch.enable_grad():
        (net(images.double()) * given.double()).sum().backward()
    return {f"gradient.{name}": parameter.grad.float() for name, parameter in net.named_parameters()}


def relative(found, truth):
    return ((found - truth).norm() / truth.norm()).item()


def check(kind, folder):
    net = make_net(kind)
    missing, extra = net.load_state_dict(load_file(f"{folder}/ours.safetensors"), strict=False)
    wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + extra
    run = load_file(f"{folder}/ours_run.safetensors")
    logits = relative(net(run["images"]), run["logits"])
    truth = gradients(net, run["images"], run["given"])
    # Where a norm follows, a bias has no gradient but rounding.
    most = 1e-3 * max(value.norm().item() for value in truth.values())
    worst = max(((run[name] - value).norm() / max(most, value.norm())).item() for name, value in truth.items())
    print(f"{kind}: our weights in PyTorch: logits differ by {logits:.2e}, gradients by {worst:.2e}", *wrong)
    return not wrong and logits <= 1e-5 and worst <= 1e-3


def write(kind, folder):
    torch.manual_seed(7)
    net = make_net(kind)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for value in (module.weight, module.bias, module.running_mean):
                value.add_(torch.randn_like(value), alpha=0.3)
            module.running_var.add_(torch.rand_like(module.running_var))
    torch.save(net.state_dict(), f"{folder}/theirs.pt")
    images, given = torch.randn(16, 3, 32, 32), torch.randn(16, 10)
    run = {"images": images, "given": given, "logits": net(images), **gradients(net, images, given)}
    save_file({name: value.contiguous() for name, value in run.items()}, f"{folder}/theirs_run.safetensors")
    return True


if __name__ == "__main__":
    verb, kind, folder = sys.argv[1:]
    with torch.no_grad():
        sys.exit(0 if {"check": check, "write": write}[verb](kind, folder) else 1)
