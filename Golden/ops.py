"""Golden values and gradients of every operation, from PyTorch in float64.

    pip install torch numpy
    python Golden/ops.py

writes Tests/CoreTests/Golden/ops.json. Every row has the name of a case of `OpTable` (Sources/FledgeTesting) and builds
the same inputs by the same formula; the Swift test compares the description of the inputs, the values of all outputs and
the gradients of all inputs, and fails when a row is missing on either side. Images are NHWC in Fledge and NCHW here, so
image operations are permuted around the call.
"""

import json
import math
import os
import warnings

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
# PyTorch warns about a variance of one number and about the mean of kl_div; both are wanted here.
warnings.filterwarnings("ignore", category=UserWarning)

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


# Functions of one tensor


def every_unary(name, f, amplitude=1, shift=0):
    make = lambda *shape, layout="contiguous": wave(*shape, layout=layout, amplitude=amplitude, shift=shift)
    case(name, make(3, 5), f=f)
    case(name + " transposed", make(2, 3, 2, layout="transposed"), f=f)
    case(name + " sliced", make(2, 3, layout="sliced"), f=f)
    case(name + " broadcast", make(3, 2, layout="broadcast"), f=f)
    case(name + " scalar", make(), f=f)
    case(name + " empty", make(0, 3), f=f)


every_unary("- prefix", lambda x: -x)
every_unary("abs", torch.abs)
every_unary("sign", torch.sign)
every_unary("exp", torch.exp, amplitude=3)
every_unary("log", torch.log, shift=1.5)
every_unary("log1p", torch.log1p, shift=0.5)
every_unary("expm1", torch.expm1)
every_unary("sqrt", torch.sqrt, shift=1.5)
every_unary("rsqrt", torch.rsqrt, shift=1.5)
every_unary("reciprocal", torch.reciprocal, shift=1.5)
every_unary("square", torch.square)
every_unary("sin", torch.sin, amplitude=7)
every_unary("cos", torch.cos, amplitude=7)
every_unary("tanh", torch.tanh, amplitude=2)
every_unary("sigmoid", torch.sigmoid, amplitude=4)
# PyTorch turns to the identity above the threshold, which costs digits in float64.
every_unary("softplus", lambda x: F.softplus(x, threshold=300), amplitude=4)
every_unary("relu", torch.relu)
every_unary("leakyRelu", lambda x: F.leaky_relu(x, 0.2))
every_unary("elu", lambda x: F.elu(x, 0.7), amplitude=2)
every_unary("erf", torch.erf, amplitude=2)
every_unary("gelu", F.gelu, amplitude=3)
every_unary("geluTanh", lambda x: F.gelu(x, approximate="tanh"), amplitude=3)
every_unary("silu", F.silu, amplitude=4)
every_unary("clamped", lambda x: x.clamp(-0.5, 0.45))
every_unary("floor", torch.floor, amplitude=3)
every_unary("ceil", torch.ceil, amplitude=3)
every_unary("rounded", torch.round, amplitude=3)
every_unary("pow number", lambda x: x**2.5, shift=1.5)
every_unary("pow square", lambda x: x**2)
every_unary("pow cube", lambda x: x**3)
every_unary("+ number", lambda x: x + 1.5)
every_unary("- number", lambda x: x - 1.5)
every_unary("* number", lambda x: x * -1.5)
every_unary("/ number", lambda x: x / 1.5)
every_unary("+ to number", lambda x: 1.5 + x)
every_unary("- from number", lambda x: 1.5 - x)
every_unary("* to number", lambda x: 1.5 * x)
every_unary("/ into number", lambda x: 1.5 / x, shift=1.5)

inf, nan = math.inf, math.nan
corners = values([-2, -0.5, 0, 0.5, 3])
case("abs at 0", corners, f=torch.abs)
case("relu at 0", corners, f=torch.relu)
case("leakyRelu at 0", corners, f=lambda x: F.leaky_relu(x, 0.2))
case("elu at 0", corners, f=lambda x: F.elu(x, 0.7))
case("sign at 0", corners, f=torch.sign)
case("sqrt at 0", values([0, 4]), f=torch.sqrt)
case("pow at 0", values([0, 1, 2]), f=lambda x: x**2.5)
case("pow to 0", values([0, 1, 2]), f=lambda x: x**0)
case("clamped at bounds", corners, f=lambda x: x.clamp(-0.5, 0.5))
case("rounded ties", values([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]), f=torch.round)
extremes = values([-200, -90, -30, 30, 90, 200])
case("sigmoid extremes", extremes, f=torch.sigmoid)
case("softplus extremes", extremes, f=lambda x: F.softplus(x, threshold=300))
case("tanh extremes", extremes, f=torch.tanh)
case("silu extremes", extremes, f=F.silu)
case("gelu extremes", extremes, f=F.gelu)
case("geluTanh extremes", extremes, f=lambda x: F.gelu(x, approximate="tanh"))
case("erf extremes", extremes, f=torch.erf)
case("elu extremes", extremes, f=F.elu)
small = values([-1e-5, -3e-7, 1e-9, 2e-6])
case("log1p small", small, f=lambda x: torch.log1p(x) * 1e6)
case("expm1 small", small, f=lambda x: torch.expm1(x) * 1e6)
odd = values([-inf, -1, 0, inf, nan])
case("exp infinite", values([-inf, -200, 0]), f=torch.exp)
case("log of 0", values([0, 1]), f=torch.log)
case("relu not a number", odd, f=lambda x: torch.relu(x.detach()))
case("clamped not a number", odd, f=lambda x: x.clamp(-0.5, 0.5))
case("isNaN", odd, f=torch.isnan)
case("isFinite", odd, f=torch.isfinite)


# Arithmetic, comparison, selection


def every_binary(name, f, shift=0):
    make = lambda *shape, layout="contiguous": wave(*shape, layout=layout, shift=shift)
    case(name, make(3, 5), make(3, 5), f=f)
    case(name + " broadcast row", make(2, 3, 4), make(4), f=f)
    case(name + " broadcast column", make(3, 1), make(3, 4), f=f)
    case(name + " broadcast both", make(2, 1, 3), make(4, 1), f=f)
    case(name + " scalar", make(), make(2, 3), f=f)
    case(name + " strided", make(3, 4, layout="transposed"), make(3, 4, layout="sliced"), f=f)
    case(name + " expanded", make(3, 4, layout="broadcast"), make(3, 4, layout="narrowed"), f=f)
    case(name + " empty", make(0, 3), make(1, 3), f=f)


every_binary("+", torch.add)
every_binary("-", torch.sub)
every_binary("*", torch.mul)
every_binary("/", torch.div, shift=1.7)
every_binary("pow", torch.pow, shift=1.7)
every_binary("maximum", torch.maximum)
every_binary("minimum", torch.minimum)
case("+=", wave(2, 3), wave(3), f=torch.add)
case("-=", wave(2, 3), wave(3), f=torch.sub)
case("*=", wave(2, 3), wave(3), f=torch.mul)
case("/=", wave(2, 3), wave(3, shift=2), f=torch.div)
left, right = values([1, 2, 3, 0]), values([2, 2, 1, 0])
case("maximum ties", left, right, f=torch.maximum)
case("minimum ties", left, right, f=torch.minimum)
odd_four = values([nan, 1, inf, -inf])
case("maximum not a number", odd_four, right, f=lambda a, b: torch.maximum(a.detach(), b.detach()))
case("minimum not a number", odd_four, right, f=lambda a, b: torch.minimum(a.detach(), b.detach()))
case("pow of 0", values([0, 0, 0, 2]), values([0, 1, 2, 0]), f=torch.pow)
case("+ integers", indices(2, 3, below=5), indices(3, below=4), f=torch.add)
case("* integers", indices(2, 3, below=5), indices(3, below=4), f=torch.mul)
case("- integers", indices(2, 3, below=5), integers([9, -4, 1]), f=torch.sub)
case("/ integers truncate", integers([7, -7, 8, 0]), integers([2, 2, -3, 5]),
     f=lambda a, b: torch.div(a, b, rounding_mode="trunc"))
case("maximum integers", indices(2, 3, below=5), integers([2, 3, 1]), f=torch.maximum)

for name, f in [(".==", torch.eq), (".!=", torch.ne), (".<", torch.lt), (".<=", torch.le), (".>", torch.gt), (".>=", torch.ge)]:
    case(name, left, right, f=f)
    case(name + " broadcast", wave(3, 1), wave(2, 1, 4), f=f)
    case(name + " strided", wave(3, 4, layout="transposed"), wave(3, 4, layout="sliced"), f=f)
    case(name + " not a number", odd_four, odd_four, f=f)
    case(name + " integers", indices(5, below=3), indices(5, below=4), f=f)
    case(name + " empty", wave(0, 2), wave(2), f=f)
    case(name + " number", left, f=lambda x, f=f: f(x, 2))
case(".!", mask(3, 4), f=torch.logical_not)
case(".&", mask(3, 4), mask(4), f=torch.logical_and)
case(".|", mask(3, 4), mask(4), f=torch.logical_or)
case("where", mask(3, 4), wave(3, 4), wave(3, 4), f=torch.where)
case("where broadcast", mask(4), wave(3, 1), wave(2, 1, 1), f=torch.where)
case("where strided", mask(3, 4), wave(3, 4, layout="transposed"), wave(3, 4, layout="sliced"), f=torch.where)
case("where empty", mask(0, 4), wave(4), wave(1, 4), f=torch.where)
case("maskedFill", wave(3, 4), mask(4), f=lambda x, m: x.masked_fill(m, -2.5))
case("cast to integers", values([-1.7, 0.2, 3.9]), f=lambda x: x.long())
case("cast to bool", values([-1.7, 0, 3.9]), f=lambda x: x.bool())
case("cast to bfloat16", wave(2, 3, amplitude=300), f=lambda x: x.bfloat16().float())


# Reductions


def every_reduction(name, f, shift=0):
    make = lambda *shape, layout="contiguous": wave(*shape, layout=layout, shift=shift)
    case(name, make(3, 4), f=lambda x: f(x, tuple(range(x.dim())), False))
    case(name + " scalar", make(), f=lambda x: f(x.reshape(1), (0,), False))
    case(name + " last axis", make(3, 5), f=lambda x: f(x, (-1,), False))
    case(name + " first axis", make(3, 5), f=lambda x: f(x, (0,), True))
    case(name + " middle axis", make(2, 3, 2), f=lambda x: f(x, (1,), False))
    case(name + " outer axes", make(2, 3, 2), f=lambda x: f(x, (0, 2), True))
    case(name + " transposed", make(2, 3, 2, layout="transposed"), f=lambda x: f(x, (1,), False))
    case(name + " sliced", make(3, 3, layout="sliced"), f=lambda x: f(x, (1,), False))
    case(name + " broadcast", make(3, 2, layout="broadcast"), f=lambda x: f(x, (0,), False))
    case(name + " no rows", make(0, 3), f=lambda x: f(x, (1,), False))


every_reduction("sum", lambda x, d, k: x.sum(d, keepdim=k))
every_reduction("mean", lambda x, d, k: x.mean(d, keepdim=k))
every_reduction("variance", lambda x, d, k: x.var(d, correction=0, keepdim=k))
every_reduction("max", lambda x, d, k: x.amax(d, keepdim=k))
every_reduction("min", lambda x, d, k: x.amin(d, keepdim=k))
every_reduction("norm", lambda x, d, k: torch.linalg.vector_norm(x, 2, d, keepdim=k))
every_reduction("norm cubic", lambda x, d, k: torch.linalg.vector_norm(x, 3, d, keepdim=k))
every_reduction("norm absolute", lambda x, d, k: torch.linalg.vector_norm(x, 1, d, keepdim=k))
every_reduction("norm largest", lambda x, d, k: torch.linalg.vector_norm(x, inf, d, keepdim=k))
case("sum empty", wave(0, 3), f=lambda x: x.sum(0))
case("sum nothing", wave(2, 0), f=lambda x: x.sum())
case("sum integers", indices(3, 4, below=5), f=lambda x: x.sum(1))
case("variance unbiased", wave(3, 4), f=lambda x: x.var(1))
case("standardDeviation", wave(3, 4), f=lambda x: x.std(1, correction=0))
case("standardDeviation unbiased", wave(3, 4, layout="transposed"), f=lambda x: x.std(0, keepdim=True))
case("product", wave(3, 4, shift=1.5), f=lambda x: x.prod())
case("product last axis", wave(3, 4, shift=1.5, layout="transposed"), f=lambda x: x.prod(1, keepdim=True))
case("product empty", wave(3, 0), f=lambda x: x.prod(1))
case("product with zeros", values([1, 2, 3, 0, 5, 6, 0, 8, 0], [3, 3]), f=lambda x: x.prod(1))
ties = values([1, 3, 3, 2, 2, 2, -1, 0, -1], [3, 3])
case("max ties", ties, f=lambda x: x.amax(1))
case("min ties", ties, f=lambda x: x.amin(1))
case("max not a number", values([1, nan, 3, 2], [2, 2]), f=lambda x: x.detach().amax(1))
case("norm at 0", values([0, 0, 3, 4], [2, 2]), f=lambda x: torch.linalg.vector_norm(x, 2, 1))
case("norm cubic at 0", values([0, 0, 3, 4], [2, 2]), f=lambda x: torch.linalg.vector_norm(x, 3, 1))
for name, f in [("argmax", torch.argmax), ("argmin", torch.argmin)]:
    case(name, wave(3, 5), f=lambda x, f=f: f(x, -1))
    case(name + " first axis", wave(3, 5, layout="sliced"), f=lambda x, f=f: f(x, 0, True))
    case(name + " transposed", wave(2, 3, 4, layout="transposed"), f=lambda x, f=f: f(x, 1))
    case(name + " ties", ties, f=lambda x, f=f: f(x, 1))
case("logSumExp", wave(3, 5, amplitude=3), f=lambda x: x.logsumexp(-1))
case("logSumExp first axis", wave(3, 5, layout="transposed"), f=lambda x: x.logsumexp(0, True))
case("logSumExp far", values([1000, 1001, -1000, -1002], [2, 2]), f=lambda x: x.logsumexp(-1))
case("logSumExp infinite", values([-inf, 1, -inf, -inf, 2, 0], [3, 2]), f=lambda x: x.logsumexp(-1))
case("cumulativeSum", wave(3, 4), f=lambda x: x.cumsum(1))
case("cumulativeSum first axis", wave(3, 2, 2, layout="transposed"), f=lambda x: x.cumsum(0))
case("cumulativeSum empty", wave(0, 2), f=lambda x: x.cumsum(0))
case("cumulativeSum integers", indices(6, below=5), f=lambda x: x.cumsum(0))
case("any", mask(7), f=lambda x: (x.any().reshape(1), (x & ~x).any().reshape(1)))
case("all", mask(7), f=lambda x: (x.all().reshape(1), (x | ~x).all().reshape(1)))
for name, f in [("softmax", torch.softmax), ("logSoftmax", torch.log_softmax)]:
    case(name, wave(3, 5, amplitude=3), f=lambda x, f=f: f(x, -1))
    case(name + " first axis", wave(3, 4), f=lambda x, f=f: f(x, 0))
    case(name + " middle axis", wave(2, 3, 2), f=lambda x, f=f: f(x, 1))
    case(name + " strided", wave(3, 3, layout="transposed"), f=lambda x, f=f: f(x, -1))
    case(name + " sliced", wave(3, 3, layout="sliced"), f=lambda x, f=f: f(x, -1))
    case(name + " one", wave(3, 1), f=lambda x, f=f: f(x, -1))
    case(name + " empty", wave(0, 3), f=lambda x, f=f: f(x, -1))
    case(name + " far", values([1000, 1001, -1000, -1002], [2, 2]), f=lambda x, f=f: f(x, -1))
    case(name + " masked", values([-inf, 1, 0.5, 2, -inf, -inf], [2, 3]), f=lambda x, f=f: f(x, -1))


# Rearranging, slicing, joining

case("reshaped", wave(3, 4), f=lambda x: x.reshape(2, -1))
case("reshaped transposed", wave(2, 3, 4, layout="transposed"), f=lambda x: x.reshape(6, 4))
case("reshaped splits an axis", wave(4, 6, layout="transposed"), f=lambda x: x.reshape(2, 2, 6))
case("reshaped sliced", wave(2, 4, layout="sliced"), f=lambda x: x.reshape(8))
case("reshaped broadcast", wave(3, 4, layout="broadcast"), f=lambda x: x.reshape(2, 6))
case("reshaped ones", wave(1, 3, 1, 2, layout="transposed"), f=lambda x: x.reshape(3, 1, 2, 1))
case("reshaped empty", wave(0, 3), f=lambda x: x.reshape(3, 0, 2))
case("flattened", wave(2, 3, 2), f=lambda x: x.flatten(1, 2))
case("flattened transposed", wave(2, 3, 2, layout="transposed"), f=lambda x: x.flatten(0, 1))
case("squeezed", wave(3, 1, 2), f=lambda x: x.squeeze(1))
case("unsqueezed", wave(3, 2, layout="transposed"), f=lambda x: x.unsqueeze(-1))
case("permuted", wave(2, 3, 4), f=lambda x: x.permute(2, 0, 1))
case("permuted sliced", wave(2, 3, 2, layout="sliced"), f=lambda x: x.permute(-1, 0, 1) * 2)
case("transposed", wave(2, 3, 4), f=lambda x: x.transpose(-1, -2))
case("transposed outer", wave(2, 3, 4), f=lambda x: x.transpose(0, 1).exp())
case("movedAxis", wave(2, 3, 4), f=lambda x: x.movedim(0, -1))
case("expanded", wave(3, 1), f=lambda x: x.expand(2, 3, 4))
case("contiguous", wave(3, 4, layout="transposed"), f=lambda x: x.contiguous())
case("copied", wave(3, 4, layout="sliced"), f=lambda x: x.clone())
case("flipped", wave(2, 3, 2), f=lambda x: x.flip(0, -1))
case("rolled", wave(2, 5), f=lambda x: x.roll(2, 1))
case("rolled back", wave(5, 2, layout="transposed"), f=lambda x: x.roll(-7, 0))
for quarters in range(-1, 5):
    case(f"rotated90 {quarters}", wave(2, 3, 4, 2), f=lambda x, q=quarters: x.rot90(q, (1, 2)))
case("tiled", wave(2, 3), f=lambda x: x.tile(2, 1, 3))
case("tiled none", wave(2, 3), f=lambda x: x.tile(0, 2))
case("repeated", wave(2, 3), f=lambda x: x.repeat_interleave(3, 1))
for diagonal in [-1, 0, 2]:
    case(f"upperTriangle {diagonal}", wave(2, 3, 4), f=lambda x, d=diagonal: x.triu(d))
    case(f"lowerTriangle {diagonal}", wave(4, 3, layout="transposed"), f=lambda x, d=diagonal: x.tril(d))
case("subscript", wave(3, 4), f=lambda x: x[1, 1:3])
case("subscript negative", wave(3, 4, 2), f=lambda x: x[..., -1])
case("subscript steps", wave(5, 4), f=lambda x: x[1::2, :3])
case("subscript new axis", wave(3, 4, layout="transposed"), f=lambda x: x[1:, None, 2])
case("subscript empty", wave(3, 4), f=lambda x: x[2:2])
case("padded", wave(2, 3), f=lambda x: F.pad(x, (2, 1, 1, 0)))
case("padded value", wave(2, 3, layout="transposed"), f=lambda x: F.pad(x, (1, 2, 0, 1), value=-1.5))
case("reflectPadded", wave(2, 4), f=lambda x: F.pad(x, (2, 3), mode="reflect"))
case("replicatePadded", wave(2, 3), f=lambda x: F.pad(x.T, (1, 2), mode="replicate").T)
case("split", wave(2, 6), f=lambda x: x.split(2, 1))
case("split sizes", wave(2, 6, layout="transposed"), f=lambda x: x.split([1, 0, 5], 1))
case("chunked", wave(7, 2), f=lambda x: x.chunk(3, 0))
case("narrowed", wave(3, 5), f=lambda x: x.narrow(1, 1, 3))
case("concatenate", wave(2, 3), wave(2, 1), wave(2, 0), f=lambda *x: torch.cat(x, 1))
case("concatenate strided", wave(3, 2, layout="transposed"), wave(1, 2, layout="sliced"), f=lambda *x: torch.cat(x))
case("stack", wave(2, 3), wave(2, 3, layout="transposed"), f=lambda *x: torch.stack(x, 1))
case("stack last", wave(3), wave(3), f=lambda *x: torch.stack(x, -1))


# Indexing

case("indexSelect", wave(4, 3), integers([2, 0, 2, 3, 3]), f=lambda x, i: x.index_select(0, i))
case("indexSelect last axis", wave(2, 4, layout="transposed"), integers([3, 1, 1]), f=lambda x, i: x.index_select(1, i))
case("indexSelect list", wave(2, 4), f=lambda x: x[:, [3, 0]])
case("indexSelect none", wave(4, 3), integers([]), f=lambda x, i: x.index_select(0, i))
case("indexAdd", wave(5, 2), integers([2, 0, 2, 3, 3]), f=lambda x, i: torch.zeros(6, 2).index_add(0, i, x))
case("indexAdd last axis", wave(2, 3, layout="sliced"), integers([1, 0, 1]), f=lambda x, i: torch.zeros(2, 2).index_add(1, i, x))
case("gather", wave(3, 4), integers([0, 3, 1, 1, 2, 0], [3, 2]), f=lambda x, i: x.gather(1, i))
case("gather first axis", wave(3, 2, layout="transposed"), integers([0, 2, 1, 1], [2, 2]), f=lambda x, i: x.gather(0, i))
case("scatterAdd", wave(3, 2), integers([0, 3, 1, 1, 2, 0], [3, 2]), f=lambda x, i: torch.zeros(3, 4).scatter_add(1, i, x))
case("scatterAdd first axis", wave(2, 2, layout="sliced"), integers([0, 2, 0, 1], [2, 2]),
     f=lambda x, i: torch.zeros(3, 2).scatter_add(0, i, x))
case("embedding", wave(5, 3), integers([4, 0, 0, 2, 4, 1], [2, 3]), f=lambda w, i: F.embedding(i, w))
case("embedding none", wave(5, 3), integers([], [0, 2]), f=lambda w, i: F.embedding(i, w))
case("oneHot", integers([2, 0, 1, 3], [2, 2]), f=lambda i: F.one_hot(i, 4).double())
row = values([3, -1, 2, 2, 5, -1, 0, 2], [2, 4])
for descending in [False, True]:
    name = " descending" if descending else ""
    case("argsort" + name, row, f=lambda x, d=descending: x.argsort(dim=-1, descending=d, stable=True))
    case("argsort first axis" + name, wave(5, 3), f=lambda x, d=descending: x.argsort(dim=0, descending=d, stable=True))
    case("sorted" + name, wave(3, 5), f=lambda x, d=descending: tuple(torch.sort(x, dim=-1, descending=d, stable=True)))
    case("topK" + (" smallest" if descending else ""), wave(5, 3, layout="transposed"),
         f=lambda x, d=descending: tuple(x.topk(2, 0, largest=not d, sorted=True)))
case("argsort not a number", values([2, nan, 1, inf]), f=lambda x: x.argsort(stable=True))
case("unique", row, f=lambda x: torch.unique(x.detach(), return_inverse=True, return_counts=True))


# Products


def product(name, a, b):
    case("matmul" + name, a, b, f=torch.matmul)


T, S = "transposed", "sliced"
product("", wave(3, 4), wave(4, 2))
product(" left transposed", wave(3, 4, layout=T), wave(4, 2))
product(" right transposed", wave(3, 4), wave(4, 2, layout=T))
product(" both transposed", wave(3, 4, layout=T), wave(4, 2, layout=T))
product(" sliced", wave(3, 4, layout=S), wave(4, 2, layout=S))
product(" vector", wave(3, 4), wave(4))
product(" vector left", wave(4), wave(4, 3))
product(" vectors", wave(4), wave(4))
product(" batched", wave(2, 3, 4), wave(2, 4, 2))
product(" batched transposed", wave(2, 3, 4, layout=T), wave(2, 4, 2, layout=T))
product(" one right side", wave(2, 3, 4), wave(4, 2))
product(" one left side", wave(3, 4), wave(2, 4, 2))
product(" broadcast batch", wave(2, 1, 2, 3), wave(3, 3, 2))
product(" expanded batch", wave(2, 2, 3, layout="broadcast"), wave(2, 3, 2))
product(" batched vector", wave(2, 3, 4), wave(4))
product(" no rows", wave(0, 4), wave(4, 2))
product(" no terms", wave(3, 0), wave(0, 2))
product(" no batch", wave(0, 3, 4), wave(0, 4, 2))
case("linear", wave(3, 4), wave(2, 4), wave(2), f=F.linear)
case("linear without bias", wave(3, 4, layout=T), wave(2, 4, layout=T), f=F.linear)
case("linear batched", wave(2, 3, 4), wave(2, 4), wave(2), f=F.linear)
case("linear empty", wave(0, 4), wave(2, 4), wave(2), f=F.linear)
case("outer", wave(3), wave(4), f=torch.outer)
case("outer empty", wave(0), wave(4), f=torch.outer)

# Images: ours are [N, H, W, C]


def on_images(f):
    """Wraps a function of NCHW images: the first input and the output are permuted."""
    def wrapped(x, *rest):
        return f(x.permute(0, 3, 1, 2), *rest).permute(0, 2, 3, 1)
    return wrapped


def on_sequences(f):
    return lambda x, *rest: f(x.transpose(1, 2), *rest).transpose(1, 2)


def conv(**settings):
    return on_images(lambda x, w, b=None: F.conv2d(x, w, b, **settings))


def conv_transposed(**settings):
    return on_images(lambda x, w, b=None: F.conv_transpose2d(x, w, b, **settings))


x, w, b = wave(1, 5, 4, 2), wave(3, 2, 3, 3), wave(3)
case("convolution2D", x, w, b, f=conv(padding=1))
case("convolution2D stride", x, w, f=conv(stride=(2, 1), padding=(1, 2)))
case("convolution2D leftover", wave(1, 6, 5, 1), wave(1, 1, 3, 2), f=conv(stride=2))
case("convolution2D dilation", x, wave(1, 2, 2, 2), wave(1), f=conv(padding=(1, 0), dilation=(2, 3)))
case("convolution2D groups", wave(1, 3, 3, 4), wave(2, 2, 2, 2), wave(2), f=conv(padding=(1, 0), groups=2))
case("convolution2D depthwise", wave(2, 3, 3, 3), wave(3, 1, 3, 3), f=conv(stride=2, padding=1, groups=3))
case("convolution2D point", wave(2, 3, 2, 3), wave(2, 3, 1, 1), wave(2), f=conv())
case("convolution2D point stride", wave(1, 3, 4, 2), wave(3, 2, 1, 1), f=conv(stride=2))
case("convolution2D strided views", wave(1, 3, 4, 2, layout=T), wave(2, 2, 2, 3, layout=T), wave(2, layout=S),
     f=conv(padding=(0, 1)))
case("convolution2D sliced", wave(2, 3, 3, 2, layout=S), wave(2, 2, 2, 2, layout="narrowed"), f=conv())
case("convolution2D one pixel", wave(1, 1, 1, 2), w, f=conv(padding=1))
case("convolution2D empty", wave(0, 4, 4, 2), w, b, f=conv())
case("convolution1D", wave(2, 5, 2), wave(3, 2, 3), wave(3), f=on_sequences(lambda x, w, b: F.conv1d(x, w, b, padding=1)))
case("convolution1D stride", wave(1, 7, 2, layout=T), wave(2, 1, 2),
     f=on_sequences(lambda x, w: F.conv1d(x, w, stride=2, padding=1, dilation=2, groups=2)))
case("transposedConvolution2D", wave(1, 3, 2, 2), wave(2, 3, 2, 3), wave(3), f=conv_transposed())
case("transposedConvolution2D stride", wave(1, 2, 3, 2), wave(2, 1, 3, 3),
     f=conv_transposed(stride=(2, 3), padding=1, output_padding=(1, 2)))
case("transposedConvolution2D dilation", wave(1, 2, 2, 2), wave(2, 2, 2, 2, layout=T), wave(4),
     f=conv_transposed(padding=(1, 0), dilation=(2, 1), groups=2))
case("transposedConvolution2D empty", wave(0, 2, 2, 2), wave(2, 3, 2, 2), f=conv_transposed())
case("transposedConvolution1D", wave(1, 4, 2), wave(2, 3, 3), wave(3),
     f=on_sequences(lambda x, w, b: F.conv_transpose1d(x, w, b, stride=2, padding=1, output_padding=1)))


def images(function, *args, **settings):
    return on_images(lambda x: function(x, *args, **settings))


case("maxPool2D", wave(1, 4, 4, 2), f=images(F.max_pool2d, 2))
case("maxPool2D overlapping", wave(2, 5, 4, 2, layout=T), f=images(F.max_pool2d, 3, (2, 1), 1))
case("maxPool2D dilation", wave(1, 6, 5, 1), f=images(F.max_pool2d, (2, 3), 1, 1, 2))
case("maxPool2D ceiling", wave(1, 5, 4, 2, layout=S), f=images(F.max_pool2d, (2, 3), 2, ceil_mode=True))
case("maxPool2D ties", values([1, 1, 1, 1], [1, 2, 2, 1]), f=images(F.max_pool2d, 2))
case("maxPool2D empty", wave(0, 4, 4, 2), f=images(F.max_pool2d, 2))
case("averagePool2D", wave(1, 4, 4, 2), f=images(F.avg_pool2d, 2))
case("averagePool2D padding", wave(1, 5, 4, 2, layout=T), f=images(F.avg_pool2d, 3, 2, 1))
case("averagePool2D counts inside", wave(1, 5, 4, 2), f=images(F.avg_pool2d, (3, 2), 2, 1, count_include_pad=False))
case("averagePool2D ceiling", wave(1, 5, 4, 2), f=images(F.avg_pool2d, (2, 3), 2, 1, ceil_mode=True))
case("averagePool2D ceiling counts inside", wave(1, 5, 4, 1),
     f=images(F.avg_pool2d, (2, 3), 2, 1, ceil_mode=True, count_include_pad=False))
case("averagePool2D empty", wave(0, 4, 4, 2), f=images(F.avg_pool2d, 2))
case("adaptiveAveragePool2D", wave(1, 4, 6, 2), f=images(F.adaptive_avg_pool2d, (2, 3)))
case("adaptiveAveragePool2D uneven", wave(2, 5, 4, 2), f=images(F.adaptive_avg_pool2d, (3, 3)))
case("adaptiveAveragePool2D larger", wave(1, 2, 3, 2), f=images(F.adaptive_avg_pool2d, (3, 4)))
case("adaptiveAveragePool2D one", wave(1, 3, 2, 2, layout=T), f=images(F.adaptive_avg_pool2d, 1))
case("adaptiveMaxPool2D", wave(1, 4, 6, 2), f=images(F.adaptive_max_pool2d, (2, 3)))
case("adaptiveMaxPool2D uneven", wave(2, 5, 4, 2), f=images(F.adaptive_max_pool2d, (3, 3)))
case("globalAveragePool2D", wave(2, 3, 4, 2), f=lambda x: x.mean((1, 2)))

case("resized nearest", wave(1, 3, 4, 2), f=images(F.interpolate, (5, 2), mode="nearest"))
for corners in [False, True]:
    suffix, c = " corners" if corners else "", {"align_corners": corners}
    case("resized bilinear" + suffix, wave(2, 3, 4, 1), f=images(F.interpolate, (5, 3), mode="bilinear", **c))
    case("resized bilinear one" + suffix, wave(1, 3, 4, 2, layout=T), f=images(F.interpolate, (1, 6), mode="bilinear", **c))
    case("resized bicubic" + suffix, wave(1, 3, 4, 2), f=images(F.interpolate, (5, 6), mode="bicubic", **c))
    case("resized bicubic smaller" + suffix, wave(1, 5, 6, 1), f=images(F.interpolate, (3, 2), mode="bicubic", **c))
case("resized bilinear antialias", wave(1, 7, 6, 1), f=images(F.interpolate, (3, 4), mode="bilinear", antialias=True))
case("resized bicubic antialias", wave(1, 7, 9, 1), f=images(F.interpolate, (3, 4), mode="bicubic", antialias=True))
case("resized same size", wave(1, 3, 2, 2), f=images(F.interpolate, (3, 2), mode="bilinear"))
case("resized empty", wave(0, 3, 4, 2), f=images(F.interpolate, (2, 2), mode="bilinear"))


def grid_sample(mode, padding, corners):
    return on_images(lambda x, grid: F.grid_sample(x, grid, mode, padding, corners))


image, grid = wave(2, 3, 4, 2), wave(2, 2, 3, 2, amplitude=1.6)
for name, padding in [("", "zeros"), (" border", "border"), (" reflection", "reflection")]:
    for corners in [False, True]:
        suffix = name + (" corners" if corners else "")
        case("gridSampled" + suffix, image, grid, f=grid_sample("bilinear", padding, corners))
        case("gridSampled nearest" + suffix, image, grid, f=grid_sample("nearest", padding, corners))
case("gridSampled strided", wave(1, 3, 4, 2, layout=T), wave(1, 2, 2, 2, layout=T), f=grid_sample("bilinear", "zeros", False))
case("unfolded", wave(1, 4, 3, 2), f=lambda x: F.unfold(x.permute(0, 3, 1, 2), 2).transpose(1, 2))
case("unfolded stride", wave(2, 4, 5, 1, layout=T),
     f=lambda x: F.unfold(x.permute(0, 3, 1, 2), (2, 3), (2, 1), 1, (2, 1)).transpose(1, 2))
case("folded", wave(1, 6, 8), f=lambda x: F.fold(x.transpose(1, 2), (4, 3), 2).permute(0, 2, 3, 1))
case("folded stride", wave(2, 4, 6, layout=T),
     f=lambda x: F.fold(x.transpose(1, 2), (3, 4), (2, 3), stride=2, padding=1).permute(0, 2, 3, 1))
case("padded2D", wave(1, 2, 3, 2), f=images(F.pad, (0, 3, 1, 2)))
case("padded2D value", wave(1, 2, 3, 2), f=images(F.pad, (2, 1, 1, 0), value=-1.5))
case("padded2D reflect", wave(1, 3, 4, 2, layout=T), f=images(F.pad, (1, 3, 2, 1), mode="reflect"))
case("padded2D replicate", wave(1, 2, 3, 2, layout=S), f=images(F.pad, (1, 3, 2, 0), mode="replicate"))
case("pixelShuffled", wave(1, 2, 3, 8), f=images(F.pixel_shuffle, 2))
case("pixelUnshuffled", wave(1, 4, 2, 3), f=images(F.pixel_unshuffle, 2))


# Normalisation: ours keep channels last


def batch_norm(eps=1e-5, relu=False):
    def f(x, w=None, b=None):
        y = F.batch_norm(x.movedim(-1, 1), None, None, w, b, training=True, eps=eps).movedim(1, -1)
        return y.relu() if relu else y
    return f


def batch_norm_given(relu=False):
    def f(x, w, b, i):
        y = F.batch_norm(x.movedim(-1, 1), i * 0.2, i * 0.3 + 0.5, w, b).movedim(1, -1)
        return y.relu() if relu else y
    return f


def batch_norm_statistics(x):
    return batch_norm()(x), x.detach().mean(0), x.detach().var(0, correction=0)


w, b = wave(3, shift=1.5), wave(3)
case("batchNorm", wave(6, 3), w, b, f=batch_norm())
case("batchNorm images", wave(2, 3, 2, 3), w, b, f=batch_norm(eps=1e-3))
case("batchNorm plain", wave(4, 3, layout=T), f=batch_norm())
case("batchNorm relu", wave(6, 3), w, b, f=batch_norm(relu=True))
case("batchNorm statistics", wave(6, 3), f=batch_norm_statistics)
case("batchNorm empty", wave(0, 3), w, b, f=lambda x, w, b: x * w + b)
given = indices(3, below=3)
case("batchNorm given", wave(4, 3), w, b, given, f=batch_norm_given())
case("batchNorm given relu", wave(2, 3, 3, layout=S), w, b, given, f=batch_norm_given(relu=True))
case("layerNorm", wave(4, 3), w, b, f=lambda x, w, b: F.layer_norm(x, (3,), w, b))
case("layerNorm plain", wave(2, 2, 4, layout=T), f=lambda x: F.layer_norm(x, (4,), eps=1e-3))
case("layerNorm weight only", wave(2, 2, 3, layout=S), w, f=lambda x, w: F.layer_norm(x, (3,), w))
case("layerNorm empty", wave(0, 3), w, b, f=lambda x, w, b: F.layer_norm(x, (3,), w, b))
w, b = wave(4, shift=1.5), wave(4)
case("groupNorm", wave(2, 2, 2, 4), w, b, f=lambda x, w, b: F.group_norm(x.movedim(-1, 1), 2, w, b).movedim(1, -1))
case("groupNorm one", wave(2, 3, 4, layout=T), f=lambda x: F.group_norm(x.movedim(-1, 1), 1).movedim(1, -1))
case("instanceNorm", wave(2, 3, 2, 4), w, b,
     f=lambda x, w, b: F.instance_norm(x.movedim(-1, 1), weight=w, bias=b).movedim(1, -1))
case("dropout all", wave(3, 5), f=lambda x: x * 0)
case("dropout none", wave(3, 5), f=lambda x: x * 1)


# Attention: ours is [batch, sequence, heads, width]


def attention(**settings):
    def f(q, k, v, mask=None):
        if mask is not None and mask.dtype == torch.int64:
            mask = mask == 1
        heads = lambda t: t.transpose(1, 2)
        return heads(F.scaled_dot_product_attention(heads(q), heads(k), heads(v), attn_mask=mask, **settings))
    return f


q, k, v = wave(1, 2, 2, 3), wave(1, 3, 2, 3), wave(1, 3, 2, 2)
case("scaledDotProductAttention", q, k, v, f=attention())
case("scaledDotProductAttention scale", q, k, v, f=attention(scale=0.3))
case("scaledDotProductAttention causal", k, k, v, f=attention(is_causal=True))
case("scaledDotProductAttention mask", q, k, v, mask(2, 3), f=attention())
case("scaledDotProductAttention bias", q, k, v, wave(2, 2, 3), f=attention())
case("scaledDotProductAttention closed row", q, k, v, integers([0, 0, 0, 1, 0, 1], [2, 3]), f=attention())
case("scaledDotProductAttention strided", wave(1, 2, 2, 3, layout=T), wave(1, 3, 2, 3, layout=S), v, f=attention())


# Losses


def reduced(loss, reduction, count=None):
    if reduction == "mean":
        return loss.mean() if count is None else loss.sum() / count
    return loss.sum() if reduction == "sum" else loss


def cross_entropy_weighted(reduction):
    return lambda x, t, w: reduced(F.cross_entropy(x, t, reduction="none") * w, reduction)


def binary_cross_entropy_weighted(x, y, positive, w):
    """PyTorch has no gradient for its pos_weight, so the formula of its documentation stands here."""
    t = y.sigmoid()
    return (-w * (positive * t * F.logsigmoid(x) + (1 - t) * F.logsigmoid(-x))).mean()


logits, labels, weights = wave(4, 3, amplitude=3), integers([2, 0, 1, 2]), wave(4, amplitude=0.5, shift=1)
for reduction in ["mean", "sum", "none"]:
    name = "" if reduction == "mean" else " " + reduction
    r = {"reduction": reduction}
    case("crossEntropy" + name, logits, labels, f=lambda x, t, r=r: F.cross_entropy(x, t, **r))
    case("crossEntropy weights" + name, logits, labels, weights, f=cross_entropy_weighted(reduction))
    case("crossEntropy smoothing" + name, logits, integers([2, -100, 1, -100]),
         f=lambda x, t, r=r: F.cross_entropy(x, t, label_smoothing=0.1, **r))
    x, y = wave(3, 4, amplitude=2), wave(3, 4, amplitude=2)
    case("meanSquaredError" + name, x, y, f=lambda x, y, r=r: F.mse_loss(x, y, **r))
    case("meanAbsoluteError" + name, x, y, f=lambda x, y, r=r: F.l1_loss(x, y, **r))
    case("smoothL1" + name, x, y, f=lambda x, y, r=r: F.smooth_l1_loss(x, y, beta=0.7, **r))
    case("huber" + name, x, y, f=lambda x, y, r=r: F.huber_loss(x, y, delta=0.7, **r))
    case("hinge" + name, x, y, f=lambda x, y, r=reduction: reduced(torch.relu(1 - y.sign() * x), r))
    case("binaryCrossEntropyWithLogits" + name, x, y,
         f=lambda x, y, r=r: F.binary_cross_entropy_with_logits(x, y.sigmoid(), **r))
case("crossEntropy ignored", logits, integers([2, 7, 1, 7]), f=lambda x, t: F.cross_entropy(x, t, ignore_index=7))
case("crossEntropy sequence", wave(2, 3, 4), integers([2, 0, 1, 2, 3, 3], [2, 3]),
     f=lambda x, t: F.cross_entropy(x.movedim(-1, 1), t))
case("crossEntropy strided", wave(4, 3, layout=T), labels, f=F.cross_entropy)
case("crossEntropy far", values([1000, 0, -1000, 3, 2, 1], [2, 3]), integers([1, 0]), f=F.cross_entropy)
case("crossEntropy empty", wave(0, 3), integers([]), f=lambda x, t: F.cross_entropy(x, t, reduction="sum"))
case("crossEntropy soft", logits, wave(4, 3), f=lambda x, y: F.cross_entropy(x, y.softmax(-1)))
case("crossEntropy soft smoothing", logits, wave(4, 3), weights,
     f=lambda x, y, w: (F.cross_entropy(x, y.softmax(-1), label_smoothing=0.2, reduction="none") * w).sum())
case("binaryCrossEntropyWithLogits weights", logits, wave(4, 3), wave(3, shift=2), wave(4, 1, shift=2),
     f=binary_cross_entropy_weighted)
case("binaryCrossEntropyWithLogits far", values([200, -200, 200]), values([1, 1, 0]), f=F.binary_cross_entropy_with_logits)
for reduction in ["mean", "sum", "none", "batchmean"]:
    name = {"mean": "", "batchmean": " batch mean"}.get(reduction, " " + reduction)
    case("klDivergence" + name, wave(4, 3), wave(4, 3),
         f=lambda x, y, r=reduction: F.kl_div(x.log_softmax(-1), y.softmax(-1), reduction=r))
    case("klDivergence logarithms" + name, wave(4, 3), wave(4, 3),
         f=lambda x, y, r=reduction: F.kl_div(x.log_softmax(-1), y.log_softmax(-1), reduction=r, log_target=True))
case("klDivergence of 0", wave(1, 3), values([0, 0.4, 0.6], [1, 3]), f=lambda x, y: F.kl_div(x.log_softmax(-1), y.detach()))
same = values([1, -2, 3])
case("meanAbsoluteError at 0", same, same, f=F.l1_loss)
case("huber at 0", same, same, f=F.huber_loss)
case("smoothL1 absolute", wave(5), wave(5), f=lambda x, y: F.smooth_l1_loss(x, y, beta=0.0))


# Distances

case("l2Normalized", wave(3, 4), f=lambda x: F.normalize(x, dim=-1))
case("l2Normalized first axis", wave(3, 4, layout=T), f=lambda x: F.normalize(x, dim=0))
case("l2Normalized at 0", values([0, 0, 3, 4], [2, 2]), f=lambda x: F.normalize(x, dim=-1, eps=1e-3))
case("cosineSimilarity", wave(3, 4), wave(3, 4), f=lambda a, b: F.cosine_similarity(a, b, -1))
case("cosineSimilarity broadcast", wave(3, 1, 4), wave(2, 4), f=lambda a, b: F.cosine_similarity(a, b, -1))
case("cosineSimilarity first axis", wave(3, 4, layout=T), wave(3, 4), f=lambda a, b: F.cosine_similarity(a, b, 0))
for squared in [False, True]:
    name = "pairwiseDistances" + (" squared" if squared else "")

    def f(a, b, squared=squared):
        d = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
        return d**2 if squared else d
    case(name, wave(3, 4), wave(2, 4), f=f)
    case(name + " batched", wave(2, 3, 2, layout=T), wave(2, 2), f=f)
    case(name + " empty", wave(0, 4), wave(2, 4), f=f)


# Linear algebra


def definite(m):
    return m @ m.mT + 2 * torch.eye(m.shape[-1])


def regular(m):
    return m + 3 * torch.eye(m.shape[-1])


def triangular_solve(a, b, upper=False, transposed=False, unit=False):
    a = regular(a)
    a = a.mT if transposed else a
    vector = b.dim() == 1
    x = torch.linalg.solve_triangular(a, b[:, None] if vector else b, upper=upper != transposed, unitriangular=unit)
    return x[:, 0] if vector else x


square, batch = wave(3, 3), wave(2, 3, 3)
case("cholesky", square, f=lambda m: torch.linalg.cholesky(definite(m)))
case("cholesky batched", wave(2, 3, 3, layout=T), f=lambda m: torch.linalg.cholesky(definite(m)))
case("cholesky empty", wave(0, 3, 3), f=lambda m: torch.linalg.cholesky(definite(m)))
for name, upper, transposed, unit in [
    ("", False, False, False), (" upper", True, False, False), (" transposed", False, True, False),
    (" upper transposed", True, True, False), (" unit", False, False, True), (" upper unit", True, False, True),
]:
    case("triangularSolve" + name, square, wave(3, 2),
         f=lambda a, b, u=upper, t=transposed, d=unit: triangular_solve(a, b, u, t, d))
case("triangularSolve vector", square, wave(3), f=triangular_solve)
case("triangularSolve batched", wave(2, 3, 3, layout=T), wave(3, 2), f=triangular_solve)
case("solve", square, wave(3, 2), f=lambda a, b: torch.linalg.solve(regular(a), b))
case("solve vector", square, wave(3), f=lambda a, b: torch.linalg.solve(regular(a), b))
case("solve batched", wave(3, 3, layout=T), wave(2, 3, 1, layout=S), f=lambda a, b: torch.linalg.solve(regular(a), b))
case("solve empty", square, wave(3, 0), f=lambda a, b: torch.linalg.solve(regular(a), b))
case("inverse", square, f=lambda m: torch.linalg.inv(regular(m)))
case("inverse batched", wave(2, 3, 3, layout=S), f=lambda m: torch.linalg.inv(regular(m)))
case("determinant", square, f=lambda m: torch.linalg.det(regular(m)))
case("determinant batched", batch, f=torch.linalg.det)
# PyTorch's own gradient of a singular matrix's determinant is 0, which is wrong.
case("determinant singular", values([1, 2, 2, 4], [2, 2]), f=lambda m: m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0])
case("logAbsDeterminant", batch, f=lambda m: tuple(torch.linalg.slogdet(m)))
case("logAbsDeterminant gradient", batch, f=lambda m: torch.linalg.slogdet(regular(m))[1])


def qr(a):
    q, r = torch.linalg.qr(a)
    signs = r.diagonal(dim1=-2, dim2=-1).sign().detach()
    return q * signs.unsqueeze(-2), r * signs.unsqueeze(-1)


def eigen(m):
    values, vectors = torch.linalg.eigh(m + m.mT)
    return values, vectors.square()


def eigen_function(m):
    values, vectors = torch.linalg.eigh(m + m.mT)
    return (vectors * values.exp().unsqueeze(-2)) @ vectors.mT


def svd(a):
    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    return s, u.square(), vh.square(), u @ vh


case("qr", wave(4, 3), f=qr)
case("qr square", wave(2, 3, 3, layout=T), f=lambda m: qr(regular(m)))
case("symmetricEigen", square, f=eigen)
case("symmetricEigen function", wave(2, 3, 3, layout=T), f=eigen_function)
case("svd", wave(3, 3), f=svd)
case("svd tall", wave(4, 2), f=svd)
case("svd wide batched", wave(2, 2, 3), f=svd)
case("diagonal", wave(2, 3, 4), f=lambda x: x.diagonal(dim1=-2, dim2=-1))
case("diagonal offset", wave(4, 3, layout=T), f=lambda x: x.diagonal(1))
case("diagonal axes", wave(3, 2, 3, layout=S), f=lambda x: x.diagonal(-1, 0, 2))
case("diagonalMatrix", wave(2, 3), f=torch.diag_embed)
case("trace", batch, f=lambda x: x.diagonal(dim1=-2, dim2=-1).sum(-1))

for equation, shapes in [
    ("ij,jk->ik", [[2, 3], [3, 2]]), ("bij,bjk->bik", [[2, 2, 3], [2, 3, 2]]),
    ("bhqd,bhkd->bhqk", [[1, 2, 2, 3], [1, 2, 3, 3]]), ("i,j->ij", [[3], [2]]), ("ij->ji", [[2, 3]]),
    ("ii->", [[3, 3]]), ("bii->bi", [[2, 3, 3]]), ("ij->", [[2, 3]]), ("ij->j", [[2, 3]]), ("i,i", [[4], [4]]),
    ("ij,ij->i", [[2, 3], [2, 3]]), ("...ij,...jk->...ik", [[2, 1, 2, 3], [3, 3, 2]]),
    ("ij,jk,kl->il", [[2, 3], [3, 2], [2, 2]]), ("bn,anm,bm->ba", [[2, 3], [2, 3, 2], [2, 2]]),
    ("ij,j", [[2, 0], [0]]),
]:
    case("einsum " + equation, *[wave(*s) for s in shapes], f=lambda *x, e=equation: torch.einsum(e, *x))
case("einsum strided", wave(2, 3, layout=T), wave(3, 2, layout=S), f=lambda a, b: torch.einsum("ij,jk->ki", a, b))


def main():
    names = [name for name, _, _ in CASES]
    assert len(names) == len(set(names)), [n for n in names if names.count(n) > 1]
    rows = {}
    for name, inputs, f in CASES:
        try:
            rows[name] = evaluate(inputs, f)
        except Exception as error:
            raise RuntimeError(f"case {name!r}") from error
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(here, "..", "Tests", "CoreTests", "Golden", "ops.json")
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    with open(path, "w") as file:
        file.write(f'{{"source": "PyTorch {torch.__version__}, float64",\n"cases": {{\n{lines}\n}}}}\n')
    print(f"{len(rows)} cases, {os.path.getsize(path) // 1024} kB")


if __name__ == "__main__":
    main()
