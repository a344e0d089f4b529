"""Golden cases: inputs by formula, and what is written down of each. The twin of Sources/FledgeTesting/OpCase.swift."""

import math

import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

CASES = []


class Input:
    """The twin of OpInput: values by formula, and how the operation sees the memory."""

    def __init__(self, kind, shape, layout="contiguous", **fields):
        self.kind, self.shape, self.layout, self.fields = kind, list(shape), layout, fields

    def memory_shape(self):
        m = list(self.shape)
        if self.layout == "transposed":
            m[-1], m[-2] = m[-2], m[-1]
        elif self.layout == "sliced":
            m[-1] = 2 * m[-1] + 1
        elif self.layout == "narrowed":
            m[0] += 1
        elif self.layout == "broadcast":
            m[0] = 1
        return m

    def describe(self, number):
        join = lambda v: ",".join(str(i) for i in v)
        f = self.fields
        if self.kind == "wave":
            words = f"wave {self.offset(number)} {f['amplitude']} {f['shift']}"
        elif self.kind == "values":
            words = "values " + join(f["list"])
        elif self.kind == "indices":
            words = f"indices {f['below']}"
        elif self.kind == "integers":
            words = "integers " + join(f["list"])
        else:
            words = "mask"
        return f"[{join(self.shape)}] {words} {self.layout}"

    def offset(self, number):
        return (3 + 11 * number) / 10 if self.fields["offset"] is None else self.fields["offset"]

    def memory(self, number):
        shape, f = self.memory_shape(), self.fields
        count = math.prod(shape)
        if self.kind == "wave":
            return torch.tensor(waves(count, self.offset(number), f["amplitude"], f["shift"])).reshape(shape)
        if self.kind == "values":
            return torch.tensor(f["list"], dtype=torch.float64).reshape(shape)
        if self.kind == "indices":
            return torch.tensor([(7 * i + 3) % f["below"] for i in range(count)], dtype=torch.int64).reshape(shape)
        if self.kind == "integers":
            return torch.tensor(f["list"], dtype=torch.int64).reshape(shape)
        return torch.tensor([v > 0 for v in waves(count, 1.0)], dtype=torch.bool).reshape(shape)

    def view(self, memory):
        if self.layout == "transposed":
            return memory.transpose(-1, -2)
        if self.layout == "sliced":
            return memory[..., 1::2]
        if self.layout == "narrowed":
            return memory[1:]
        if self.layout == "broadcast":
            return memory.expand(self.shape)
        return memory


def waves(count, offset, amplitude=1.0, shift=0.0):
    return [shift + amplitude * math.sin(offset + 0.7 * i + 0.013 * i * i) for i in range(count)]


def wave(*shape, layout="contiguous", offset=None, amplitude=1, shift=0):
    return Input("wave", shape, layout, offset=offset, amplitude=float(amplitude), shift=float(shift))


def values(list, shape=None):
    return Input("values", shape or [len(list)], list=[float(v) for v in list])


def integers(list, shape=None):
    return Input("integers", [len(list)] if shape is None else shape, list=list)


def indices(*shape, below):
    return Input("indices", shape, below=below)


def mask(*shape):
    return Input("mask", shape)


def case(name, *inputs, f):
    """One row. `f` takes the tensors one by one and returns a tensor or several."""
    CASES.append((name, inputs, f))


def number_text(v):
    if isinstance(v, (bool, int)):
        return str(int(v))
    return f"{v:.12g}"


def numbers(t):
    return " ".join(number_text(v) for v in t.detach().reshape(-1).tolist())


def evaluate(inputs, f):
    memory = [x.memory(i) for i, x in enumerate(inputs)]
    leaves = [m.requires_grad_() for m in memory if m.is_floating_point()]
    outputs = f(*[x.view(m) for x, m in zip(inputs, memory)])
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
    parts = []
    for y in outputs:
        if y.requires_grad:
            weights = torch.tensor(waves(y.numel(), 0.4, shift=0.3)).reshape(y.shape)
            parts.append((y * weights.to(y.dtype)).sum())
    if parts:
        found = torch.autograd.grad(sum(parts), leaves, allow_unused=True)
    else:
        found = [None] * len(leaves)
    found = [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found)]
    row = lambda t: {"shape": list(t.shape), "values": numbers(t)}
    return {
        "inputs": [x.describe(i) for i, x in enumerate(inputs)],
        "outputs": [row(y) for y in outputs],
        "gradients": [row(g) for g in found],
    }


T, S = "transposed", "sliced"
inf, nan = math.inf, math.nan
