import FledgeCore

/// Samples made ready for one step: one or more views of each, in memory of the host.
public struct Batch: Equatable, Sendable {
    /// The step of the stream that this batch belongs to, from 0.
    public var step: Int
    /// The epoch of its first sample, from 0.
    public var epoch: Int
    /// The index in the dataset of each sample.
    public var indices: [Int]
    /// The class of each sample, -1 where it has none.
    public var labels: [Int]
    /// For each view the values of all samples, of shape `shapes[view]`.
    public var views: [[Float]]
    /// [count, height, width, channels] or [count, features] of each view.
    public var shapes: [[Int]]

    /// The number of samples.
    public var count: Int { indices.count }
}

extension Batch {
    /// The values of one view as a float32 tensor of `shapes[view]`; images are channels last. Call it on the thread of
    /// the engine.
    public func tensor(view: Int = 0, device: Device = .default) -> Tensor {
        Tensor(views[view], shape: shapes[view], device: device)
    }

    /// The labels as an int64 tensor [count], -1 where there is none.
    public func labelTensor(device: Device = .default) -> Tensor { Tensor(labels, device: device) }
}
