import FledgeCore
import Foundation

/// Labels that flow over a graph of neighbours (Zhou et al. 2004, "Learning with local and global consistency").
public enum LabelSpreadingGraph {
    /// How a new sample asks the samples of the graph: so many neighbours, weighed with this temperature.
    public struct Vote: Codable, Hashable, Sendable {
        public var neighbours: Int
        public var temperature: Double

        public init(neighbours: Int = 10, temperature: Double = 0.1) {
            self.neighbours = neighbours
            self.temperature = temperature
        }
    }

    /// Spreads the known labels over all samples.
    ///
    /// Samples are joined to their `neighbours` most similar ones (in either direction) with weight
    /// exp((cosine - 1) / `temperature`); with S = D^-1/2 W D^-1/2, iterates F <- alpha S F + (1 - alpha) Y.
    /// - Parameters:
    ///   - features: [N, D].
    ///   - labels: N entries, nil where unknown.
    ///   - alpha: share that comes from neighbours; below 1.
    /// - Returns: N * classes numbers, each row summing to 1 (uniform where no label reaches).
    public static func spread(
        features: Tensor, labels: [Int?], classes: Int, neighbours: Int = 10, alpha: Double = 0.99,
        temperature: Double = 0.1, iterations: Int = 50
    ) -> [Float] {
        let n = features.shape[0]
        require(
            n == labels.count && alpha >= 0 && alpha < 1,
            "label spreading: \(n) features, \(labels.count) labels, alpha \(alpha)")
        let unit = noGradient { features.detached().l2Normalized(axis: -1) }
        let found = NearestNeighbours.search(unit, in: unit, count: neighbours, skippingSelf: true)

        // The symmetric graph, as lists of edges.
        var edges: [[(Int, Float)]] = Array(repeating: [], count: n)
        var isEdge = Set<UInt64>(minimumCapacity: n * found.count)
        for i in 0..<n {
            for j in 0..<found.count {
                let other = Int(found.indices[i * found.count + j])
                let key = UInt64(min(i, other)) << 32 | UInt64(max(i, other))
                guard isEdge.insert(key).inserted else { continue }
                let weight = exp((found.similarities[i * found.count + j] - 1) / Float(temperature))
                edges[i].append((other, weight))
                edges[other].append((i, weight))
            }
        }
        let scale = edges.map { list -> Float in
            let degree = list.reduce(0) { $0 + $1.1 }
            return degree > 0 ? 1 / degree.squareRoot() : 0
        }
        for i in 0..<n { for e in edges[i].indices { edges[i][e].1 *= scale[i] * scale[edges[i][e].0] } }

        // Each class starts with the same total, so that one with more labels does not flood the others.
        var perClass = [Float](repeating: 0, count: classes)
        for case .some(let label) in labels { perClass[label] += 1 }
        var start = [Float](repeating: 0, count: n * classes)
        for (i, label) in labels.enumerated() { if let label { start[i * classes + label] = 1 / perClass[label] } }
        var f = start
        let (spread, stay) = (Float(alpha), Float(1 - alpha))
        for _ in 0..<iterations {
            var next = start.map { $0 * stay }
            for i in 0..<n {
                for (other, weight) in edges[i] {
                    for c in 0..<classes { next[i * classes + c] += spread * weight * f[other * classes + c] }
                }
            }
            f = next
        }
        for i in 0..<n {
            let total = (0..<classes).reduce(Float(0)) { $0 + f[i * classes + $1] }
            for c in 0..<classes { f[i * classes + c] = total > 0 ? f[i * classes + c] / total : 1 / Float(classes) }
        }
        return f
    }

    /// The classes of samples that were not in the graph: each takes the weighted mean of its neighbours' labels
    /// (Delalleau et al. 2005, "Efficient non-parametric function induction in semi-supervised learning").
    /// - Parameters:
    ///   - features: [M, D].
    ///   - bank: [N, D], the samples of the graph.
    ///   - distributions: [N, classes], their labels.
    /// - Returns: M * classes numbers, each row summing to 1.
    public static func classify(
        _ features: Tensor, bank: Tensor, distributions: Tensor, vote: Vote = Vote()
    ) -> [Float] {
        let classes = distributions.shape[1]
        let found = noGradient {
            NearestNeighbours.search(
                features.detached().l2Normalized(axis: -1), in: bank.l2Normalized(axis: -1), count: vote.neighbours)
        }
        let labels = distributions.floats()
        var result = [Float](repeating: 0, count: features.shape[0] * classes)
        for r in 0..<features.shape[0] {
            var total: Float = 0
            let top = found.similarities[r * found.count]
            for j in 0..<found.count {
                let weight = exp((found.similarities[r * found.count + j] - top) / Float(vote.temperature))
                let from = Int(found.indices[r * found.count + j]) * classes
                for c in 0..<classes { result[r * classes + c] += weight * labels[from + c] }
                total += weight
            }
            for c in 0..<classes { result[r * classes + c] /= total }
        }
        return result
    }
}
