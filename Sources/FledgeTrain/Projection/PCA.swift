import FledgeCore

/// Pictures of many dimensions in two.
public enum Projection {
    /// Principal component analysis: centred rows projected on the directions of greatest variance, greatest first
    /// (Pearson 1901; Hotelling 1933). Found by block power iteration in double precision, without forming the
    /// covariance, so wide rows are fine. The sign of a component is chosen so that its largest weight is positive.
    /// - Parameters:
    ///   - matrix: [rows, columns], row-major. Stops when the count does not fit.
    ///   - components: at most `columns`.
    /// - Returns: [rows, components], row-major.
    public static func pca(_ matrix: [Float], rows: Int, columns: Int, components: Int = 2) -> [Double] {
        if matrix.count != rows * columns || components < 1 || components > columns {
            fatalError("pca: \(matrix.count) values are not [\(rows), \(columns)], or \(components) components of them")
        }
        var centred = matrix.map(Double.init)
        for j in 0..<columns {
            var mean = 0.0
            for i in 0..<rows { mean += centred[i * columns + j] }
            mean /= Double(max(rows, 1))
            for i in 0..<rows { centred[i * columns + j] -= mean }
        }
        // A few more directions than wanted make the wanted ones converge much faster.
        let width = min(columns, components + 4)
        var random = RandomSource(seed: 0).stream("pca")
        var basis = (0..<width).map { _ in (0..<columns).map { _ in random.normal() } }
        orthonormalize(&basis)
        var before: [Double] = []
        for _ in 0..<300 {
            basis = basis.map { transposedProduct(centred, product(centred, $0, rows, columns), rows, columns) }
            // Rotate to the principal directions inside the block: they separate, and their variances tell when to
            // stop.
            orthonormalize(&basis)
            let scores = basis.map { product(centred, $0, rows, columns) }
            let (variances, rotation) = symmetricEigen(scores.map { a in scores.map { dot(a, $0) } })
            basis = rotation.map { weights in combine(basis, weights) }
            let leading = Array(variances.prefix(components))
            let scale = max(leading.first ?? 0, .leastNormalMagnitude)
            if before.count == leading.count && zip(before, leading).allSatisfy({ abs($0 - $1) <= 1e-13 * scale }) {
                break
            }
            before = leading
        }
        var result = Array(repeating: 0.0, count: rows * components)
        for c in 0..<components {
            let largest = basis[c].max { abs($0) < abs($1) } ?? 1
            let scores = product(centred, basis[c], rows, columns)
            for i in 0..<rows { result[i * components + c] = largest < 0 ? -scores[i] : scores[i] }
        }
        return result
    }

    private static func dot(_ a: [Double], _ b: [Double]) -> Double {
        var sum = 0.0
        for i in a.indices { sum += a[i] * b[i] }
        return sum
    }

    /// matrix · v.
    private static func product(_ matrix: [Double], _ v: [Double], _ rows: Int, _ columns: Int) -> [Double] {
        var result = Array(repeating: 0.0, count: rows)
        matrix.withUnsafeBufferPointer { m in
            v.withUnsafeBufferPointer { v in
                for i in 0..<rows {
                    var sum = 0.0
                    for j in 0..<columns { sum += m[i * columns + j] * v[j] }
                    result[i] = sum
                }
            }
        }
        return result
    }

    /// matrixᵀ · u.
    private static func transposedProduct(_ matrix: [Double], _ u: [Double], _ rows: Int, _ columns: Int) -> [Double] {
        var result = Array(repeating: 0.0, count: columns)
        matrix.withUnsafeBufferPointer { m in
            result.withUnsafeMutableBufferPointer { r in
                for i in 0..<rows {
                    let weight = u[i]
                    for j in 0..<columns { r[j] += weight * m[i * columns + j] }
                }
            }
        }
        return result
    }

    private static func combine(_ vectors: [[Double]], _ weights: [Double]) -> [Double] {
        var sum = Array(repeating: 0.0, count: vectors[0].count)
        for (vector, weight) in zip(vectors, weights) { for j in sum.indices { sum[j] += weight * vector[j] } }
        return sum
    }

    /// Gram and Schmidt, twice for accuracy. A direction that vanishes (the data has a lower rank) is replaced by
    /// the coordinate axis least like the others.
    private static func orthonormalize(_ basis: inout [[Double]]) {
        for k in basis.indices {
            let length = dot(basis[k], basis[k]).squareRoot()
            for _ in 0..<2 { removeEarlier(&basis, k) }
            var norm = dot(basis[k], basis[k]).squareRoot()
            if norm <= 1e-12 * max(length, .leastNormalMagnitude) {
                let taken = basis[0].indices.map { j in (0..<k).reduce(0) { $0 + basis[$1][j] * basis[$1][j] } }
                let axis = taken.indices.min { taken[$0] < taken[$1] } ?? 0
                basis[k] = basis[k].indices.map { $0 == axis ? 1 : 0 }
                for _ in 0..<2 { removeEarlier(&basis, k) }
                norm = dot(basis[k], basis[k]).squareRoot()
            }
            for j in basis[k].indices { basis[k][j] /= norm }
        }
    }

    private static func removeEarlier(_ basis: inout [[Double]], _ k: Int) {
        for earlier in 0..<k {
            let share = dot(basis[k], basis[earlier])
            for j in basis[k].indices { basis[k][j] -= share * basis[earlier][j] }
        }
    }

    /// Eigenvalues, greatest first, and their unit eigenvectors as rows, of a small symmetric matrix (Jacobi 1846).
    static func symmetricEigen(_ matrix: [[Double]]) -> (values: [Double], vectors: [[Double]]) {
        var a = matrix
        let n = a.count
        var v = (0..<n).map { i in (0..<n).map { $0 == i ? 1.0 : 0.0 } }
        for _ in 0..<60 {
            var off = 0.0
            var total = 0.0
            for i in 0..<n {
                for j in 0..<n {
                    total += a[i][j] * a[i][j]
                    if i != j { off += a[i][j] * a[i][j] }
                }
            }
            if off <= 1e-30 * total { break }
            for p in 0..<n {
                for q in p + 1..<max(n, p + 1) where a[p][q] != 0 {
                    let theta = (a[q][q] - a[p][p]) / (2 * a[p][q])
                    let t = (theta < 0 ? -1 : 1) / (abs(theta) + (theta * theta + 1).squareRoot())
                    let c = 1 / (t * t + 1).squareRoot()
                    let s = t * c
                    for k in 0..<n {
                        (a[k][p], a[k][q]) = (c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q])
                    }
                    for k in 0..<n {
                        (a[p][k], a[q][k]) = (c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k])
                        (v[p][k], v[q][k]) = (c * v[p][k] - s * v[q][k], s * v[p][k] + c * v[q][k])
                    }
                }
            }
        }
        let order = (0..<n).sorted { a[$0][$0] > a[$1][$1] }
        return (order.map { a[$0][$0] }, order.map { v[$0] })
    }
}
