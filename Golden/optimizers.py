"""Golden trajectories of the optimizers and values of the schedules, in float64.

    pip install torch numpy
    python Golden/optimizers.py

writes Tests/NNTests/Golden/optimizers.json. Parameters and gradients come from a formula, so that the Swift test makes
the same ones: a weight [3, 4] and a bias [4], six steps, and another learning rate from the fourth step on. SGD,
RMSprop, Adam, AdamW and the schedules are PyTorch's own; LARS and LAMB, which PyTorch lacks, are written out from their
papers.
"""

import json
import math
import os

import torch

torch.set_default_dtype(torch.float64)

SHAPES = {"weight": [3, 4], "bias": [4]}
STEPS = 6


def wave(shape, offset, amplitude=1.0):
    n = math.prod(shape)
    return torch.tensor([amplitude * math.sin(offset + 0.7 * i + 0.013 * i * i) for i in range(n)]).reshape(shape)


def start(name):
    return wave(SHAPES[name], 0.3 if name == "weight" else 1.1)


def gradient(name, step):
    return wave(SHAPES[name], (0.5 if name == "weight" else 2.0) + step, 0.5 + 0.1 * step)


def rate(base, step):
    return base if step < 3 else 0.3 * base


def torch_trajectory(make, base):
    parameters = {name: torch.nn.Parameter(start(name)) for name in SHAPES}
    optimizer = make(list(parameters.values()), base)
    trajectory = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate(base, step)
        for name, parameter in parameters.items():
            parameter.grad = gradient(name, step)
        optimizer.step()
        trajectory.append({name: parameter.detach().reshape(-1).tolist() for name, parameter in parameters.items()})
    return trajectory


def lars_trajectory(base, momentum, trust, decay, epsilon, vectors):
    """You, Gitman and Ginsburg 2017, equation 6, with the rate outside the momentum buffer."""
    trajectory = [dict() for _ in range(STEPS)]
    for name in SHAPES:
        p = start(name)
        buffer = torch.zeros_like(p)
        for step in range(STEPS):
            g = gradient(name, step)
            local = 1.0
            if p.dim() > 1 or vectors:
                local = trust * p.norm() / (g.norm() + decay * p.norm() + epsilon)
            buffer = momentum * buffer + local * (g + decay * p)
            p = p - rate(base, step) * buffer
            trajectory[step][name] = p.reshape(-1).tolist()
    return trajectory


def lamb_trajectory(base, beta1, beta2, epsilon, decay, vectors):
    """You et al. 2020, algorithm 2."""
    trajectory = [dict() for _ in range(STEPS)]
    for name in SHAPES:
        p = start(name)
        m, v = torch.zeros_like(p), torch.zeros_like(p)
        for step in range(STEPS):
            g = gradient(name, step)
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            r = (m / (1 - beta1 ** (step + 1))) / ((v / (1 - beta2 ** (step + 1))).sqrt() + epsilon)
            u = r + decay * p
            ratio = p.norm() / u.norm() if p.dim() > 1 or vectors else 1.0
            p = p - rate(base, step) * ratio * u
            trajectory[step][name] = p.reshape(-1).tolist()
    return trajectory


def schedule(make, base, steps):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=base)
    scheduler = make(optimizer)
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


O = torch.optim
S = torch.optim.lr_scheduler
TRAJECTORIES = {
    "sgd": torch_trajectory(lambda p, lr: O.SGD(p, lr), 0.1),
    "sgd decay": torch_trajectory(lambda p, lr: O.SGD(p, lr, weight_decay=0.1), 0.1),
    "sgd momentum": torch_trajectory(lambda p, lr: O.SGD(p, lr, momentum=0.9, weight_decay=0.01), 0.1),
    "sgd dampening": torch_trajectory(lambda p, lr: O.SGD(p, lr, momentum=0.8, dampening=0.4), 0.1),
    "sgd nesterov": torch_trajectory(
        lambda p, lr: O.SGD(p, lr, momentum=0.9, nesterov=True, weight_decay=0.05), 0.1),
    "rmsprop": torch_trajectory(lambda p, lr: O.RMSprop(p, lr, weight_decay=0.1), 0.02),
    "rmsprop centred": torch_trajectory(
        lambda p, lr: O.RMSprop(p, lr, alpha=0.9, eps=1e-3, momentum=0.7, centered=True), 0.02),
    "adam": torch_trajectory(lambda p, lr: O.Adam(p, lr), 0.05),
    "adam decay": torch_trajectory(lambda p, lr: O.Adam(p, lr, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1), 0.05),
    "adamw": torch_trajectory(lambda p, lr: O.AdamW(p, lr, weight_decay=0.1), 0.05),
    "lars": lars_trajectory(2.0, 0.9, 0.02, 0.1, 1e-8, False),
    "lars vectors": lars_trajectory(2.0, 0.9, 0.02, 0.0, 1e-8, True),
    "lamb": lamb_trajectory(0.05, 0.9, 0.999, 1e-6, 0.1, False),
    "lamb vectors": lamb_trajectory(0.05, 0.9, 0.999, 1e-6, 0.1, True),
}
SCHEDULES = {
    "constant": schedule(lambda o: S.ConstantLR(o, factor=1.0), 0.3, 5),
    "step": schedule(lambda o: S.StepLR(o, 3, gamma=0.5), 0.3, 10),
    "multiStep": schedule(lambda o: S.MultiStepLR(o, [2, 5], gamma=0.1), 0.3, 8),
    "cosine": schedule(lambda o: S.CosineAnnealingLR(o, 10, eta_min=0.02), 0.3, 11),
    "polynomial": schedule(lambda o: S.PolynomialLR(o, 8, power=2.0), 0.3, 12),
    "linear": schedule(lambda o: S.PolynomialLR(o, 8), 0.3, 12),
    "oneCycle": schedule(lambda o: S.OneCycleLR(o, 0.5, total_steps=20, cycle_momentum=False), 0.5, 19),
    "oneCycle other": schedule(
        lambda o: S.OneCycleLR(
            o, 0.5, total_steps=13, pct_start=0.5, div_factor=10, final_div_factor=100, cycle_momentum=False), 0.5, 12),
    "warmUp cosine": schedule(
        lambda o: S.SequentialLR(
            o, [S.LinearLR(o, start_factor=0.1, total_iters=4), S.CosineAnnealingLR(o, 6)], milestones=[4]), 0.3, 10),
}

if __name__ == "__main__":
    path = os.path.join(os.path.dirname(__file__), "..", "Tests", "NNTests", "Golden", "optimizers.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        json.dump({"torch": torch.__version__, "trajectories": TRAJECTORIES, "schedules": SCHEDULES}, file, indent=1)
        file.write("\n")
