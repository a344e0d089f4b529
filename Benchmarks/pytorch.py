"""The workloads of `fledge bench` in PyTorch, timed on request.

`run.py` starts this program once and writes lines "workload seconds setting" to it; each is answered by one line of
JSON: the median time of a step in milliseconds. The networks are written out here so that nothing but PyTorch is
needed; `ResNet` has torchvision's layers.
"""

import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)), inplace=True)
        h = self.bn2(self.conv2(h))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)), inplace=True)


class ResNet18(nn.Module):
    """With a 3x3 stem and no pooling, for images of 32 pixels."""

    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        blocks, inputs = [], 64
        for stage, width in enumerate([64, 128, 256, 512]):
            for index in range(2):
                blocks.append(Block(inputs, width, 2 if stage > 0 and index == 0 else 1))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        h = self.blocks(F.relu(self.bn1(self.conv1(x)), inplace=True))
        return self.fc(h.mean((2, 3)))


class SmallConv(nn.Module):
    """Fledge's `small-conv`: [N, channels, H, W] to features [N, 256]."""

    def __init__(self, channels=3):
        super().__init__()
        layers, inputs = [], channels
        for index, width in enumerate([32, 64, 128, 256]):
            layers += [
                nn.Conv2d(inputs, width, 3, 1 if index == 0 else 2, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            inputs = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x).mean((2, 3))


def training(network, optimizer, x, loss):
    def step():
        loss(network(x)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def image_training(network, batch, make_optimizer, setting):
    x = torch.randn(batch, 3, 32, 32)
    if "channels_last" in setting:
        network = network.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network.parameters(), fused="default" not in setting)
    labels = torch.arange(batch) % 10
    if "compiled" in setting:
        network = torch.compile(network)
    return training(network, optimizer, x, lambda y: F.cross_entropy(y, labels))


def resnet18(setting):
    def optimizer(parameters, fused):
        return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, fused=fused)

    return image_training(ResNet18(), 64, optimizer, setting)


def small_conv(setting):
    def optimizer(parameters, fused):
        return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, fused=fused)

    return image_training(nn.Sequential(SmallConv(), nn.Linear(256, 10)), 256, optimizer, setting)


def transformer(setting):
    layers = nn.Sequential(
        *[
            nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, activation="gelu", batch_first=True)
            for _ in range(4)
        ]
    )
    optimizer = torch.optim.AdamW(layers.parameters(), lr=1e-4, weight_decay=0.01, fused="default" not in setting)
    network = torch.compile(layers) if "compiled" in setting else layers
    return training(network, optimizer, torch.randn(32, 128, 256), lambda y: y.square().mean())


def mlp(setting):
    layers = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(layers.parameters(), lr=0.1, fused="default" not in setting)
    labels = torch.arange(32) % 10
    network = torch.compile(layers) if "compiled" in setting else layers
    return training(network, optimizer, torch.randn(32, 64), lambda y: F.cross_entropy(y, labels))


def operation(body, *shapes):
    """An operation without gradients on normal inputs."""

    def prepare(setting):
        inputs = [torch.randn(shape) for shape in shapes]
        if "channels_last" in setting:
            inputs = [x.to(memory_format=torch.channels_last) for x in inputs]

        def step():
            with torch.no_grad():
                body(*inputs)

        return step

    return prepare


WIDE = (4096, 1024)
IMAGES = ["contiguous", "channels_last"]
OPTIMIZERS = ["default optimizer", "fused optimizer"]

# Name: how to prepare the step, and the settings to try. "compiled" ones only run with --full.
WORKLOADS = {
    "resnet18-train": (resnet18, IMAGES + ["compiled channels_last"]),
    "transformer-train": (transformer, OPTIMIZERS + ["compiled"]),
    "small-conv-train": (small_conv, IMAGES + ["compiled channels_last"]),
    "mlp-train": (mlp, OPTIMIZERS + ["compiled"]),
    "matmul": (operation(torch.matmul, (1024, 1024), (1024, 1024)), ["eager"]),
    "conv3x3": (operation(lambda x, w: F.conv2d(x, w, padding=1), (64, 64, 32, 32), (64, 64, 3, 3)), IMAGES),
    "add": (operation(torch.add, WIDE, WIDE), ["eager"]),
    "exp": (operation(torch.exp, WIDE), ["eager"]),
    "softmax": (operation(lambda x: x.softmax(-1), WIDE), ["eager"]),
    "layer-norm": (operation(lambda x: F.layer_norm(x, (1024,)), WIDE), ["eager"]),
    "sum": (operation(lambda x: x.sum(0), WIDE), ["eager"]),
}


def measure(step, seconds):
    """The median time of a step in milliseconds, over `seconds` and at least three steps: as `fledge bench` does."""
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        step()
        times.append((time.perf_counter() - before) * 1000)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    torch.set_num_threads(parser.parse_args().threads)
    torch.manual_seed(0)
    for line in sys.stdin:
        name, seconds, setting = line.strip().split(" ", 2)
        step = WORKLOADS[name][0](setting)
        for _ in range(2):
            step()
        print(json.dumps(measure(step, float(seconds))), flush=True)


if __name__ == "__main__":
    main()
