import FledgeCore
import Foundation

/// Samples joined to those most like them, over which labels flow (Zhou et al. 2004, "Learning with local and global
/// consistency").
public struct LabelSpreadingGraph {
    /// How a new sample asks the samples of the graph: so many neighbours, weighed with this temperature.
    public struct Vote: Codable, Hashable, Sendable {
        public var neighbours: Int
        public var temperature: Double

        public init(neighbours: Int = 10, temperature: Double = 0.1) {
            self.neighbours = neighbours
            self.temperature = temperature
        }
    }

    /// For each sample its neighbours and the weights of S = D^-1/2 W D^-1/2.
    private let edges: [[(sample: Int, weight: Float)]]

    /// Joins each sample to its `neighbours` most similar ones, in either direction, with weight
    /// exp((cosine - 1) / `temperature`).
    /// - Parameter features: [N, D].
    public init(features: Tensor, neighbours: Int = 10, temperature: Double = 0.1) {
        let n = features.shape[0]
        let unit = noGradient { features.detached().l2Normalized(axis: -1) }
        let found = NearestNeighbours.search(unit, in: unit, count: neighbours, skippingSelf: true)
        var edges: [[(sample: Int, weight: Float)]] = Array(repeating: [], count: n)
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
            let degree = list.reduce(0) { $0 + $1.weight }
            return degree > 0 ? 1 / degree.squareRoot() : 0
        }
        for i in 0..<n { for e in edges[i].indices { edges[i][e].weight *= scale[i] * scale[edges[i][e].sample] } }
        self.edges = edges
    }

    /// Spreads the known labels over all samples: F <- alpha S F + (1 - alpha) Y.
    /// - Parameters:
    ///   - labels: one for each sample, nil where unknown.
    ///   - alpha: share that comes from neighbours; below 1.
    /// - Returns: N * classes numbers, each row summing to 1 (uniform where no label reaches).
    public func spread(_ labels: [Int?], classes: Int, alpha: Double = 0.99, iterations: Int = 50) -> [Float] {
        let n = edges.count
        require(
            n == labels.count && alpha >= 0 && alpha < 1,
            "label spreading: \(n) samples, \(labels.count) labels, alpha \(alpha)")
        // Each class starts with the same total, so that one with more labels does not flood the others.
        var perClass = [Float](repeating: 0, count: classes)
        for case .some(let label) in labels { perClass[label] += 1 }
        var start = [Float](repeating: 0, count: n * classes)
        for (i, label) in labels.enumerated() { if let label { start[i * classes + label] = 1 / perClass[label] } }
        var f = start
        let (flow, stay) = (Float(alpha), Float(1 - alpha))
        for _ in 0..<iterations {
            var next = start.map { $0 * stay }
            next.withUnsafeMutableBufferPointer { next in
                f.withUnsafeBufferPointer { f in
                    for i in 0..<n {
                        for (other, weight) in edges[i] {
                            let w = flow * weight
                            for c in 0..<classes { next[i * classes + c] += w * f[other * classes + c] }
                        }
                    }
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

    /// How often spreading finds a known label that it was not told: the labels of each class are halved, and each half
    /// is found from the other. Single labels of a class are always told. nil where no class has two.
    public func crossValidatedAccuracy(_ labels: [Int?], classes: Int, alpha: Double = 0.99) -> Double? {
        var members = [[Int]](repeating: [], count: classes)
        for (i, label) in labels.enumerated() { if let label { members[label].append(i) } }
        members.removeAll { $0.count < 2 }
        guard !members.isEmpty else { return nil }
        var right = 0
        var total = 0
        for half in 0..<2 {
            var told = labels
            let asked = members.flatMap { list in list.enumerated().filter { $0.offset % 2 == half }.map(\.element) }
            for i in asked { told[i] = nil }
            let found = spread(told, classes: classes, alpha: alpha)
            for i in asked {
                let row = found[(i * classes)..<((i + 1) * classes)]
                if row.indices.max(by: { row[$0] < row[$1] })! - row.startIndex == labels[i]! { right += 1 }
                total += 1
            }
        }
        return Double(right) / Double(total)
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
