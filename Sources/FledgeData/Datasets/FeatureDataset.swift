import FledgeCore

/// Rows of numbers with optional labels.
public final class FeatureDataset: Dataset {
    /// Row after row, `count * width` values, all finite.
    public let features: [Float]
    /// The number of features of a row.
    public let width: Int
    public let featureNames: [String]
    public let labels: [Int?]
    public let classNames: [String]
    private let ids: [String]?

    /// Stops when the numbers do not agree.
    public init(
        features: [Float], width: Int, labels: [Int?], classNames: [String], featureNames: [String]? = nil,
        ids: [String]? = nil
    ) {
        let names = featureNames ?? (0..<width).map(String.init)
        guard width > 0, features.count == labels.count * width, names.count == width,
            ids?.count ?? labels.count == labels.count
        else {
            fatalError("FeatureDataset: \(features.count) values for \(labels.count) rows of \(width)")
        }
        self.features = features
        self.width = width
        self.featureNames = names
        self.labels = labels
        self.classNames = classNames
        self.ids = ids
    }

    public var count: Int { labels.count }

    public func id(of index: Int) -> String { ids?[index] ?? String(index) }

    /// The values of one row.
    public func row(_ index: Int) -> ArraySlice<Float> { features[(index * width)..<((index + 1) * width)] }

    public func sampleShape(after augmentation: Augmentation) -> [Int] { [width] }

    public func write(
        sample index: Int, augmentation: Augmentation, random: RandomSource, workspace: AugmentWorkspace,
        into output: UnsafeMutableBufferPointer<Float>
    ) throws {
        features.withUnsafeBufferPointer { all in
            let row = UnsafeBufferPointer(rebasing: all[(index * width)..<((index + 1) * width)])
            augmentation.apply(toRow: row, random: random, into: output)
        }
    }

    public func relabelled(_ labels: [Int?], classNames: [String]) -> any Dataset {
        FeatureDataset(
            features: features, width: width, labels: labels, classNames: classNames, featureNames: featureNames,
            ids: ids)
    }

    public func subset(_ indices: [Int]) -> any Dataset {
        var rows: [Float] = []
        rows.reserveCapacity(indices.count * width)
        for index in indices { rows += row(index) }
        return FeatureDataset(
            features: rows, width: width, labels: indices.map { labels[$0] }, classNames: classNames,
            featureNames: featureNames, ids: indices.map { id(of: $0) })
    }

    /// Mean and standard deviation of each feature; a feature that never changes has deviation 1.
    public func moments() -> (mean: [Float], deviation: [Float]) {
        var mean = [Double](repeating: 0, count: width)
        var square = mean
        for i in 0..<count {
            for j in 0..<width { mean[j] += Double(features[i * width + j]) }
        }
        for j in 0..<width { mean[j] /= Double(max(1, count)) }
        for i in 0..<count {
            for j in 0..<width {
                let d = Double(features[i * width + j]) - mean[j]
                square[j] += d * d
            }
        }
        let deviation = square.map { value -> Float in
            let variance = value / Double(max(1, count))
            return variance > 1e-12 ? Float(variance.squareRoot()) : 1
        }
        return (mean.map { Float($0) }, deviation)
    }
}
