import FledgeCore
import Foundation

/// Weighted k-nearest-neighbour classification by cosine similarity (Wu et al. 2018, "Unsupervised feature learning via
/// non-parametric instance discrimination", section 3.4): neighbours vote with weight exp(similarity / temperature).
public struct KNNProbe {
    private let bank: Tensor
    private let labels: [Int]
    private let classes: Int
    public let k: Int
    public let temperature: Double

    /// - Parameters:
    ///   - features: [N, D] of labelled samples.
    ///   - labels: N class indices.
    ///   - k: neighbours; fewer where there are fewer samples.
    public init(features: Tensor, labels: [Int], classes: Int, k: Int = 20, temperature: Double = 0.07) {
        require(
            features.rank == 2 && features.shape[0] == labels.count && !labels.isEmpty,
            "KNNProbe: features \(features.shape) for \(labels.count) labels")
        bank = features.detached().l2Normalized(axis: -1)
        self.labels = labels
        self.classes = classes
        self.k = k
        self.temperature = temperature
    }

    /// Votes [M, classes], each row summing to 1.
    public func probabilities(_ features: Tensor) -> [Float] {
        let found = NearestNeighbours.search(features.detached().l2Normalized(axis: -1), in: bank, count: k)
        let rows = features.shape[0]
        var votes = [Float](repeating: 0, count: rows * classes)
        for r in 0..<rows {
            var total: Float = 0
            // Relative to the best neighbour, so that nothing overflows.
            let top = found.similarities[r * found.count]
            for j in 0..<found.count {
                let weight = exp((found.similarities[r * found.count + j] - top) / Float(temperature))
                votes[r * classes + labels[Int(found.indices[r * found.count + j])]] += weight
                total += weight
            }
            for c in 0..<classes { votes[r * classes + c] /= total }
        }
        return votes
    }
}
