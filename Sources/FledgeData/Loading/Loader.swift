import FledgeCore

/// Makes batches of a dataset: a pure function from a step to a batch, and streams of them made by worker threads.
///
/// The order of epoch e is a permutation that (seed, e) decides, and a view is decided by (seed, epoch, sample,
/// view), so that the same step is the same bytes for any number of workers, and training goes on from one whole
/// number. A sample that is listed several times is seen differently each time.
public final class Loader: Sendable {
    /// What happens to samples that do not fill a batch at the end of an epoch.
    public enum Remainder: String, Codable, Sendable {
        /// They are left out of this epoch; the next one has another order.
        case drop
        /// They make a smaller batch.
        case keep
        /// The batch is filled from the next epoch, so that a batch may be larger than the dataset.
        case wrap
    }

    public let dataset: any Dataset
    /// The samples that are used.
    public let indices: [Int]
    public let batchSize: Int
    /// One augmentation for each view.
    public let views: [Augmentation]
    public let seed: UInt64
    public let shuffle: Bool
    public let remainder: Remainder
    /// Threads that make batches ahead; 0 makes them when they are asked for.
    public let workers: Int
    /// How many batches are made ahead.
    public let prefetch: Int

    private let random: RandomSource
    /// How many earlier entries of `indices` are the same sample; empty where none is listed twice.
    private let repetition: [Int]
    private let orders = Shared<[Int: [Int]]>([:])

    /// - Parameters:
    ///   - indices: the samples to use; all by default.
    ///   - views: one augmentation for each view of a sample.
    ///   - shuffle: without it every epoch is in the order of `indices`.
    ///   - remainder: `wrap` is right for a few labelled samples beside many unlabelled ones.
    ///
    /// Stops for no samples, no views or a batch size below 1.
    public init(
        _ dataset: any Dataset, indices: [Int]? = nil, batchSize: Int, views: [Augmentation] = [.none()],
        seed: UInt64, shuffle: Bool = true, remainder: Remainder = .drop, workers: Int = 1, prefetch: Int = 3
    ) {
        let used = indices ?? Array(0..<dataset.count)
        guard !used.isEmpty, used.allSatisfy({ (0..<dataset.count).contains($0) }) else {
            fatalError("Loader: \(used.count) indices into a dataset of \(dataset.count) samples")
        }
        guard batchSize > 0, !views.isEmpty, workers >= 0, prefetch > 0 else {
            fatalError(
                "Loader: batch size \(batchSize), \(views.count) views, \(workers) workers, prefetch \(prefetch)")
        }
        guard remainder != .drop || batchSize <= used.count else {
            fatalError(
                "Loader: batches of \(batchSize) from \(used.count) samples leave none; use remainder .keep or .wrap")
        }
        self.dataset = dataset
        self.indices = used
        self.batchSize = batchSize
        self.views = views
        self.seed = seed
        self.shuffle = shuffle
        self.remainder = remainder
        self.workers = workers
        self.prefetch = prefetch
        random = RandomSource(seed: seed)
        // Not as long as the dataset: some loaders are for one batch.
        var counts: [Int: Int] = [:]
        let repetition = used.map { index in
            let before = counts[index, default: 0]
            counts[index] = before + 1
            return before
        }
        self.repetition = repetition.contains { $0 > 0 } ? repetition : []
    }

    /// Steps of one epoch. With `wrap` epochs run into one another, and this is the nearest whole number, at least 1.
    public var batchesPerEpoch: Int {
        switch remainder {
        case .drop: indices.count / batchSize
        case .keep: (indices.count + batchSize - 1) / batchSize
        case .wrap: max(1, Int((Double(indices.count) / Double(batchSize)).rounded()))
        }
    }

    /// The samples of a step, as (epoch, index in the dataset).
    public func samples(ofStep step: Int) -> [(epoch: Int, index: Int)] {
        places(ofStep: step).map { ($0.epoch, indices[$0.place]) }
    }

    /// The samples of a step, as (epoch, place in `indices`).
    private func places(ofStep step: Int) -> [(epoch: Int, place: Int)] {
        guard step >= 0 else { fatalError("Loader: step \(step) is negative") }
        let start: Int
        let count: Int
        switch remainder {
        case .wrap:
            start = step * batchSize
            count = batchSize
        case .drop, .keep:
            let offset = step % batchesPerEpoch * batchSize
            start = step / batchesPerEpoch * indices.count + offset
            count = min(batchSize, indices.count - offset)
        }
        guard shuffle else {
            return (start..<(start + count)).map { ($0 / indices.count, $0 % indices.count) }
        }
        var epoch = start / indices.count
        var order = order(ofEpoch: epoch)
        return (start..<(start + count)).map { position in
            if position / indices.count != epoch {
                epoch = position / indices.count
                order = self.order(ofEpoch: epoch)
            }
            return (epoch, order[position % indices.count])
        }
    }

    /// The batch of a step, made now on this thread. Throws `DataError` naming the file of a sample that cannot be
    /// read.
    public func batch(at step: Int, workspace: AugmentWorkspace = AugmentWorkspace()) throws -> Batch {
        let samples = places(ofStep: step).map { (epoch: $0.epoch, place: $0.place, index: indices[$0.place]) }
        let labels = samples.map { dataset.labels[$0.index] ?? -1 }
        var values: [[Float]] = []
        var shapes: [[Int]] = []
        let augment = random.stream("augment")
        for (view, augmentation) in views.enumerated() {
            let shape = dataset.sampleShape(after: augmentation)
            let size = shape.reduce(1, *)
            values.append(
                try [Float](unsafeUninitializedCapacity: samples.count * size) { output, initialized in
                    for (row, sample) in samples.enumerated() {
                        var random = augment.at(sample.epoch, sample.index, view)
                        if let time = repetition.isEmpty ? nil : repetition[sample.place], time > 0 {
                            random = random.stream("repetition").at(time)
                        }
                        try dataset.write(
                            sample: sample.index, augmentation: augmentation, random: random, workspace: workspace,
                            into: UnsafeMutableBufferPointer(rebasing: output[(row * size)..<((row + 1) * size)]))
                        initialized = (row + 1) * size
                    }
                })
            shapes.append([samples.count] + shape)
        }
        return Batch(
            step: step, epoch: samples.first?.epoch ?? 0, indices: samples.map(\.index), labels: labels, views: values,
            shapes: shapes)
    }

    /// The batches of the steps from `step` on, without end or up to `end`, made ahead by the workers.
    public func stream(from step: Int = 0, to end: Int? = nil) -> BatchStream {
        BatchStream(loader: self, from: step, to: end ?? .max)
    }

    /// The batches of one epoch. Stops with `wrap`, where epochs have no border.
    public func epoch(_ epoch: Int) -> BatchStream {
        guard remainder != .wrap else {
            fatalError("Loader: epochs run into one another with remainder .wrap; use stream")
        }
        return stream(from: epoch * batchesPerEpoch, to: (epoch + 1) * batchesPerEpoch)
    }

    /// The order of an epoch, as positions in `indices`.
    private func order(ofEpoch epoch: Int) -> [Int] {
        orders.mutex.withLock { orders in
            if let order = orders[epoch] { return order }
            // Workers are a few batches apart: two neighbouring epochs are enough, and very small datasets need more.
            if orders.count > 64 { orders.removeAll() }
            var stream = random.stream("order").at(epoch)
            let order = stream.permutation(indices.count)
            orders[epoch] = order
            return order
        }
    }
}
