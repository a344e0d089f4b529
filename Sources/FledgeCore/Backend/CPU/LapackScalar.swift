import CLapack

/// The two element types of `Lapack`, each with LAPACK's routines of that precision under their own names. All matrices
/// are row-major and contiguous.
protocol LapackScalar: BinaryFloatingPoint {
    typealias Matrix = UnsafeMutablePointer<Self>
    typealias ReadOnly = UnsafePointer<Self>

    static func potrf(_ n: Int32, _ a: Matrix) -> Int32
    static func trtrs(
        _ triangle: CChar, _ transposed: CChar, _ diagonal: CChar, _ n: Int32, _ columns: Int32, _ a: ReadOnly,
        _ b: Matrix
    ) -> Int32
    static func getrf(_ n: Int32, _ a: Matrix, _ pivots: UnsafeMutablePointer<Int32>) -> Int32
    static func getrs(
        _ transposed: CChar, _ n: Int32, _ columns: Int32, _ a: ReadOnly, _ pivots: UnsafePointer<Int32>, _ b: Matrix
    ) -> Int32
    static func getri(_ n: Int32, _ a: Matrix, _ pivots: UnsafePointer<Int32>) -> Int32
    static func geqrf(_ m: Int32, _ n: Int32, _ a: Matrix, _ reflectors: Matrix) -> Int32
    static func orgqr(_ m: Int32, _ k: Int32, _ q: Matrix, _ reflectors: ReadOnly) -> Int32
    static func syevd(_ n: Int32, _ a: Matrix, _ values: Matrix) -> Int32
    static func gesdd(_ m: Int32, _ n: Int32, _ a: Matrix, _ s: Matrix, _ u: Matrix, _ v: Matrix) -> Int32
}

extension Float: LapackScalar {
    static func potrf(_ n: Int32, _ a: Matrix) -> Int32 {
        LAPACKE_spotrf(LAPACK_ROW_MAJOR, Lapack.lowerTriangle, n, a, n)
    }
    static func trtrs(
        _ triangle: CChar, _ transposed: CChar, _ diagonal: CChar, _ n: Int32, _ columns: Int32, _ a: ReadOnly,
        _ b: Matrix
    ) -> Int32 {
        LAPACKE_strtrs(LAPACK_ROW_MAJOR, triangle, transposed, diagonal, n, columns, a, n, b, columns)
    }
    static func getrf(_ n: Int32, _ a: Matrix, _ pivots: UnsafeMutablePointer<Int32>) -> Int32 {
        LAPACKE_sgetrf(LAPACK_ROW_MAJOR, n, n, a, n, pivots)
    }
    static func getrs(
        _ transposed: CChar, _ n: Int32, _ columns: Int32, _ a: ReadOnly, _ pivots: UnsafePointer<Int32>, _ b: Matrix
    ) -> Int32 {
        LAPACKE_sgetrs(LAPACK_ROW_MAJOR, transposed, n, columns, a, n, pivots, b, columns)
    }
    static func getri(_ n: Int32, _ a: Matrix, _ pivots: UnsafePointer<Int32>) -> Int32 {
        LAPACKE_sgetri(LAPACK_ROW_MAJOR, n, a, n, pivots)
    }
    static func geqrf(_ m: Int32, _ n: Int32, _ a: Matrix, _ reflectors: Matrix) -> Int32 {
        LAPACKE_sgeqrf(LAPACK_ROW_MAJOR, m, n, a, n, reflectors)
    }
    static func orgqr(_ m: Int32, _ k: Int32, _ q: Matrix, _ reflectors: ReadOnly) -> Int32 {
        LAPACKE_sorgqr(LAPACK_ROW_MAJOR, m, k, k, q, k, reflectors)
    }
    static func syevd(_ n: Int32, _ a: Matrix, _ values: Matrix) -> Int32 {
        LAPACKE_ssyevd(LAPACK_ROW_MAJOR, CChar(UInt8(ascii: "V")), Lapack.lowerTriangle, n, a, n, values)
    }
    static func gesdd(_ m: Int32, _ n: Int32, _ a: Matrix, _ s: Matrix, _ u: Matrix, _ v: Matrix) -> Int32 {
        LAPACKE_sgesdd(LAPACK_ROW_MAJOR, CChar(UInt8(ascii: "S")), m, n, a, n, s, u, min(m, n), v, n)
    }
}

extension Double: LapackScalar {
    static func potrf(_ n: Int32, _ a: Matrix) -> Int32 {
        LAPACKE_dpotrf(LAPACK_ROW_MAJOR, Lapack.lowerTriangle, n, a, n)
    }
    static func trtrs(
        _ triangle: CChar, _ transposed: CChar, _ diagonal: CChar, _ n: Int32, _ columns: Int32, _ a: ReadOnly,
        _ b: Matrix
    ) -> Int32 {
        LAPACKE_dtrtrs(LAPACK_ROW_MAJOR, triangle, transposed, diagonal, n, columns, a, n, b, columns)
    }
    static func getrf(_ n: Int32, _ a: Matrix, _ pivots: UnsafeMutablePointer<Int32>) -> Int32 {
        LAPACKE_dgetrf(LAPACK_ROW_MAJOR, n, n, a, n, pivots)
    }
    static func getrs(
        _ transposed: CChar, _ n: Int32, _ columns: Int32, _ a: ReadOnly, _ pivots: UnsafePointer<Int32>, _ b: Matrix
    ) -> Int32 {
        LAPACKE_dgetrs(LAPACK_ROW_MAJOR, transposed, n, columns, a, n, pivots, b, columns)
    }
    static func getri(_ n: Int32, _ a: Matrix, _ pivots: UnsafePointer<Int32>) -> Int32 {
        LAPACKE_dgetri(LAPACK_ROW_MAJOR, n, a, n, pivots)
    }
    static func geqrf(_ m: Int32, _ n: Int32, _ a: Matrix, _ reflectors: Matrix) -> Int32 {
        LAPACKE_dgeqrf(LAPACK_ROW_MAJOR, m, n, a, n, reflectors)
    }
    static func orgqr(_ m: Int32, _ k: Int32, _ q: Matrix, _ reflectors: ReadOnly) -> Int32 {
        LAPACKE_dorgqr(LAPACK_ROW_MAJOR, m, k, k, q, k, reflectors)
    }
    static func syevd(_ n: Int32, _ a: Matrix, _ values: Matrix) -> Int32 {
        LAPACKE_dsyevd(LAPACK_ROW_MAJOR, CChar(UInt8(ascii: "V")), Lapack.lowerTriangle, n, a, n, values)
    }
    static func gesdd(_ m: Int32, _ n: Int32, _ a: Matrix, _ s: Matrix, _ u: Matrix, _ v: Matrix) -> Int32 {
        LAPACKE_dgesdd(LAPACK_ROW_MAJOR, CChar(UInt8(ascii: "S")), m, n, a, n, s, u, min(m, n), v, n)
    }
}
