/// The primitives a device offers. They compute values only: recording, broadcasting rules and shape checks are done by
/// the operations above, so a backend may trust its arguments. Inputs may be strided views; results are new and
/// contiguous. A gradient that is `inout` may become the result's memory if nobody else holds it: it is spent.
///
/// The extension composes what can be composed, in plain operations; a backend overrides what it has a kernel for. So
/// the composed form is at once documentation, fallback and oracle.
protocol Backend: Sendable {
    // Element-wise
    func unary(_ operation: UnaryOperation, _ x: Tensor) -> Tensor
    /// `gradient` times the derivative, fused; nil where the backend has no kernel. `x` and `y` as the derivative needs
    /// them.
    func unaryGradient(_ operation: UnaryOperation, x: Tensor?, y: Tensor?, gradient: inout Tensor) -> Tensor?
    func binary(_ operation: BinaryOperation, _ a: Tensor, _ b: Tensor, shape: [Int]) -> Tensor
    func compare(_ operation: Comparison, _ a: Tensor, _ b: Tensor, shape: [Int]) -> Tensor
    /// Where `condition` (bool) holds `a`, elsewhere `b`; all three broadcast to `shape`.
    func select(_ condition: Tensor, _ a: Tensor, _ b: Tensor, shape: [Int]) -> Tensor
    func cast(_ x: Tensor, to dtype: DType) -> Tensor
    /// A contiguous copy.
    func copy(_ x: Tensor) -> Tensor
    /// Writes `source` (any strides) over the window `shape`/`strides`/`offset` of the contiguous `target`.
    func write(_ source: Tensor, into target: Tensor, strides: [Int], offset: Int)

    // Reductions. `axes` are sorted and not empty; the result keeps them with length 1.
    func reduce(_ operation: Reduction, _ x: Tensor, axes: [Int]) -> Tensor
    /// Index of the largest or smallest along `axis`, the first of equals; int64, axis kept with length 1.
    func argReduce(largest: Bool, _ x: Tensor, axis: Int) -> Tensor
    func cumulativeSum(_ x: Tensor, axis: Int) -> Tensor

    // Matrix product of [..., m, k] and [..., k, n]; leading axes are equal or broadcast to `batch`.
    /// `bias` [n] is added to every row. On `cpu` one factor may be bfloat16 beside a float32 one, where
    /// `Engine.roundsProduct`.
    func matmul(_ a: Tensor, _ b: Tensor, bias: Tensor?, batch: [Int]) -> Tensor
    /// sum += a b without new memory. False, with nothing done, where anyone else could see `sum` change or where there
    /// is no kernel for it.
    func addMatmul(_ a: Tensor, _ b: Tensor, to sum: inout Tensor) -> Bool

    // Indexing. Indices are int64, contiguous and in range (checked above).
    /// Rows `indices` of axis `axis`.
    func indexSelect(_ x: Tensor, axis: Int, _ indices: Tensor) -> Tensor
    /// Adds the slices of `source` along `axis` into zeros of length `count` there, at `indices`.
    func indexAdd(_ source: Tensor, axis: Int, _ indices: Tensor, count: Int) -> Tensor
    /// `result[i][j] = x[indices[i][j]][j]` for axis 0, and so on. `indices` has the result's shape.
    func gather(_ x: Tensor, axis: Int, _ indices: Tensor) -> Tensor
    /// The adjoint of `gather`: adds `source` into zeros of `shape` at `indices`.
    func scatterAdd(_ source: Tensor, axis: Int, _ indices: Tensor, shape: [Int]) -> Tensor
    /// The order that sorts along the last axis: stable, NaN last. int64.
    func argsort(_ x: Tensor, descending: Bool) -> Tensor

    // Rows: over the last axis.
    func softmax(_ x: Tensor) -> Tensor
    func softmaxGradient(y: Tensor, gradient: inout Tensor) -> Tensor
    func logSoftmax(_ x: Tensor) -> Tensor
    func logSoftmaxGradient(y: Tensor, gradient: inout Tensor) -> Tensor
    /// Losses [rows] of logits [rows, classes] for int64 labels [rows] (0 where a label is `ignoreIndex`), and the
    /// softmax of the logits.
    func crossEntropy(
        _ logits: Tensor, _ labels: Tensor, labelSmoothing: Double, ignoreIndex: Int
    ) -> (loss: Tensor, probabilities: Tensor)
    /// `scale` [rows] times (probabilities - targets); 0 in rows that are ignored.
    func crossEntropyGradient(
        _ probabilities: Tensor, _ labels: Tensor, scale: Tensor, labelSmoothing: Double, ignoreIndex: Int
    ) -> Tensor
    /// Normalises the last axis. `mean` and `rstd` have shape [rows].
    func layerNorm(_ x: Tensor, weight: Tensor?, bias: Tensor?, epsilon: Double) -> (
        y: Tensor, mean: Tensor, rstd: Tensor
    )
    func layerNormGradient(
        _ gradient: inout Tensor, x: Tensor, weight: Tensor?, mean: Tensor, rstd: Tensor
    ) -> (x: Tensor, weight: Tensor, bias: Tensor)

    // Channels-last batch normalisation over all axes but the last. Variance is the biased one.
    func batchNormStatistics(_ x: Tensor) -> (mean: Tensor, variance: Tensor)
    /// `relu(x * scale + shift + residual)`; `relu` and `residual` optional.
    func batchNormApply(
        _ x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor, residual: Tensor?, relu: Bool
    ) -> Tensor
    /// Gradients when mean and rstd are the batch's own. `y` is the output, needed with `relu`.
    func batchNormGradient(
        _ gradient: inout Tensor, x: Tensor, y: Tensor?, mean: Tensor, rstd: Tensor, weight: Tensor, bias: Tensor,
        hasResidual: Bool, relu: Bool
    ) -> (x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor?)

    // Recurrent networks, as `recurrence` describes them. `keeps` what a gradient needs.
    func recurrence(
        _ cell: RecurrentCell, _ input: Tensor, weight: Tensor, bias: Tensor?, initial: [Tensor], reversed: Bool,
        keeps: Bool
    ) -> RecurrenceValues
    func recurrenceGradient(
        _ cell: RecurrentCell, _ gradient: (output: Tensor?, memory: Tensor?), _ values: RecurrenceValues,
        weight: Tensor, reversed: Bool
    ) -> RecurrenceGradients

    // Capsules, as the function `dynamicRouting` describes them.
    /// With what the gradient needs of the rounds, if the backend keeps it and is asked to.
    func dynamicRouting(
        _ votes: Tensor, rounds: Int, epsilon: Double, keeps: Bool
    ) -> (capsules: Tensor, kept: Tensor?)
    /// The gradient of the votes, in their order in memory or contiguous.
    func dynamicRoutingGradient(
        _ gradient: Tensor, _ votes: Tensor, kept: Tensor?, rounds: Int, epsilon: Double
    ) -> Tensor

    // Convolution: x [n, h, w, c], weights [o, c / groups, kh, kw], y [n, oh, ow, o].
    func convolution(_ x: Tensor, _ weight: Tensor, bias: Tensor?, _ p: ConvolutionParameters) -> Tensor
    func convolutionInputGradient(_ gradient: Tensor, _ weight: Tensor, inputShape: [Int], _ p: ConvolutionParameters)
        -> Tensor
    func convolutionWeightGradient(_ gradient: Tensor, _ x: Tensor, weightShape: [Int], _ p: ConvolutionParameters)
        -> Tensor

    /// 0 with probability `rate`, else 1 / (1 - rate), of x's shape and type. Word i of the Philox stream `key` decides
    /// on element i: it is kept where the upper 24 bits, read as a fraction of 1, are at least `rate`.
    func dropoutMask(like x: Tensor, rate: Double, key: UInt64) -> Tensor

    // Pooling of [n, h, w, c]. Indices are int32: h * width + w of the winner.
    func maxPool(_ x: Tensor, _ p: PoolParameters) -> (y: Tensor, indices: Tensor)
    func maxPoolGradient(_ gradient: Tensor, indices: Tensor, inputShape: [Int], _ p: PoolParameters) -> Tensor
    func averagePool(_ x: Tensor, _ p: PoolParameters) -> Tensor
    func averagePoolGradient(_ gradient: Tensor, inputShape: [Int], _ p: PoolParameters) -> Tensor
}

/// Geometry of a two-dimensional convolution.
struct ConvolutionParameters: Hashable, Sendable {
    var strideH = 1, strideW = 1
    var top = 0, left = 0, bottom = 0, right = 0
    /// Distance between taps; 1 is dense.
    var dilationH = 1, dilationW = 1
    var groups = 1

    /// Output height and width for an input of (h, w) and kernel of (kh, kw).
    func outputSize(_ h: Int, _ w: Int, _ kh: Int, _ kw: Int) -> (Int, Int) {
        (
            (h + top + bottom - dilationH * (kh - 1) - 1) / strideH + 1,
            (w + left + right - dilationW * (kw - 1) - 1) / strideW + 1
        )
    }
}

/// Geometry of two-dimensional pooling.
struct PoolParameters: Hashable, Sendable {
    var kernelH = 1, kernelW = 1
    var strideH = 1, strideW = 1
    var top = 0, left = 0, bottom = 0, right = 0
    var dilationH = 1, dilationW = 1
    /// Average pooling: whether padding counts as zeros in the mean.
    var countsPadding = true
    /// Rounds the output size up instead of down; windows must start inside the input or its left padding.
    var ceiling = false

    func outputSize(_ h: Int, _ w: Int) -> (Int, Int) {
        func size(_ n: Int, _ before: Int, _ after: Int, _ k: Int, _ d: Int, _ s: Int) -> Int {
            let span = n + before + after - d * (k - 1) - 1
            var out = (ceiling ? (span + s - 1) / s : span / s) + 1
            if ceiling, (out - 1) * s >= n + before { out -= 1 }
            return out
        }
        return (
            size(h, top, bottom, kernelH, dilationH, strideH), size(w, left, right, kernelW, dilationW, strideW)
        )
    }
}

enum UnaryOperation: Hashable, Sendable {
    case negate, absolute, sign, exp, log, log1p, expm1, sqrt, rsqrt, reciprocal, square, sin, cos, tanh, sigmoid
    case softplus, relu, erf, gelu, geluTanh, silu, floor, ceil, round, not, isNaN, isFinite
    case leakyRelu(Double), elu(Double), clamp(Double, Double)
    case add(Double), multiply(Double), subtractFrom(Double), divideInto(Double), power(Double)
}

enum BinaryOperation: Hashable, Sendable { case add, subtract, multiply, divide, power, maximum, minimum }
enum Comparison: Hashable, Sendable { case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual }
enum Reduction: Hashable, Sendable { case sum, max, min, product }
