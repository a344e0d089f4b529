"""The workloads of `fledge bench` in PyTorch, timed on request.

`run.py` starts this program once and writes lines "workload seconds setting" to it; each is answered by one line of
JSON: the median time of a step in milliseconds. The networks are written out here so that nothing but PyTorch is
needed; `ResNet` has torchvision's layers, `VisionTransformer` timm's.
"""

import argparse
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


def convolution(inputs, outputs, kernel, stride=1):
    """With batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two 3x3 convolutions; or with `narrow` channels within, a 3x3 between two 1x1 convolutions."""

    def __init__(self, inputs, outputs, stride, narrow=None):
        super().__init__()
        shapes = [(inputs, outputs, 3, stride), (outputs, outputs, 3, 1)]
        if narrow:
            shapes = [(inputs, narrow, 1, 1), (narrow, narrow, 3, stride), (narrow, outputs, 1, 1)]
        self.convolutions = nn.ModuleList(convolution(*shape) for shape in shapes)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = convolution(inputs, outputs, 1, stride)

    def forward(self, x):
        h = x
        for index, layer in enumerate(self.convolutions):
            h = layer(h if index == 0 else F.relu(h, inplace=True))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)), inplace=True)


class ResNet(nn.Module):
    """ResNet-18 with a 3x3 stem and no pooling, for images of 32 pixels; or ResNet-50 as published."""

    def __init__(self, deep=False, classes=10):
        super().__init__()
        self.stem = nn.Sequential(convolution(3, 64, 7 if deep else 3, 2 if deep else 1), nn.ReLU(inplace=True))
        if deep:
            self.stem.append(nn.MaxPool2d(3, 2, 1))
        blocks, inputs = [], 64
        for stage, width in enumerate([64, 128, 256, 512]):
            for index in range([3, 4, 6, 3][stage] if deep else 2):
                outputs = 4 * width if deep else width
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(Block(inputs, outputs, stride, narrow=width if deep else None))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


class TransformerBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        n, s, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, s, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, s, width)
        x = x + self.proj(y)
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class VisionTransformer(nn.Module):
    """ViT-tiny for images of 32 pixels in patches of 4: all tokens, or the class token with those of `visible`."""

    def __init__(self, classes=None):
        super().__init__()
        width = 192
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 1e-6)
        self.positions = nn.Parameter(torch.randn(1, 65, width) * 0.02)
        self.blocks = nn.Sequential(*[TransformerBlock(width, 3) for _ in range(12)])
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes) if classes else None

    def forward(self, x, visible=None):
        patches = self.patches(x).flatten(2).transpose(1, 2) + self.positions[:, 1:]
        if visible is not None:
            patches = patches.gather(1, visible[..., None].expand(-1, -1, patches.shape[2]))
        token = (self.token + self.positions[:, :1]).expand(len(x), -1, -1)
        h = self.norm(self.blocks(torch.cat([token, patches], 1)))
        return h if self.head is None else self.head(h[:, 0])


class MaskedAutoencoder(nn.Module):
    """A decoder of two blocks of width 96 over a `VisionTransformer` that sees a quarter of the patches: the loss."""

    def __init__(self):
        super().__init__()
        self.encoder = VisionTransformer()
        self.embed, self.output = nn.Linear(192, 96), nn.Linear(96, 48)
        self.hidden = nn.Parameter(torch.randn(1, 1, 96) * 0.02)
        self.positions = torch.randn(1, 65, 96)
        self.blocks = nn.Sequential(*[TransformerBlock(96, 3) for _ in range(2)])
        self.norm = nn.LayerNorm(96, eps=1e-6)

    def forward(self, x):
        batch = len(x)
        order = torch.rand(batch, 64).argsort(1)
        places = order.argsort(1)
        h = self.embed(self.encoder(x, visible=order[:, :16]))
        tokens = torch.cat([h[:, 1:], self.hidden.expand(batch, 48, -1)], 1)
        tokens = tokens.gather(1, places[..., None].expand(-1, -1, 96))
        h = self.blocks(torch.cat([h[:, :1], tokens], 1) + self.positions)
        predicted = self.output(self.norm(h))[:, 1:]
        target = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 4, 5, 1).reshape(batch, 64, 48)
        target = (target - target.mean(2, keepdim=True)) / (target.var(2, keepdim=True) + 1e-6).sqrt()
        errors = (predicted - target).square().mean(2)
        mask = (places >= 16).float()
        return (errors * mask).sum() / mask.sum()


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


def training(network, optimizer, x, loss, setting=""):
    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled="autocast" in setting):
            value = loss(network(x))
        value.backward()
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
    return training(network, optimizer, x, lambda y: F.cross_entropy(y, labels), setting)


def resnet18(setting):
    def optimizer(parameters, fused):
        return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, fused=fused)

    return image_training(ResNet(), 64, optimizer, setting)


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
    return training(network, optimizer, torch.randn(32, 128, 256), lambda y: y.square().mean(), setting)


def mlp(setting):
    layers = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(layers.parameters(), lr=0.1, fused="default" not in setting)
    labels = torch.arange(32) % 10
    network = torch.compile(layers) if "compiled" in setting else layers
    return training(network, optimizer, torch.randn(32, 64), lambda y: F.cross_entropy(y, labels))


def simclr(setting):
    network = nn.Sequential(SmallConv(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 128))
    diagonal, partners = torch.eye(512, dtype=torch.bool), (torch.arange(512) + 256) % 512

    def loss(y):
        z = F.normalize(y)
        return F.cross_entropy((z @ z.T / 0.5).masked_fill(diagonal, -1e9), partners)

    x = torch.randn(512, 3, 32, 32)
    if "channels_last" in setting:
        network, x = network.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    return training(torch.compile(network) if "compiled" in setting else network, optimizer, x, loss)


def patch_training(network, loss):
    def prepare(setting):
        made = network()
        optimizer = torch.optim.AdamW(made.parameters(), lr=1e-3, weight_decay=0.05, fused="default" not in setting)
        run = torch.compile(made) if "compiled" in setting else made
        return training(run, optimizer, torch.randn(64, 3, 32, 32), loss, setting)

    return prepare


def gru(setting):
    network = nn.GRU(128, 256, batch_first=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01, fused="default" not in setting)
    return training(network, optimizer, torch.randn(32, 64, 128), lambda y: y[0].square().mean())


class Capsules(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(288, 8, 160) * 0.05)

    def forward(self, x):
        votes = (x @ self.weight).view(288, 64, 10, 16).permute(1, 2, 0, 3)
        logits = torch.zeros(64, 10, 1, 288)
        for round in range(3):
            total = logits.softmax(1) @ votes
            square = total.square().sum(3, keepdim=True)
            capsules = total * square / ((1 + square) * (square + 1e-7).sqrt())
            if round < 2:
                logits = logits + capsules @ votes.transpose(2, 3)
        return capsules.square().sum(3).mean()


def capsules(setting):
    network = Capsules()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, fused=True)
    run = torch.compile(network) if "compiled" in setting else network
    return training(run, optimizer, torch.randn(288, 64, 8), lambda y: y)


def resnet50(batch):
    def prepare(setting):
        network, x = ResNet(deep=True, classes=1000).eval(), torch.randn(batch, 3, 224, 224)
        if "channels_last" in setting:
            network, x = network.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
        run = torch.compile(network) if "compiled" in setting else network

        def step():
            with torch.no_grad():
                run(x)

        return step

    return prepare


def adamw(setting):
    parameters = [nn.Parameter(torch.randn(1024, 1024 + index)) for index in range(12)]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    return torch.optim.AdamW(parameters, lr=1e-4, fused="default" not in setting).step


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


def gradients(body, *shapes):
    """An operation and the gradients of its inputs."""

    def prepare(setting):
        inputs = [torch.randn(shape) for shape in shapes]
        if "channels_last" in setting:
            inputs = [x.to(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]
        inputs = [x.requires_grad_() for x in inputs]
        return lambda: torch.autograd.grad(body(*inputs), inputs)

    return prepare


def batch_norm(x, weight):
    return F.batch_norm(x, None, None, weight, weight, training=True).relu().sum()


ROWS = torch.arange(16384) * 7919 % 32768
CLASSES = torch.arange(4096) % 1000
WIDE = (4096, 1024)
IMAGES = ["contiguous", "channels_last"]
OPTIMIZERS = ["default optimizer", "fused optimizer"]

AUTOCAST_IMAGES = ["autocast contiguous", "autocast channels_last", "autocast compiled channels_last"]
AUTOCAST_OPTIMIZERS = ["autocast default optimizer", "autocast fused optimizer", "autocast compiled"]
vit = patch_training(lambda: VisionTransformer(10), lambda y: F.cross_entropy(y, torch.arange(64) % 10))

# Name: how to prepare the step, and the settings to try. "compiled" ones only run with --full.
WORKLOADS = {
    "resnet18-train": (resnet18, IMAGES + ["compiled channels_last"]),
    "transformer-train": (transformer, OPTIMIZERS + ["compiled"]),
    "small-conv-train": (small_conv, IMAGES + ["compiled channels_last"]),
    "simclr-train": (simclr, IMAGES + ["compiled channels_last"]),
    "vit-train": (vit, OPTIMIZERS + ["compiled"]),
    "mae-train": (patch_training(MaskedAutoencoder, lambda y: y), OPTIMIZERS + ["compiled"]),
    "gru-train": (gru, OPTIMIZERS),
    "capsule-routing": (capsules, ["eager", "compiled"]),
    "mlp-train": (mlp, OPTIMIZERS + ["compiled"]),
    "resnet18-train-bf16": (resnet18, AUTOCAST_IMAGES),
    "transformer-train-bf16": (transformer, AUTOCAST_OPTIMIZERS),
    "vit-train-bf16": (vit, AUTOCAST_OPTIMIZERS),
    "resnet50-infer-1": (resnet50(1), IMAGES + ["compiled channels_last"]),
    "resnet50-infer-32": (resnet50(32), IMAGES + ["compiled channels_last"]),
    "matmul": (operation(torch.matmul, (1024, 1024), (1024, 1024)), ["eager"]),
    "conv3x3": (operation(lambda x, w: F.conv2d(x, w, padding=1), (64, 64, 32, 32), (64, 64, 3, 3)), IMAGES),
    "add": (operation(torch.add, WIDE, WIDE), ["eager"]),
    "exp": (operation(torch.exp, WIDE), ["eager"]),
    "gelu": (operation(F.gelu, WIDE), ["eager"]),
    "softmax": (operation(lambda x: x.softmax(-1), WIDE), ["eager"]),
    "layer-norm": (operation(lambda x: F.layer_norm(x, (1024,)), WIDE), ["eager"]),
    "sum": (operation(lambda x: x.sum(0), WIDE), ["eager"]),
    "max": (operation(lambda x: x.amax(1), WIDE), ["eager"]),
    "gather": (operation(lambda x: x.index_select(0, ROWS), (32768, 256)), ["eager"]),
    "scatter": (operation(lambda x: torch.zeros(32768, 256).index_add_(0, ROWS, x), (16384, 256)), ["eager"]),
    "adamw": (adamw, OPTIMIZERS),
    "batch-norm": (gradients(batch_norm, (64, 64, 32, 32), (64,)), IMAGES),
    "cross-entropy": (gradients(lambda x: F.cross_entropy(x, CLASSES), (4096, 1000)), ["eager"]),
}


def measure(step, seconds):
    """The median time of a step in milliseconds, over `seconds` and at least three steps: as `fledge bench` does."""
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        step()
        times.append((time.perf_counter() - before) * 1000)
    return statistics.median(times)


def flops(step):
    """Multiplications and additions of matrix products and convolutions in one step."""
    # Only here: it loads much that would count as PyTorch's start and memory.
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--once", metavar="WORKLOAD", help="take as many steps as `fledge bench` at least does, and end")
    parser.add_argument("--setting", default="")
    parser.add_argument("--flops", action="store_true", help="count the products of every workload, twice each, and end")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.flops:
        print(json.dumps({name: flops(prepare("")) for name, (prepare, _) in WORKLOADS.items()}))
        return
    if options.once:
        step = WORKLOADS[options.once][0](options.setting)
        for _ in range(5):
            step()
        return
    for line in sys.stdin:
        name, seconds, setting = line.strip().split(" ", 2)
        step = WORKLOADS[name][0](setting)
        for _ in range(2):
            step()
        print(json.dumps(measure(step, float(seconds))), flush=True)


if __name__ == "__main__":
    main()
