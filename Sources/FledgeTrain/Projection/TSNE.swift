import Foundation

extension Projection {
    /// Exact t-SNE to two dimensions (van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008): points
    /// near each other stay near; distances between far groups mean little. Starts from PCA scaled to deviation 1e-4
    /// (Kobak and Berens 2019), so the same data gives the same picture.
    /// - Parameters:
    ///   - matrix: [rows, columns], row-major, at most 2,000 rows: time and memory grow with their square.
    ///   - perplexity: about how many neighbours a point looks at; lowered to a third of the points when there are few.
    /// - Returns: [rows, 2], row-major.
    public static func tsne(
        _ matrix: [Float], rows: Int, columns: Int, perplexity: Double = 30, iterations: Int = 500
    ) -> [Double] {
        if matrix.count != rows * columns { fatalError("tsne: \(matrix.count) values are not [\(rows), \(columns)]") }
        if rows > 2000 { fatalError("tsne: \(rows) rows; the exact method takes at most 2000") }
        if rows < 3 || columns < 2 { return (0..<rows).flatMap { [Double($0), 0] } }
        let distances = squaredDistances(matrix, rows, columns)
        let p = affinities(distances, rows, perplexity: min(perplexity, Double(rows - 1) / 3))

        var y = pca(matrix, rows: rows, columns: columns)
        let deviation = (stride(from: 0, to: y.count, by: 2).reduce(0) { $0 + y[$1] * y[$1] } / Double(rows))
            .squareRoot()
        for i in y.indices { y[i] *= 1e-4 / max(deviation, .leastNormalMagnitude) }

        let exploration = iterations / 4
        // The step that Belkina et al. (2019) found for early exaggeration 12, at least 50.
        let rate = max(Double(rows) / 12 / 4, 50)
        var velocity = Array(repeating: 0.0, count: y.count)
        var gains = Array(repeating: 1.0, count: y.count)
        var gradient = Array(repeating: 0.0, count: y.count)
        for iteration in 0..<iterations {
            let exaggeration = iteration < exploration ? 12.0 : 1.0
            tsneGradient(y, p, rows, exaggeration, into: &gradient)
            let momentum = iteration < exploration ? 0.5 : 0.8
            for i in y.indices {
                // Jacobs' delta-bar-delta: a coordinate that keeps its direction speeds up.
                gains[i] = (gradient[i] > 0) == (velocity[i] > 0) ? max(gains[i] * 0.8, 0.01) : gains[i] + 0.2
                velocity[i] = momentum * velocity[i] - rate * gains[i] * gradient[i]
                y[i] += velocity[i]
            }
        }
        return y
    }

    private static func squaredDistances(_ matrix: [Float], _ rows: Int, _ columns: Int) -> [Double] {
        var distances = Array(repeating: 0.0, count: rows * rows)
        matrix.withUnsafeBufferPointer { m in
            distances.withUnsafeMutableBufferPointer { d in
                for i in 0..<rows {
                    for j in i + 1..<max(rows, i + 1) {
                        var sum: Float = 0
                        for k in 0..<columns {
                            let difference = m[i * columns + k] - m[j * columns + k]
                            sum += difference * difference
                        }
                        d[i * rows + j] = Double(sum)
                        d[j * rows + i] = Double(sum)
                    }
                }
            }
        }
        return distances
    }

    /// Joint probabilities of the points: Gaussians whose width is searched, by bisection, until the entropy of a
    /// point's neighbours is log(perplexity); then made symmetric.
    static func affinities(_ distances: [Double], _ rows: Int, perplexity: Double) -> [Double] {
        let wanted = log(max(perplexity, 1))
        var conditional = Array(repeating: 0.0, count: rows * rows)
        for i in 0..<rows {
            let row = i * rows
            let nearest = (0..<rows).reduce(Double.infinity) { $1 == i ? $0 : min($0, distances[row + $1]) }
            let mean = (0..<rows).reduce(0) { $0 + distances[row + $1] - ($1 == i ? 0 : nearest) } / Double(rows - 1)
            // beta = 1 / (2 sigma²), searched around the row's own scale.
            var beta = 1 / max(mean, .leastNormalMagnitude)
            var low = 0.0
            var high = Double.infinity
            for _ in 0..<100 {
                var sum = 0.0
                var weighted = 0.0
                for j in 0..<rows where j != i {
                    let distance = distances[row + j] - nearest
                    let weight = exp(-beta * distance)
                    conditional[row + j] = weight
                    sum += weight
                    weighted += weight * distance
                }
                for j in 0..<rows where j != i { conditional[row + j] /= sum }
                let entropy = log(sum) + beta * weighted / sum
                if abs(entropy - wanted) < 1e-5 || mean <= 0 { break }
                if entropy > wanted { low = beta } else { high = beta }
                beta = high.isFinite ? (low + high) / 2 : beta * 2
            }
        }
        var joint = conditional
        for i in 0..<rows {
            for j in 0..<rows {
                joint[i * rows + j] = (conditional[i * rows + j] + conditional[j * rows + i]) / (2 * Double(rows))
            }
        }
        return joint
    }

    /// Equation 5: 4 Σ_j (p_ij - q_ij)(y_i - y_j) / (1 + |y_i - y_j|²). The normaliser of q is known only at the end,
    /// so attraction and repulsion are summed apart.
    private static func tsneGradient(
        _ y: [Double], _ p: [Double], _ rows: Int, _ exaggeration: Double, into gradient: inout [Double]
    ) {
        var repulsion = Array(repeating: 0.0, count: 2 * rows)
        var normaliser = 0.0
        gradient.withUnsafeMutableBufferPointer { g in
            g.update(repeating: 0)
            y.withUnsafeBufferPointer { y in
                p.withUnsafeBufferPointer { p in
                    repulsion.withUnsafeMutableBufferPointer { r in
                        for i in 0..<rows {
                            for j in i + 1..<max(rows, i + 1) {
                                let dx = y[2 * i] - y[2 * j]
                                let dy = y[2 * i + 1] - y[2 * j + 1]
                                let q = 1 / (1 + dx * dx + dy * dy)
                                let pull = p[i * rows + j] * q
                                let push = q * q
                                normaliser += 2 * q
                                g[2 * i] += pull * dx
                                g[2 * i + 1] += pull * dy
                                g[2 * j] -= pull * dx
                                g[2 * j + 1] -= pull * dy
                                r[2 * i] += push * dx
                                r[2 * i + 1] += push * dy
                                r[2 * j] -= push * dx
                                r[2 * j + 1] -= push * dy
                            }
                        }
                    }
                }
            }
            for i in 0..<2 * rows { g[i] = 4 * (exaggeration * g[i] - repulsion[i] / normaliser) }
        }
    }
}
