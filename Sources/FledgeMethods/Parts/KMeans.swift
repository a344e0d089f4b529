import FledgeCore
import Foundation

/// Spherical k-means: groups vectors by direction (Dhillon and Modha 2001).
public struct KMeans {
    /// [clusters, D], rows of length 1.
    public let centroids: Tensor
    /// The cluster of each vector.
    public let assignments: [Int]

    /// - Parameters:
    ///   - vectors: [N, D], rows of length 1.
    ///   - clusters: 1...N.
    ///   - iterations: the most rounds; it stops when no vector changes its cluster.
    ///   - random: draws the vectors that are the first centroids, far from each other (k-means++, Arthur and
    ///     Vassilvitskii 2007).
    public init(_ vectors: Tensor, clusters: Int, iterations: Int, random: inout RandomSource) {
        require(
            vectors.rank == 2 && (1...max(1, vectors.shape[0])).contains(clusters),
            "KMeans: \(clusters) clusters of vectors \(vectors.shape)")
        let x = vectors.detached()
        (centroids, assignments) = noGradient {
            var centroids = x.indexSelect(axis: 0, Self.seeds(x, clusters, &random))
            var assignments = Self.nearest(x, centroids)
            for _ in 0..<iterations {
                centroids = Self.centroids(x, assignments, clusters: clusters)
                let next = Self.nearest(x, centroids)
                if next == assignments { break }
                assignments = next
            }
            return (centroids, assignments)
        }
    }

    /// The cluster of each row of x [N, D]: the centroid [clusters, D] with the largest product.
    public static func nearest(_ x: Tensor, _ centroids: Tensor) -> [Int] {
        let transposed = centroids.transposed()
        let block = max(1, (16 << 20) / centroids.shape[0])
        return stride(from: 0, to: x.shape[0], by: block).flatMap { start in
            x.narrowed(axis: 0, start: start, length: min(block, x.shape[0] - start)).matmul(transposed).argmax().ints()
        }
    }

    /// The directions [clusters, D] of the clusters' sums. An empty cluster takes half of the largest.
    public static func centroids(_ x: Tensor, _ assignments: [Int], clusters: Int) -> Tensor {
        var assignments = assignments
        var members = [[Int]](repeating: [], count: clusters)
        for (i, cluster) in assignments.enumerated() { members[cluster].append(i) }
        for empty in 0..<clusters where members[empty].isEmpty {
            let largest = members.indices.max { members[$0].count < members[$1].count }!
            guard members[largest].count > 1 else { break }
            // Every second member, so that it does not depend on how samples are sorted.
            let all = members[largest]
            members[empty] = all.indices.filter { $0 % 2 == 1 }.map { all[$0] }
            members[largest] = all.indices.filter { $0 % 2 == 0 }.map { all[$0] }
            for i in members[empty] { assignments[i] = empty }
        }
        return x.indexAdd(axis: 0, Tensor(assignments, device: x.device), count: clusters).l2Normalized(axis: 1)
    }

    /// Indices of different vectors, each drawn with a chance that grows with its squared distance from those before.
    private static func seeds(_ x: Tensor, _ count: Int, _ random: inout RandomSource) -> [Int] {
        let n = x.shape[0]
        var chosen = [random.integer(below: n)]
        var distance = [Double](repeating: .infinity, count: n)
        while chosen.count < count {
            let last = chosen[chosen.count - 1]
            let products = x.matmul(x.narrowed(axis: 0, start: last, length: 1).transposed()).doubles()
            for i in 0..<n { distance[i] = min(distance[i], max(0, 1 - products[i])) }
            for i in chosen { distance[i] = 0 }
            // Copies of those chosen already, if nothing else is left.
            guard distance.reduce(0, +) > 1e-9, let pick = random.index(inProportionTo: distance) else {
                let taken = Set(chosen)
                chosen += (0..<n).filter { !taken.contains($0) }.prefix(count - chosen.count)
                break
            }
            chosen.append(pick)
        }
        return chosen
    }
}

/// How much two groupings of the same samples tell of each other: 2 I(a; b) / (H(a) + H(b)). 1 for the same groups
/// under any names, near 0 for unrelated ones (above it by chance where groups are small).
public func normalizedMutualInformation(_ a: [Int], _ b: [Int]) -> Double {
    require(a.count == b.count && !a.isEmpty, "normalizedMutualInformation: \(a.count) and \(b.count) samples")
    let n = Double(a.count)
    func entropy(_ counts: some Sequence<Int>) -> Double {
        counts.reduce(0) { $0 - Double($1) / n * log(Double($1) / n) }
    }
    struct Pair: Hashable { let a, b: Int }
    let (first, second) = (Dictionary(grouping: a) { $0 }, Dictionary(grouping: b) { $0 })
    let joint = Dictionary(grouping: zip(a, b).map { Pair(a: $0, b: $1) }) { $0 }
    // Sorted, since sums depend on the order of their terms and that of a dictionary on the process.
    func sorted<K>(_ groups: [K: [some Any]]) -> [Int] { groups.values.map(\.count).sorted() }
    let (ha, hb, hab) = (entropy(sorted(first)), entropy(sorted(second)), entropy(sorted(joint)))
    return ha + hb > 0 ? 2 * (ha + hb - hab) / (ha + hb) : 1
}
