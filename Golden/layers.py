"""Golden outputs and gradients of the layers, from PyTorch in float64.

    pip install torch numpy
    python Golden/layers.py

writes Tests/NNTests/Golden/layers.json. Parameters, buffers and inputs come from a formula: in the order of their
sorted names, number i is wave(0.5 + 0.1 i) / 2, running variances plus 1.2. The gradients are those of
sum(output * w), with w = wave(0.4) + 0.3 for each output. Channels are last in Fledge, so images and sequences are
permuted around the call.
"""

import json
import math
import os
import warnings

import torch
from torch import nn

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
warnings.filterwarnings("ignore")


def wave(shape, offset, amplitude=1.0):
    n = math.prod(shape)
    return torch.tensor([amplitude * math.sin(offset + 0.7 * i + 0.013 * i * i) for i in range(n)]).reshape(shape)


def last(x):
    """Channels-last to channels-first."""
    return x.movedim(-1, 1)


def first(x):
    """Channels-first to channels-last."""
    return x.movedim(1, -1)


CASES = {}


def case(name, module, shapes, forward=None, train=True):
    module.train(train)
    state = {n: t for n, t in module.state_dict().items() if n != "num_batches_tracked"}
    for i, n in enumerate(sorted(state)):
        state[n] = wave(state[n].shape, 0.5 + 0.1 * i, 0.5) + (1.2 if n.endswith("running_var") else 0.0)
    module.load_state_dict(state, strict=False)
    inputs = [wave(shape, 0.3 + 1.1 * i).requires_grad_() for i, shape in enumerate(shapes)]
    outputs = (forward or (lambda m, *x: m(*x)))(module, *inputs)
    if not isinstance(outputs, (tuple, list)):
        outputs = [outputs]
    sum((y * (wave(y.shape, 0.4) + 0.3)).sum() for y in outputs).backward()

    def flat(t):
        return {"shape": list(t.shape), "values": [float(f"{v:.12g}") for v in t.detach().reshape(-1).tolist()]}

    CASES[name] = {
        "outputs": [flat(y) for y in outputs],
        "inputs": [flat(x.grad) for x in inputs],
        "parameters": {n: flat(p.grad) for n, p in module.named_parameters()},
        "buffers": {n: flat(b) for n, b in module.named_buffers()},
    }


around = lambda m, x: first(m(last(x)))

case("linear", nn.Linear(4, 3), [[2, 5, 4]])
case("conv1d", nn.Conv1d(2, 4, 3, stride=2, padding=2, dilation=2, groups=2), [[2, 7, 2]], around)
case("conv2d", nn.Conv2d(2, 3, 3, padding=1), [[2, 4, 5, 2]], around)
case("conv2d strided", nn.Conv2d(4, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
     [[1, 6, 5, 4]], around)
case("convTranspose2d", nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
     [[1, 3, 2, 2]], around)
case("batchNorm features", nn.BatchNorm1d(3), [[5, 3]])
case("batchNorm images", nn.BatchNorm2d(3, momentum=0.3, eps=1e-3), [[2, 3, 2, 3]], around)
case("batchNorm eval", nn.BatchNorm2d(3), [[2, 3, 2, 3]], around, train=False)
case("layerNorm", nn.LayerNorm(5), [[2, 3, 5]])
case("groupNorm", nn.GroupNorm(2, 4), [[2, 3, 2, 4]], around)
case("instanceNorm", nn.InstanceNorm2d(3, affine=True), [[2, 3, 2, 3]], around)
case("attention causal", nn.MultiheadAttention(4, 2, batch_first=True), [[2, 3, 4]],
     lambda m, x: m(x, x, x, attn_mask=torch.ones(3, 3, dtype=torch.bool).triu(1), need_weights=False)[0])
# PyTorch's mask says where a query may not attend; each query skips the key of its own number.
case("attention masked", nn.MultiheadAttention(4, 2, batch_first=True), [[2, 3, 4], [2, 5, 4], [2, 5, 4]],
     lambda m, q, k, v: m(q, k, v, attn_mask=torch.eye(3, 5, dtype=torch.bool), need_weights=False)[0])
case("encoder post-norm", nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True), [[2, 3, 4]])
case("encoder pre-norm", nn.TransformerEncoderLayer(4, 2, 6, 0.0, "gelu", 1e-6, True, True), [[2, 3, 4]])
case("decoder post-norm", nn.TransformerDecoderLayer(4, 2, 6, dropout=0.0, batch_first=True), [[2, 3, 4], [2, 5, 4]],
     lambda m, x, memory: m(x, memory, tgt_mask=torch.ones(3, 3, dtype=torch.bool).triu(1)))
case("decoder pre-norm", nn.TransformerDecoderLayer(4, 2, 6, 0.0, "gelu", batch_first=True, norm_first=True),
     [[2, 3, 4], [2, 5, 4]])
case("rnn tanh", nn.RNN(2, 3, batch_first=True), [[2, 4, 2], [1, 2, 3]])
case("rnn relu", nn.RNN(2, 3, nonlinearity="relu", bias=False, batch_first=True), [[2, 4, 2]])
case("gru", nn.GRU(2, 3, num_layers=2, bidirectional=True, batch_first=True), [[2, 4, 2], [4, 2, 3]])


def lstm(m, x, h, c):
    y, (h, c) = m(x, (h, c))
    return y, h, c


case("lstm", nn.LSTM(2, 3, num_layers=2, bidirectional=True, batch_first=True), [[2, 4, 2], [4, 2, 3], [4, 2, 3]], lstm)

if __name__ == "__main__":
    path = os.path.join(os.path.dirname(__file__), "..", "Tests", "NNTests", "Golden", "layers.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        json.dump({"torch": torch.__version__, "cases": CASES}, file)
        file.write("\n")
