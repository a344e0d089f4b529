import FledgeCore

/// Batch normalisation (Ioffe and Szegedy 2015) of the last axis, whatever comes before it: features [N, C], sequences
/// [N, L, C], images [N, H, W, C].
///
/// Training uses the batch's own statistics and, unless `updatesStatistics` is off, moves the running ones towards
/// them; evaluation uses the running ones.
public final class BatchNorm: Layer, ModeSwitching {
    /// [C], also called gamma.
    public let weight: Parameter?
    /// [C], also called beta.
    public let bias: Parameter?
    public let runningMean: Buffer
    /// Of the unbiased variance, as PyTorch keeps it.
    public let runningVar: Buffer
    /// int64
    public let numBatchesTracked: Buffer
    public let epsilon: Double
    /// The weight of a new batch in the running statistics.
    public var momentum: Double
    public var isTraining = true
    /// Off: training mode normalises by the batch and leaves the running statistics alone, as for a second view or
    /// adversarial samples that should not count.
    public var updatesStatistics = true

    /// - Parameter affine: whether there are `weight` and `bias`.
    public init(_ channels: Int, epsilon: Double = 1e-5, momentum: Double = 0.1, affine: Bool = true) {
        weight = affine ? Parameter(.ones([channels])) : nil
        bias = affine ? Parameter(.zeros([channels])) : nil
        runningMean = Buffer(.zeros([channels]))
        runningVar = Buffer(.ones([channels]))
        numBatchesTracked = Buffer(Tensor([0], shape: []))
        self.epsilon = epsilon
        self.momentum = momentum
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { self(x, relu: false) }

    /// As without `residual` and `relu`, with the sum and a rectifier in the same pass over memory. Stops in training mode
    /// for a single value per channel, whose variance says nothing.
    /// - Parameter residual: what a shortcut brings, of x's shape.
    public func callAsFunction(_ x: Tensor, adding residual: Tensor? = nil, relu: Bool) -> Tensor {
        guard isTraining else {
            return x.batchNorm(
                mean: runningMean.value, variance: runningVar.value, weight: weight?.value, bias: bias?.value,
                epsilon: epsilon, residual: residual, relu: relu)
        }
        let channels = runningMean.shape[0]
        let n = Double(x.count / Swift.max(channels, 1))
        require(n != 1, "BatchNorm: one value per channel in x \(x.shape); training needs more")
        let (y, mean, variance) = x.batchNorm(
            weight: weight?.value, bias: bias?.value, epsilon: epsilon, residual: residual, relu: relu)
        if updatesStatistics, n > 0 {
            runningMean.update { moveAverage(&$0, towards: mean, decay: 1 - momentum) }
            runningVar.update { moveAverage(&$0, towards: variance * (n / (n - 1)), decay: 1 - momentum) }
            numBatchesTracked.value = numBatchesTracked.value + 1
        }
        return y
    }
}
