"""Plain PyTorch definitions of the residual networks, for pytorch_logits.py: torchvision's ResNets (its own where
it is there and has the network), and the wide residual network of the paper's experiments."""
import torch.nn as nn
import torch.nn.functional as F

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class Block(nn.Module):
    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            layers = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        else:
            layers = [(inputs, width, 3, stride), (width, width, 3, 1)]
        self.count = len(layers)
        for number, (i, o, k, s) in enumerate(layers, 1):
            setattr(self, f"conv{number}", nn.Conv2d(i, o, k, s, k // 2, bias=False))
            setattr(self, f"bn{number}", nn.BatchNorm2d(o))
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                                            nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = x
        for number in range(1, self.count + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            if number < self.count:
                y = F.relu(y)
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, depth, factor, small, classes, channels=3):
        super().__init__()
        width = int(64 * factor)
        kernel, stride = (3, 1) if small else (7, 2)
        self.conv1 = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.small = small
        inputs = width
        for stage, count in enumerate(STAGES[depth]):
            blocks = []
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(Block(inputs, width << stage, stride, depth >= 50))
                inputs = (width << stage) * (4 if depth >= 50 else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if not self.small:
            x = F.max_pool2d(x, 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride))

    def forward(self, x):
        y = self.conv1(F.relu(self.bn1(x)))
        return self.conv2(F.relu(self.bn2(y))) + self.shortcut(x)


class WideResNet(nn.Module):
    def __init__(self, depth, factor, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1)
        inputs = 16
        for stage in range(3):
            blocks = []
            for i in range((depth - 4) // 6):
                outputs = 16 * factor << stage
                blocks.append(WideBlock(inputs, outputs, 2 if stage > 0 and i == 0 else 1))
                inputs = outputs
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.bn1 = nn.BatchNorm2d(inputs, momentum=0.9)
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.linear(F.relu(self.bn1(x)).mean((2, 3)))


def resnet(depth, factor=1, small=False):
    if factor == 1 and not small:
        try:
            import torchvision
            return getattr(torchvision.models, f"resnet{depth}")(num_classes=10)
        except ImportError:
            pass
    return ResNet(depth, factor, small, 10)


NETS = {  # as pytorch_program.cpp has them
    "resnet18": lambda: resnet(18),
    "resnet34_narrow": lambda: resnet(34, 0.25, True),
    "resnet50": lambda: resnet(50),
    "wrn_16_2": lambda: WideResNet(16, 2, 10),
}
