"""Images, normalisation, attention, losses, distances."""

import torch
import torch.nn.functional as F

from table import T, S, case, indices, inf, integers, mask, nan, values, wave

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
case("convolution1D", wave(2, 5, 2), wave(3, 2, 3), wave(3),
     f=on_sequences(lambda x, w, b: F.conv1d(x, w, b, padding=1)))
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
    case("resized bilinear one" + suffix, wave(1, 3, 4, 2, layout=T),
         f=images(F.interpolate, (1, 6), mode="bilinear", **c))
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
case("gridSampled strided", wave(1, 3, 4, 2, layout=T), wave(1, 2, 2, 2, layout=T),
     f=grid_sample("bilinear", "zeros", False))
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
    def f(x, w=None, b=None, residual=0):
        y = F.batch_norm(x.movedim(-1, 1), None, None, w, b, training=True, eps=eps).movedim(1, -1) + residual
        return y.relu() if relu else y
    return f


def batch_norm_given(relu=False):
    def f(x, w, b, i, residual=0):
        y = F.batch_norm(x.movedim(-1, 1), i * 0.2, i * 0.3 + 0.5, w, b).movedim(1, -1) + residual
        return y.relu() if relu else y
    return f


def batch_norm_statistics(x):
    return batch_norm()(x), x.detach().mean(0), x.detach().var(0, correction=0)


w, b = wave(3, shift=1.5), wave(3)
case("batchNorm", wave(6, 3), w, b, f=batch_norm())
case("batchNorm images", wave(2, 3, 2, 3), w, b, f=batch_norm(eps=1e-3))
case("batchNorm plain", wave(4, 3, layout=T), f=batch_norm())
case("batchNorm relu", wave(6, 3), w, b, f=batch_norm(relu=True))
for relu in [False, True]:
    name = "batchNorm residual" + (" relu" if relu else "")
    case(name, wave(6, 3), w, b, wave(6, 3, layout=S), f=batch_norm(relu=relu))
case("batchNorm statistics", wave(6, 3), f=batch_norm_statistics)
case("batchNorm empty", wave(0, 3), w, b, f=lambda x, w, b: x * w + b)
given = indices(3, below=3)
case("batchNorm given", wave(4, 3), w, b, given, f=batch_norm_given())
case("batchNorm given relu", wave(2, 3, 3, layout=S), w, b, given, f=batch_norm_given(relu=True))
case("batchNorm given residual", wave(4, 3), w, b, given, wave(4, 3), f=batch_norm_given(relu=True))
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
case("binaryCrossEntropyWithLogits far", values([200, -200, 200]), values([1, 1, 0]),
     f=F.binary_cross_entropy_with_logits)
for reduction in ["mean", "sum", "none", "batchmean"]:
    name = {"mean": "", "batchmean": " batch mean"}.get(reduction, " " + reduction)
    case("klDivergence" + name, wave(4, 3), wave(4, 3),
         f=lambda x, y, r=reduction: F.kl_div(x.log_softmax(-1), y.softmax(-1), reduction=r))
    case("klDivergence logarithms" + name, wave(4, 3), wave(4, 3),
         f=lambda x, y, r=reduction: F.kl_div(x.log_softmax(-1), y.log_softmax(-1), reduction=r, log_target=True))
case("klDivergence of 0", wave(1, 3), values([0, 0.4, 0.6], [1, 3]),
     f=lambda x, y: F.kl_div(x.log_softmax(-1), y.detach()))
same = values([1, -2, 3])
case("meanAbsoluteError at 0", same, same, f=F.l1_loss)
case("huber at 0", same, same, f=F.huber_loss)
case("smoothL1 absolute", wave(5), wave(5), f=lambda x, y: F.smooth_l1_loss(x, y, beta=0.0))


# Recurrence: PyTorch's layers with the identity for the weights of the input.

def recurrence(name, reverse):
    def f(x, w, b, *states):
        state = tuple(s[None] for s in states) if name == "lstm" else states[0][None]
        run = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu, "gru": torch.gru, "lstm": torch.lstm}[name]
        weights = [torch.eye(w.shape[0], dtype=w.dtype), w, torch.zeros_like(b), b]
        found = run(x.flip(0) if reverse else x, state, weights, True, 1, 0.0, False, False, False)
        output = found[0].flip(0) if reverse else found[0]
        return (output, found[2][0]) if name == "lstm" else output
    return f


for name, gates in {"tanh": 1, "relu": 1, "gru": 3, "lstm": 4}.items():
    for reverse in [False, True]:
        states = [wave(2, 2)] * (2 if name == "lstm" else 1)
        case(f"recurrence {name}" + (" reversed" if reverse else ""), wave(3, 2, 2 * gates, layout=S),
             wave(2 * gates, 2, layout=T), wave(2 * gates), *states, f=recurrence(name, reverse))


# Capsules

def routing(rounds, arrange=lambda votes: votes):
    def f(votes):
        votes = arrange(votes).transpose(1, 2)
        logits = torch.zeros_like(votes[..., 0])
        for round in range(rounds):
            sums = (logits.softmax(1).unsqueeze(-1) * votes).sum(2)
            squares = sums.square().sum(-1, keepdim=True)
            capsules = sums * squares / ((1 + squares) * (squares + 1e-7).sqrt())
            logits = logits + (votes * capsules.unsqueeze(2)).sum(-1)
        return capsules
    return f


for rounds in [1, 3]:
    case(f"dynamicRouting of {rounds}", wave(2, 5, 3, 2), f=routing(rounds))
case("dynamicRouting transposed", wave(2, 3, 2, 4, layout=T), f=routing(2))
case("dynamicRouting by input", wave(20, 3, 10), f=routing(3, lambda x: x.view(20, 3, 2, 5).transpose(0, 1)))


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
