import FledgeCore

/// Samples by index. A dataset is immutable and may be read from several threads at once.
public protocol Dataset: AnyObject, Sendable {
    /// The number of samples.
    var count: Int { get }
    /// The class index of each sample, nil where it has no label.
    var labels: [Int?] { get }
    /// The names of the classes; a label is an index into them.
    var classNames: [String] { get }
    /// What each sample is called: a path relative to the data, an identifier column, or its index.
    func id(of index: Int) -> String
    /// The shape of one sample after an augmentation: [height, width, channels] or [features].
    func sampleShape(after augmentation: Augmentation) -> [Int]
    /// Writes one augmented sample as float32 into `output`, which has the size of `sampleShape`. Throws `DataError`
    /// when the sample's file cannot be read any more.
    func write(
        sample index: Int, augmentation: Augmentation, random: RandomSource, workspace: AugmentWorkspace,
        into output: UnsafeMutableBufferPointer<Float>
    ) throws
    /// The same dataset with other labels. Stops when their number differs.
    func relabelled(_ labels: [Int?], classNames: [String]) -> any Dataset
    /// The samples at these indices, in this order.
    func subset(_ indices: [Int]) -> any Dataset
}

extension Dataset {
    /// How many samples each class has.
    public var classCounts: [Int] {
        var counts = [Int](repeating: 0, count: classNames.count)
        for case .some(let label) in labels { counts[label] += 1 }
        return counts
    }

    /// How many samples have a label.
    public var labelledCount: Int { labels.reduce(0) { $0 + ($1 == nil ? 0 : 1) } }

    /// Samples whose class was hidden are told apart by nil labels only, so the pixels stay shared.
    public func hidingLabels(except kept: [Int]) -> any Dataset {
        var hidden = [Int?](repeating: nil, count: count)
        for index in kept { hidden[index] = labels[index] }
        return relabelled(hidden, classNames: classNames)
    }
}
