import FledgeCore
import FledgeData

/// A dataset that shows every sample it reads to `onRead`, with its index, which may change the values or throw.
final class WatchedDataset: Dataset, @unchecked Sendable {
    typealias OnRead = (Int, UnsafeMutableBufferPointer<Float>) throws -> Void

    // Unchecked: `onRead` is for one thread, so loaders need no workers, or it must not mind.
    private let base: any Dataset
    private let onRead: OnRead

    init(_ base: any Dataset, _ onRead: @escaping OnRead) {
        self.base = base
        self.onRead = onRead
    }

    var count: Int { base.count }
    var labels: [Int?] { base.labels }
    var classNames: [String] { base.classNames }
    func id(of index: Int) -> String { base.id(of: index) }
    func sampleShape(after augmentation: Augmentation) -> [Int] { base.sampleShape(after: augmentation) }
    func write(
        sample index: Int, augmentation: Augmentation, random: RandomSource, workspace: AugmentWorkspace,
        into output: UnsafeMutableBufferPointer<Float>
    ) throws {
        try base.write(sample: index, augmentation: augmentation, random: random, workspace: workspace, into: output)
        try onRead(index, output)
    }
    func relabelled(_ labels: [Int?], classNames: [String]) -> any Dataset {
        WatchedDataset(base.relabelled(labels, classNames: classNames), onRead)
    }
    /// Samples count anew from 0.
    func subset(_ indices: [Int]) -> any Dataset { WatchedDataset(base.subset(indices), onRead) }
}
