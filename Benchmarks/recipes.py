"""Ten methods of `fledge train` in PyTorch, with the settings of a run of Fledge: `compare.py` starts this program.

Networks, starting values, views, losses, optimizer, schedule, averages and batch sizes are Fledge's; the code is as one
writes it for PyTorch: views of whole batches, channels last, fused optimizers. The weights are
written under Fledge's names, so that `fledge evaluate` measures both alike.
"""

import argparse
import copy
import json
import math
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

import views
from pytorch import SmallConv


class Data:
    """What both sides are given: pictures [N, 1, S, S] with levels of 0...1, and labels, -1 where there is none."""

    def __init__(self, path, mean, deviation):
        arrays = np.load(path)
        pixels = torch.from_numpy(arrays["x_train"])
        white = 16 if pixels.max() <= 16 else 255
        self.pictures = pixels.float().div_(white).unsqueeze(1)
        self.labels = torch.from_numpy(arrays["y_train"])
        self.classes = int(arrays["y_test"].max()) + 1
        self.mean, self.deviation = mean, deviation

    def everything(self, size):
        """Endless batches of pictures; in each epoch every one once, and those that fill no batch are left out."""
        samples = torch.arange(len(self.pictures))
        for some in batches(samples, min(size, len(samples)), wrap=False):
            yield self.pictures[some]

    def labelled(self, size):
        """Endless batches of pictures with labels, repeated until a batch is full."""
        for some in batches((self.labels >= 0).nonzero().squeeze(1), size, wrap=True):
            yield self.pictures[some], self.labels[some]

    def normalized(self, pictures):
        return (pictures - self.mean) / self.deviation


def batches(samples, size, wrap):
    rest = samples[:0]
    while True:
        order = samples[torch.randperm(len(samples))]
        rest = torch.cat([rest, order]) if wrap else order
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]


# Networks


def small_conv():
    network = SmallConv(channels=1)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    # A seventh faster at these sizes than the usual order.
    return network.to(memory_format=torch.channels_last)


def linear(inputs, outputs):
    """As transformers start."""
    layer = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = linear(width, 3 * width), linear(width, width)

    def forward(self, x):
        n, s, width = x.shape
        q, k, v = self.qkv(x).reshape(n, s, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, s, width))


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = linear(width, 4 * width), linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class TransformerBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp = Attention(width, heads), FeedForward(width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def grid_positions(side, width):
    """[1, 1 + side * side, width]: sines and cosines of column and row; nothing for the class token."""
    rates = 10_000 ** (-torch.arange(width // 4) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [coordinate.reshape(-1, 1) * rates for coordinate in (columns, rows)]
    grid = torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1)
    return F.pad(grid, (0, 0, 1, 0)).unsqueeze(0)


class PatchEmbedding(nn.Module):
    def __init__(self, width, patch):
        super().__init__()
        self.proj = nn.Conv2d(1, width, patch, patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """Fledge's `vit-mini`."""

    def __init__(self, side, patch, width=96, heads=3, depth=4):
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 1e-6)
        self.pos_embed = nn.Parameter(grid_positions(side // patch, width))
        self.patch_embed = PatchEmbedding(width, patch)
        self.blocks = nn.Sequential(*[TransformerBlock(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x, visible):
        patches = self.patch_embed(x) + self.pos_embed[:, 1:]
        patches = patches.gather(1, visible.unsqueeze(2).expand(-1, -1, patches.shape[2]))
        token = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        return self.norm(self.blocks(torch.cat([token, patches], dim=1)))


class PatchDecoder(nn.Module):
    def __init__(self, inputs, width, depth, side, outputs):
        super().__init__()
        self.embed, self.output = linear(inputs, width), linear(width, outputs)
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.Sequential(*[TransformerBlock(width, width // 32) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.register_buffer("positions", grid_positions(side, width))

    def forward(self, tokens, places):
        h = self.embed(tokens)
        seen = h[:, 1:]
        hidden = self.mask_token.expand(len(h), places.shape[1] - seen.shape[1], -1)
        patches = torch.cat([seen, hidden], dim=1).gather(1, places.unsqueeze(2).expand(-1, -1, h.shape[2]))
        x = torch.cat([h[:, :1], patches], dim=1) + self.positions
        return self.output(self.norm(self.blocks(x)))[:, 1:]


def projector(widths, norms=True, last="norm"):
    """`last` is "norm", "plain norm" (without scale and shift) or "linear"."""
    layers = []
    for index, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        is_last = index == len(widths) - 2
        normed = last != "linear" if is_last else norms
        layers.append(nn.Linear(inputs, outputs, bias=not normed))
        if normed:
            layers.append(nn.BatchNorm1d(outputs, affine=not is_last or last == "norm"))
        if not is_last:
            layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def copy_of(network):
    """One that follows and is not trained."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def follow(teacher, student, decay):
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - decay)


class without_statistics:
    """Batch normalisation by the batch's statistics that leaves the running ones alone."""

    def __init__(self, network):
        self.norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]

    def __enter__(self):
        for norm in self.norms:
            norm.track_running_stats = False

    def __exit__(self, *_):
        for norm in self.norms:
            norm.track_running_stats = True


# Self-supervised methods


class Recipe:
    """What is trained, the loss of a step, and what follows an update. `answer` is what Fledge's file holds."""

    # Trained at a rate that does not fall.
    constant = []

    def updated(self, step, progress):
        pass


class TwoViews(Recipe):
    """Methods that compare two random views of each picture."""

    def __init__(self, settings, data):
        self.settings, self.data = settings, data
        for name in ["solarize", "rotation", "shear"]:
            if settings["views"][name] != 0:
                raise SystemExit(f"views.{name} is not part of the recipe in PyTorch; leave it at 0")
        self.pictures = data.everything(settings["batchSize"])
        self.backbone = self.answer = small_conv()
        self.make()

    def heads(self, last):
        s = self.settings
        hidden = [s["hiddenSize"]] * (s.get("projectorLayers", 2) - 1)
        return projector([256, *hidden, s["projectionSize"]], last=last)

    def views(self):
        x, s = next(self.pictures), self.settings["views"]
        crops = [views.resized_crop(x, s["cropScale"]) for _ in range(2)]
        return [self.data.normalized(views.jitter(crop, s["jitter"])) for crop in crops]


class SimCLR(TwoViews):
    def make(self):
        self.trained = nn.Sequential(self.backbone, self.heads("norm"))

    def loss(self, progress):
        z = F.normalize(self.trained(torch.cat(self.views())))
        similarities = (z @ z.T / self.settings["temperature"]).fill_diagonal_(-1e9)
        return F.cross_entropy(similarities, torch.arange(len(z)).roll(len(z) // 2))


class MoCo(TwoViews):
    def make(self):
        s = self.settings
        if s["head"] != "mlp" or s["symmetric"]:
            raise SystemExit("the recipe in PyTorch is MoCo's version 2: head=mlp, symmetric=false")
        head = projector([256, s["hiddenSize"], s["projectionSize"]], norms=False, last="linear")
        self.trained = nn.Sequential(self.backbone, head)
        self.teacher = copy_of(self.trained)
        self.capacity = s["queueSize"] or max(1, min(4096, len(self.data.pictures) // 2))
        self.queue = torch.empty(0, s["projectionSize"])

    def in_groups(self, x, network):
        groups = max(1, min(self.settings["normGroups"], len(x) // 2))
        return torch.cat([network(part) for part in x.tensor_split(groups)])

    def loss(self, progress):
        a, b = self.views()
        queries = F.normalize(self.in_groups(a, self.trained))
        with torch.no_grad():
            order = torch.randperm(len(b))
            keys = F.normalize(self.in_groups(b[order], self.teacher))[order.argsort()]
        own = (queries * keys).sum(1, keepdim=True)
        logits = torch.cat([own, queries @ self.queue.T], dim=1) / self.settings["temperature"]
        self.queue = torch.cat([self.queue, keys])[-self.capacity :]
        return F.cross_entropy(logits, torch.zeros(len(a), dtype=torch.long))

    def updated(self, step, progress):
        follow(self.teacher, self.trained, self.settings["momentum"])


class BYOL(TwoViews):
    def make(self):
        s = self.settings
        self.online = nn.Sequential(self.backbone, self.heads("linear"))
        self.predictor = projector([s["projectionSize"], s["hiddenSize"], s["projectionSize"]], last="linear")
        self.teacher = copy_of(self.online)
        self.trained = nn.ModuleList([self.online, self.predictor])

    def loss(self, progress):
        pair = self.views()
        predictions = [self.predictor(self.online(x)) for x in pair]
        with torch.no_grad():
            targets = [self.teacher(x) for x in pair]
        return sum(2 - 2 * F.cosine_similarity(p, t).mean() for p, t in zip(predictions, reversed(targets)))

    def updated(self, step, progress):
        base = self.settings["momentum"]
        follow(self.teacher, self.online, 1 - (1 - base) * (math.cos(math.pi * progress) + 1) / 2)


class SimSiam(TwoViews):
    def make(self):
        s = self.settings
        self.trained = nn.Sequential(self.backbone, self.heads("plain norm"))
        self.predictor = projector([s["projectionSize"], s["predictorSize"], s["projectionSize"]], last="linear")
        if s["constantPredictorRate"]:
            self.constant = [self.predictor]
        else:
            self.trained = nn.ModuleList([self.trained, self.predictor])

    def loss(self, progress):
        z = [self.trained(x) for x in self.views()]
        return -sum(F.cosine_similarity(self.predictor(a), b.detach()).mean() for a, b in [z, z[::-1]]) / 2


class BarlowTwins(TwoViews):
    def make(self):
        self.trained = nn.Sequential(self.backbone, self.heads("linear"))

    def loss(self, progress):
        a, b = (F.batch_norm(self.trained(x), None, None, training=True) for x in self.views())
        correlations = a.T @ b / len(a)
        own = correlations.diagonal()
        others = correlations.square().sum() - own.square().sum()
        return (1 - own).square().sum() + self.settings["redundancyWeight"] * others


class MAE(Recipe):
    def __init__(self, settings, data, patch):
        self.settings, self.data, self.patch = settings, data, patch
        side = data.pictures.shape[-1]
        self.grid = side // patch
        self.pictures = data.everything(settings["batchSize"])
        self.answer = VisionTransformer(side, patch)
        width = (settings["decoderWidth"] + 31) // 32 * 32
        self.decoder = PatchDecoder(96, width, settings["decoderBlocks"], self.grid, patch * patch)
        self.trained = nn.ModuleList([self.answer, self.decoder])

    def loss(self, progress):
        s, count = self.settings, self.grid**2
        x = next(self.pictures)
        if s["cropScale"] < 1:
            x = views.resized_crop(x, s["cropScale"])
        x = self.data.normalized(x)
        kept = min(max(1, math.floor(count * (1 - s["maskRatio"]))), count - 1)
        order = torch.rand(len(x), count).argsort(1)
        places = order.argsort(1)
        predicted = self.decoder(self.answer(x, order[:, :kept]), places)
        target = F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        if s["normalizePatches"]:
            variance, mean = torch.var_mean(target, dim=2, keepdim=True)
            target = (target - mean) / (variance + 1e-6).sqrt()
        hidden = (places >= kept).float()
        return ((predicted - target).square().mean(2) * hidden).sum() / hidden.sum()


# Semi-supervised methods


class SemiSupervised(Recipe):
    """A classifier that learns from labelled and unlabelled batches."""

    def __init__(self, settings, data):
        if settings["backboneRate"] != 1:
            raise SystemExit("backboneRate is not part of the recipe in PyTorch; leave it at 1")
        self.settings, self.data = settings, data
        self.labelled = data.labelled(settings["batchSize"])
        self.unlabelled = data.everything(settings["batchSize"] * settings["unlabelledRatio"])
        self.classifier = self.answer = self.trained = nn.Sequential(small_conv(), nn.Linear(256, data.classes))
        self.make()

    def make(self):
        pass

    def gentle(self, x):
        return self.data.normalized(views.gentle(x))

    def rough(self, x, magnitude, cutout):
        return self.data.normalized(views.rough(x, magnitude, cutout))


class FixMatch(SemiSupervised):
    def make(self):
        if self.settings["flexibleThresholds"]:
            raise SystemExit("flexibleThresholds is not part of the recipe in PyTorch; leave it off")
        labels = self.data.labels[self.data.labels >= 0]
        self.wanted = F.one_hot(labels, self.data.classes).float().mean(0)
        self.predicted = torch.full([self.data.classes], 1 / self.data.classes)

    def loss(self, progress):
        s = self.settings
        (x, labels), u = next(self.labelled), next(self.unlabelled)
        with torch.no_grad():
            guess = self.classifier(self.gentle(u)).softmax(1)
            if s["distributionAlignment"]:
                self.predicted.lerp_(guess.mean(0), 0.01)
                guess = guess * (self.wanted / (self.predicted + 1e-6))
                guess /= guess.sum(1, keepdim=True)
            confidence, guessed = guess.max(1)
            confident = (confidence >= s["threshold"]).float()
        with without_statistics(self.classifier):
            supervised = F.cross_entropy(self.classifier(self.gentle(x)), labels)
            rough = self.classifier(self.rough(u, s["magnitude"], s["cutout"]))
        unsupervised = (F.cross_entropy(rough, guessed, reduction="none") * confident).mean()
        return supervised + s["unlabelledWeight"] * unsupervised


class MeanTeacher(SemiSupervised):
    def make(self):
        self.teacher = self.answer = copy_of(self.classifier)

    def loss(self, progress):
        s, roughness = self.settings["consistency"], self.settings["roughness"]
        (x, labels), u = next(self.labelled), next(self.unlabelled)
        with torch.no_grad():
            target = self.teacher(self.gentle(u)).softmax(1)
        student = self.rough(u, roughness, roughness / 2) if roughness > 0 else self.gentle(u)
        logits = self.classifier(torch.cat([self.gentle(x), student]))
        apart = (logits[len(x) :].softmax(1) - target).square()
        unsupervised = apart.mean() if s["reduction"] == "mean" else apart.sum(1).mean()
        ramp = 1 if progress >= s["rampUp"] else math.exp(-5 * (1 - progress / s["rampUp"]) ** 2)
        return F.cross_entropy(logits[: len(x)], labels) + s["weight"] * ramp * unsupervised

    def updated(self, step, progress):
        s = self.settings
        limit = s["lateDecay"] if progress >= s["consistency"]["rampUp"] else s["decay"]
        follow(self.teacher, self.classifier, min(1 - 1 / (step + 2), limit))


class MixMatch(SemiSupervised):
    def make(self):
        alpha = self.settings["alpha"]
        self.beta = torch.distributions.Beta(alpha, alpha)

    def loss(self, progress):
        s = self.settings
        (x, labels), u = next(self.labelled), next(self.unlabelled)
        gentle = self.gentle(torch.cat([x] + [u] * s["guesses"]))
        with torch.no_grad(), without_statistics(self.classifier):
            mean = self.classifier(gentle[len(x) :]).softmax(1).reshape(s["guesses"], len(u), -1).mean(0)
            guess = mean ** (1 / s["temperature"])
            guess /= guess.sum(1, keepdim=True)
        targets = torch.cat([F.one_hot(labels, self.data.classes).float()] + [guess] * s["guesses"])

        partners = torch.randperm(len(gentle))
        share = self.beta.sample([len(gentle)])
        share = torch.maximum(share, 1 - share)
        mixed = torch.lerp(gentle[partners], gentle, share.reshape(-1, 1, 1, 1))
        targets = torch.lerp(targets[partners], targets, share.reshape(-1, 1))

        # Every pass has the same share of labelled rows; only the first moves the running statistics.
        passes = max(1, len(mixed) // len(x))
        logits = torch.empty(len(mixed), self.data.classes)
        logits[0::passes] = self.classifier(mixed[0::passes])
        with without_statistics(self.classifier):
            for first in range(1, passes):
                logits[first::passes] = self.classifier(mixed[first::passes])
        supervised = F.cross_entropy(logits[: len(x)], targets[: len(x)])
        unsupervised = F.mse_loss(logits[len(x) :].softmax(1), targets[len(x) :])
        ramp = 1 if progress >= s["rampUp"] else progress / s["rampUp"]
        return supervised + s["unlabelledWeight"] * ramp * unsupervised


class VAT(SemiSupervised):
    def make(self):
        self.epsilon = self.settings["radius"] * math.sqrt(self.data.pictures[0].numel())

    def change(self, logits, disturbed):
        return F.kl_div(disturbed.log_softmax(1), logits.detach().softmax(1), reduction="batchmean")

    def unit(self, x):
        # Squares of tiny gradients would vanish.
        x = x / (x.abs().amax((1, 2, 3), keepdim=True) + 1e-30)
        return x / x.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)

    def loss(self, progress):
        s = self.settings
        (x, labels), u = next(self.labelled), next(self.unlabelled)
        inputs = self.gentle(torch.cat([x, u]))
        logits = self.classifier(inputs)
        with without_statistics(self.classifier):
            d = self.unit(torch.randn_like(inputs))
            for _ in range(s["powerSteps"]):
                r = (s["xi"] * d).requires_grad_()
                d = self.unit(torch.autograd.grad(self.change(logits, self.classifier(inputs + r)), r)[0])
            change = self.change(logits, self.classifier(inputs + self.epsilon * d))
        certain = logits[len(x) :].log_softmax(1)
        entropy = -(certain.exp() * certain).sum(1).mean()
        supervised = F.cross_entropy(logits[: len(x)], labels)
        return supervised + s["unlabelledWeight"] * change + s["entropyWeight"] * entropy


METHODS = {
    "simclr": SimCLR, "moco": MoCo, "byol": BYOL, "simsiam": SimSiam, "barlow-twins": BarlowTwins, "mae": MAE,
    "fixmatch": FixMatch, "mean-teacher": MeanTeacher, "mixmatch": MixMatch, "vat": VAT,
}


# Training


def learning_rate(training, progress):
    if training["schedule"] != "cosine":
        raise SystemExit("the recipes in PyTorch know the cosine schedule only; leave training.schedule as it is")
    warm = training["warmup"]
    if progress < warm:
        return training["learningRate"] * progress / warm
    return training["learningRate"] * (1 + math.cos(math.pi * (progress - warm) / (1 - warm))) / 2


def make_optimizer(recipe, training):
    groups = []
    for modules, scheduled in [([recipe.trained], True), (recipe.constant, False)]:
        parameters = [p for module in modules for p in module.parameters()]
        # Biases and norms do not decay.
        for some, decay in [
            ([p for p in parameters if p.ndim > 1], training["weightDecay"]),
            ([p for p in parameters if p.ndim <= 1], 0),
        ]:
            if some:
                groups.append({"params": some, "weight_decay": decay, "scheduled": scheduled})
    rate = training["learningRate"]
    if training["optimizer"] == "adamw":
        return torch.optim.AdamW(groups, lr=rate, fused=True)
    if training["optimizer"] == "sgd":
        momentum = training["momentum"]
        return torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=momentum > 0, fused=True)
    raise SystemExit("the recipes in PyTorch know training.optimizer sgd and adamw only")


def train(recipe, training, steps):
    optimizer = make_optimizer(recipe, training)
    average = copy_of(recipe.answer) if training["averaging"] > 0 else None
    losses = []
    for step in range(steps):
        progress = step / steps
        for group in optimizer.param_groups:
            if group["scheduled"]:
                group["lr"] = learning_rate(training, progress)
        loss = recipe.loss(progress)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if average is not None:
            follow(average, recipe.answer, min(training["averaging"], (1 + step) / (10 + step)))
        recipe.updated(step, progress)
    if average is not None:
        follow(recipe.answer, average, 0)
    return losses


def fledge_names(recipe):
    """The weights of the answer under the names in Fledge's model file."""
    state = {}
    for name, tensor in recipe.answer.state_dict().items():
        if isinstance(recipe, SemiSupervised):
            part, name = name.split(".", 1)
            if part == "1":
                state["head." + name] = tensor
                continue
        if name.startswith("layers."):
            _, index, rest = name.split(".", 2)
            name = f"{['conv', 'norm'][int(index) % 3]}.{int(index) // 3}.{rest}"
        state["backbone." + name] = tensor.contiguous()
    return state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, help="a finished run of `fledge train`, whose settings are taken")
    parser.add_argument("data", help="the npz file that it was trained on")
    parser.add_argument("out", help="the file of weights to write; `fledge evaluate` reads it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    described = json.loads((options.run / "report.json").read_text())["settings"]
    settings, method = described["settings"], described["method"]
    training = settings["training"]
    for name, only in [("accumulation", 1), ("clipNorm", 0), ("minutes", 0)]:
        if training[name] != only:
            raise SystemExit(f"training.{name} is not part of the recipes in PyTorch; leave it at {only}")
    with safe_open(options.run / "model.safetensors", "pt") as file:
        metadata, shapes = file.metadata(), {name: file.get_slice(name).get_shape() for name in file.keys()}
    input = json.loads(metadata["fledge"])["input"]
    if input["shape"][2] != 1:
        raise SystemExit("the recipes in PyTorch have views for grey pictures only")
    data = Data(options.data, input["mean"][0], input["deviation"][0])

    start, processor_start = time.perf_counter(), time.process_time()
    if method == "mae":
        recipe = MAE(settings, data, patch=shapes["backbone.patch_embed.proj.weight"][2])
    else:
        recipe = METHODS[method](settings, data)
    steps = training["steps"]
    if steps == 0:
        size = min(settings["batchSize"], len(data.pictures))
        steps = max(1, round(training["epochs"] * (len(data.pictures) // size)))
    losses = train(recipe, training, steps)
    state = fledge_names(recipe)
    found = {name: list(tensor.shape) for name, tensor in state.items()}
    if found != shapes:
        different = sorted(name for name in found.keys() | shapes.keys() if found.get(name) != shapes.get(name))
        raise SystemExit(f"the network is not Fledge's: {', '.join(different)}")
    save_file(state, options.out, metadata)
    print(json.dumps({
        "seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - processor_start,
        "losses": losses,
    }))


if __name__ == "__main__":
    main()
