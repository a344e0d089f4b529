"""Functions of one tensor, arithmetic, reductions, rearranging, indexing, products."""

import numpy as np
import torch
import torch.nn.functional as F

from table import T, S, case, indices, inf, integers, mask, nan, values, wave

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

for name, f in [
    (".==", torch.eq), (".!=", torch.ne), (".<", torch.lt), (".<=", torch.le), (".>", torch.gt), (".>=", torch.ge),
]:
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
case("indexAdd last axis", wave(2, 3, layout="sliced"), integers([1, 0, 1]),
     f=lambda x, i: torch.zeros(2, 2).index_add(1, i, x))
case("gather", wave(3, 4), integers([0, 3, 1, 1, 2, 0], [3, 2]), f=lambda x, i: x.gather(1, i))
case("gather first axis", wave(3, 2, layout="transposed"), integers([0, 2, 1, 1], [2, 2]),
     f=lambda x, i: x.gather(0, i))
case("scatterAdd", wave(3, 2), integers([0, 3, 1, 1, 2, 0], [3, 2]),
     f=lambda x, i: torch.zeros(3, 4).scatter_add(1, i, x))
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
unique = lambda x: torch.unique(x.detach(), return_inverse=True, return_counts=True)
case("unique", row, f=unique)
case("unique integers", integers([5, -2, 5, 1, 1, 5]), f=unique)


def unique_numpy(x):
    """PyTorch counts every NaN as a value of its own; NumPy and Fledge count all of them as one."""
    return [torch.tensor(v) for v in np.unique(x.detach().numpy(), return_inverse=True, return_counts=True)]


case("unique not a number", values([2, nan, 1, nan, 2]), f=unique_numpy)
case("unique empty", wave(0), f=unique)


# Products


def product(name, a, b):
    case("matmul" + name, a, b, f=torch.matmul)


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
