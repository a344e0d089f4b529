import CLapack
import Glibc

/// Dense linear algebra by LAPACK, on contiguous row-major buffers of `batch` matrices one after the other.
///
/// The routines work in place where LAPACK does: a caller who needs the input afterwards copies it first. Calls come
/// from one thread. A matrix that the routine cannot handle (not positive definite, singular, no convergence) is thrown
/// as a `LapackFailure` naming its place in the batch; the buffers are then undefined.
enum Lapack {
    /// A [n, n], symmetric, only the lower triangle read, becomes L with A = L Lᵀ and zeros above the diagonal.
    static func cholesky<T: LapackScalar>(_ a: UnsafeMutablePointer<T>, n: Int, batch: Int = 1) throws(LapackFailure) {
        let size = prepare(n)
        for index in 0..<batch {
            let matrix = a + index * n * n
            try check(T.potrf(size, matrix), "cholesky", index, { .notPositiveDefinite(leadingMinor: $0) })
            for row in 0..<n {
                for column in (row + 1)..<n { matrix[row * n + column] = 0 }
            }
        }
    }

    /// B [n, columns] becomes X with A X = B, or Aᵀ X = B with `transposed`, for triangular A [n, n]; the other
    /// triangle of A is not read, nor is its diagonal with `unitDiagonal`, where it is taken as 1.
    static func triangularSolve<T: LapackScalar>(
        _ a: UnsafePointer<T>, _ b: UnsafeMutablePointer<T>, n: Int, columns: Int, lower: Bool,
        transposed: Bool = false,
        unitDiagonal: Bool = false, batch: Int = 1
    ) throws(LapackFailure) {
        let size = prepare(n)
        let width = prepare(columns)
        for index in 0..<batch {
            let info = T.trtrs(
                lower ? lowerTriangle : upperTriangle, transposed ? transpose : plain,
                unitDiagonal ? unit : nonUnit, size, width, a + index * n * n, b + index * n * columns)
            try check(info, "triangular solve", index, { .singular(pivot: $0) })
        }
    }

    /// A [n, n] becomes L (unit diagonal, below) and U (on and above the diagonal) with P A = L U; `pivots` [n],
    /// counted from 1, are the rows exchanged. Returns the matrices that are exactly singular; their factors are still
    /// valid.
    @discardableResult
    static func luFactor<T: LapackScalar>(
        _ a: UnsafeMutablePointer<T>, pivots: UnsafeMutablePointer<Int32>, n: Int, batch: Int = 1
    ) throws(LapackFailure) -> [Int] {
        let size = prepare(n)
        var singular: [Int] = []
        for index in 0..<batch {
            let info = T.getrf(size, a + index * n * n, pivots + index * n)
            if info > 0 { singular.append(index) } else { try check(info, "LU factorisation", index) }
        }
        return singular
    }

    /// B [n, columns] becomes X with A X = B, or Aᵀ X = B with `transposed`, from the factors of `luFactor`.
    static func luSolve<T: LapackScalar>(
        _ factors: UnsafePointer<T>, pivots: UnsafePointer<Int32>, _ b: UnsafeMutablePointer<T>, n: Int, columns: Int,
        transposed: Bool = false, batch: Int = 1
    ) throws(LapackFailure) {
        let size = prepare(n)
        let width = prepare(columns)
        for index in 0..<batch {
            let info = T.getrs(
                transposed ? transpose : plain, size, width, factors + index * n * n, pivots + index * n,
                b + index * n * columns)
            try check(info, "LU solve", index)
        }
    }

    /// B [n, columns] becomes X with A X = B. A [n, n] is overwritten by its LU factors. Throws for a singular A.
    static func solve<T: LapackScalar>(
        _ a: UnsafeMutablePointer<T>, _ b: UnsafeMutablePointer<T>, n: Int, columns: Int, batch: Int = 1
    ) throws(LapackFailure) {
        let size = prepare(n)
        let width = prepare(columns)
        var pivots = [Int32](repeating: 0, count: n)
        for index in 0..<batch {
            let matrix = a + index * n * n
            try check(T.getrf(size, matrix, &pivots), "solve", index, { .singular(pivot: $0) })
            try check(T.getrs(plain, size, width, matrix, pivots, b + index * n * columns), "solve", index)
        }
    }

    /// A [n, n] becomes its inverse. Throws for a singular A.
    static func inverse<T: LapackScalar>(_ a: UnsafeMutablePointer<T>, n: Int, batch: Int = 1) throws(LapackFailure) {
        let size = prepare(n)
        var pivots = [Int32](repeating: 0, count: n)
        for index in 0..<batch {
            let matrix = a + index * n * n
            try check(T.getrf(size, matrix, &pivots), "inverse", index, { .singular(pivot: $0) })
            try check(T.getri(size, matrix, pivots), "inverse", index, { .singular(pivot: $0) })
        }
    }

    /// sign[i] (1, -1, or 0 for a singular matrix) and logarithm[i] = log |det A_i| (-infinity for a singular one). A
    /// is overwritten by its LU factors.
    static func logDeterminant<T: LapackScalar>(
        _ a: UnsafeMutablePointer<T>, sign: UnsafeMutablePointer<T>, logarithm: UnsafeMutablePointer<T>, n: Int,
        batch: Int = 1
    ) throws(LapackFailure) {
        let size = prepare(n)
        var pivots = [Int32](repeating: 0, count: n)
        for index in 0..<batch {
            let matrix = a + index * n * n
            let info = T.getrf(size, matrix, &pivots)
            if info < 0 { try check(info, "determinant", index) }
            var negative = false
            var isSingular = false
            var sum = 0.0
            for row in 0..<n {
                let diagonal = Double(matrix[row * n + row])
                if diagonal < 0 { negative.toggle() }
                if Int(pivots[row]) != row + 1 { negative.toggle() }
                if diagonal == 0 { isSingular = true }
                sum += log(abs(diagonal))
            }
            sign[index] = isSingular ? 0 : negative ? -1 : 1
            logarithm[index] = T(isSingular ? -.infinity : sum)
        }
    }

    /// A [m, n] = Q R by Householder reflections, reduced: Q [m, k] with orthonormal columns, R [k, n] upper
    /// triangular, k = min(m, n). The signs of R's diagonal are LAPACK's. A is overwritten.
    static func qr<T: LapackScalar>(
        _ a: UnsafeMutablePointer<T>, q: UnsafeMutablePointer<T>, r: UnsafeMutablePointer<T>, m: Int, n: Int,
        batch: Int = 1
    ) throws(LapackFailure) {
        let (rows, columns, k) = (prepare(m), prepare(n), min(m, n))
        var reflectors = [T](repeating: 0, count: k)
        for index in 0..<batch {
            let (a, q, r) = (a + index * m * n, q + index * m * k, r + index * k * n)
            try check(T.geqrf(rows, columns, a, &reflectors), "QR", index)
            for row in 0..<k {
                for column in 0..<n { r[row * n + column] = column < row ? 0 : a[row * n + column] }
            }
            for row in 0..<m {
                for column in 0..<k { q[row * k + column] = a[row * n + column] }
            }
            try check(T.orgqr(rows, prepare(k), q, reflectors), "QR", index)
        }
    }

    /// Symmetric A [n, n], only the lower triangle read, becomes its eigenvectors, one per column; `values` [n] ascend.
    static func symmetricEigen<T: LapackScalar>(
        _ a: UnsafeMutablePointer<T>, values: UnsafeMutablePointer<T>, n: Int, batch: Int = 1
    ) throws(LapackFailure) {
        let size = prepare(n)
        for index in 0..<batch {
            let info = T.syevd(size, a + index * n * n, values + index * n)
            try check(info, "symmetric eigenvalues", index, { .notConverged(count: $0) })
        }
    }

    /// A [m, n] = U diag(s) V, thin, by divide and conquer: U [m, k], s [k] descending, V [k, n] (the right singular
    /// vectors are its rows), k = min(m, n). A is overwritten.
    static func svd<T: LapackScalar>(
        _ a: UnsafeMutablePointer<T>, u: UnsafeMutablePointer<T>, s: UnsafeMutablePointer<T>,
        v: UnsafeMutablePointer<T>, m: Int, n: Int, batch: Int = 1
    ) throws(LapackFailure) {
        let (rows, columns, k) = (prepare(m), prepare(n), min(m, n))
        for index in 0..<batch {
            let info = T.gesdd(
                rows, columns, a + index * m * n, s + index * k, u + index * m * k, v + index * k * n)
            try check(info, "SVD", index, { .notConverged(count: $0) })
        }
    }

    // MARK: Inside

    private static let upperTriangle = CChar(UInt8(ascii: "U"))
    static let lowerTriangle = CChar(UInt8(ascii: "L"))
    private static let plain = CChar(UInt8(ascii: "N")), transpose = CChar(UInt8(ascii: "T"))
    private static let nonUnit = CChar(UInt8(ascii: "N")), unit = CChar(UInt8(ascii: "U"))

    /// A size as LAPACK wants it; stops on an empty matrix, which it has no answer for.
    private static func prepare(_ size: Int) -> Int32 {
        _ = oneThread
        guard let size = Int32(exactly: size), size > 0 else { fatalError("LAPACK: a matrix with an axis of \(size)") }
        return size
    }

    /// OpenBLAS brings a thread pool of its own, which would fight with the engine's over the cores. One thread also
    /// makes its results independent of the machine's core count. Other BLAS libraries have no such switch or pool.
    private static let oneThread: Void = {
        guard let symbol = dlsym(nil, "openblas_set_num_threads") else { return }
        unsafeBitCast(symbol, to: (@convention(c) (Int32) -> Void).self)(1)
    }()

    /// LAPACK's verdict: 0 is success, positive a property of the matrix, negative a NaN found or no memory.
    private static func check(
        _ info: Int32, _ operation: StaticString, _ index: Int,
        _ reason: (Int) -> LapackFailure.Reason = { _ in .notFinite }
    ) throws(LapackFailure) {
        if info == 0 { return }
        if info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR {
            fatalError("LAPACK \(operation): out of memory for its workspace")
        }
        throw LapackFailure(operation: "\(operation)", matrix: index, reason: info > 0 ? reason(Int(info)) : .notFinite)
    }
}

/// A matrix that has no answer to what was asked.
public struct LapackFailure: Error, Equatable, CustomStringConvertible, Sendable {
    public enum Reason: Equatable, Sendable {
        /// The leading minor of this order is not positive.
        case notPositiveDefinite(leadingMinor: Int)
        /// This diagonal element of U, or of the triangle, counted from 1, is exactly zero.
        case singular(pivot: Int)
        /// So many intermediate values did not converge.
        case notConverged(count: Int)
        /// The matrix contains NaN.
        case notFinite
    }

    public let operation: String
    /// Place of the matrix in the batch.
    public let matrix: Int
    public let reason: Reason

    public var description: String {
        let cause =
            switch reason {
            case .notPositiveDefinite(let minor): "is not positive definite (leading minor of order \(minor))"
            case .singular(let pivot): "is singular (pivot \(pivot) is zero)"
            case .notConverged(let count): "did not converge (\(count) values left)"
            case .notFinite: "contains NaN"
            }
        return "\(operation): matrix \(matrix) of the batch \(cause)"
    }
}
