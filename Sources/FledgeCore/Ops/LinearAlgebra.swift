// Solving and determinants of matrices in the last two axes; leading axes are batches. Computed by LAPACK, in the
// tensor's own precision on the CPU and in double precision on the reference device.
//
// Gradients are written in tensor operations and can be differentiated again. Formulas: Giles 2008, "Collected matrix
// derivative results for forward and reverse mode algorithmic differentiation"; Murray 2016, "Differentiation of the
// Cholesky decomposition", eq. 8.
//
// A matrix that has no answer (singular, not positive definite, with NaN) stops the program, naming its place in the
// batch. Where that depends on data, add a multiple of the identity first, or use `tryCholesky`.

extension Tensor {
    /// The lower triangular L with A = L Lᵀ for symmetric positive definite A [..., n, n]. Only the lower triangle of A
    /// is read; the gradient is symmetric.
    public func cholesky() -> Tensor {
        do throws(LapackFailure) { return try tryCholesky() } catch { stop("\(error)") }
    }

    /// `cholesky` that throws for a matrix that is not positive definite or contains NaN.
    public func tryCholesky() throws(LapackFailure) -> Tensor {
        let n = squareSize("cholesky")
        let factor = lapackCopy()
        func factorize<T: LapackScalar>(_ type: T.Type) throws(LapackFailure) {
            try Lapack.cholesky(factor.lapackData(T.self), n: n, batch: matrixCount)
        }
        if count > 0 { try factorize(factor.lapackType) }
        return record("cholesky", factor.fromLapack(dtype), from: [self], savingOutput: true) { context in
            let factor = context.output
            let inner = factor.transposed().matmul(context.gradient.lowerTriangle()).lowerTriangle()
            let half = inner - (inner.diagonal() * 0.5).diagonalMatrix()
            // L⁻ᵀ half L⁻¹
            let left = factor.triangularSolve(half, transposed: true)
            let both = factor.triangularSolve(left.transposed(), transposed: true)
            return [(both + both.transposed()) * 0.5]
        }
    }

    /// X with A X = B for this triangular matrix A [..., n, n] and B [..., n, k] or a vector [n]. Leading axes
    /// broadcast.
    /// - Parameters:
    ///   - upper: A is upper triangular, else lower; the other triangle is not read.
    ///   - transposed: solves Aᵀ X = B instead.
    ///   - unit: takes the diagonal of A as ones, without reading it.
    public func triangularSolve(
        _ b: Tensor, upper: Bool = false, transposed: Bool = false, unit: Bool = false
    ) -> Tensor {
        solving(b, "triangularSolve") { a, b in
            let (n, columns) = (b.shape[b.rank - 2], b.shape[b.rank - 1])
            let matrix = a.lapackCopy()
            let solution = b.lapackCopy()
            func solve<T: LapackScalar>(_ type: T.Type) throws(LapackFailure) {
                try Lapack.triangularSolve(
                    matrix.lapackData(T.self), solution.lapackData(T.self), n: n, columns: columns, lower: !upper,
                    transposed: transposed, unitDiagonal: unit, batch: a.matrixCount)
            }
            if b.count > 0 { stopOnFailure { () throws(LapackFailure) in try solve(matrix.lapackType) } }
            return record(
                "triangularSolve", solution.fromLapack(b.dtype), from: [a, b], saving: [a], savingOutput: true
            ) { context in
                let a = context.saved[0]
                let db = a.triangularSolve(context.gradient, upper: upper, transposed: !transposed, unit: unit)
                if !context.needs(0) { return [nil, db] }
                let x = context.output
                let full = -(transposed ? x.matmul(db.transposed()) : db.matmul(x.transposed()))
                let da =
                    upper ? full.upperTriangle(diagonal: unit ? 1 : 0) : full.lowerTriangle(diagonal: unit ? -1 : 0)
                return [da, db]
            }
        }
    }

    /// X with A X = B for this matrix A [..., n, n] and B [..., n, k] or a vector [n]. Leading axes broadcast.
    public func solve(_ b: Tensor) -> Tensor {
        solving(b, "solve") { a, b in
            let (n, columns) = (b.shape[b.rank - 2], b.shape[b.rank - 1])
            let matrix = a.lapackCopy()
            let solution = b.lapackCopy()
            func solve<T: LapackScalar>(_ type: T.Type) throws(LapackFailure) {
                try Lapack.solve(
                    matrix.lapackData(T.self), solution.lapackData(T.self), n: n, columns: columns, batch: a.matrixCount
                )
            }
            if b.count > 0 { stopOnFailure { () throws(LapackFailure) in try solve(matrix.lapackType) } }
            return record("solve", solution.fromLapack(b.dtype), from: [a, b], saving: [a], savingOutput: true) {
                context in
                let db = context.saved[0].transposed().solve(context.gradient)
                return [context.needs(0) ? -db.matmul(context.output.transposed()) : nil, db]
            }
        }
    }

    /// A⁻¹ of A [..., n, n]. To apply it to something, `solve` is faster and more accurate.
    public func inverse() -> Tensor {
        let n = squareSize("inverse")
        let result = lapackCopy()
        func invert<T: LapackScalar>(_ type: T.Type) throws(LapackFailure) {
            try Lapack.inverse(result.lapackData(T.self), n: n, batch: matrixCount)
        }
        if count > 0 { stopOnFailure { () throws(LapackFailure) in try invert(result.lapackType) } }
        return record("inverse", result.fromLapack(dtype), from: [self], savingOutput: true) { context in
            let inverse = context.output.transposed()
            return [-inverse.matmul(context.gradient).matmul(inverse)]
        }
    }

    /// The determinant of A [..., n, n]. Its gradient is right for singular matrices too; the second derivative is
    /// there for regular ones only. Overflows easily when n is large: see `logAbsDeterminant`.
    public func determinant() -> Tensor {
        let (sign, logarithm) = noGradient { logAbsDeterminant() }
        let value = noGradient { sign * logarithm.exp() }
        return record("determinant", value, from: [self], saving: [self], savingOutput: true) { context in
            let g = context.gradient.unsqueezed(axis: -1).unsqueezed(axis: -1)
            let (a, determinant) = (context.saved[0], context.output)
            if !Autograd.isRecording, (determinant .== 0).any() { return [g * a.cofactors()] }
            return [g * determinant.unsqueezed(axis: -1).unsqueezed(axis: -1) * a.inverse().transposed()]
        }
    }

    /// The sign (1, -1, or 0 when singular) and log |det A| (-infinity when singular) of A [..., n, n]. Gradients flow
    /// through the logarithm, for regular matrices.
    public func logAbsDeterminant() -> (sign: Tensor, logarithm: Tensor) {
        let n = squareSize("logAbsDeterminant")
        let factors = lapackCopy()
        let batch = Array(shape.dropLast(2))
        let sign = Tensor.ones(batch, dtype: factors.dtype, device: device)
        let logarithm = Tensor.zeros(batch, dtype: factors.dtype, device: device)
        func factorize<T: LapackScalar>(_ type: T.Type) throws(LapackFailure) {
            try Lapack.logDeterminant(
                factors.lapackData(T.self), sign: sign.lapackData(), logarithm: logarithm.lapackData(), n: n,
                batch: matrixCount)
        }
        if count > 0 { stopOnFailure { () throws(LapackFailure) in try factorize(factors.lapackType) } }
        let recorded = record("logAbsDeterminant", logarithm.fromLapack(dtype), from: [self], saving: [self]) {
            context in
            let g = context.gradient.unsqueezed(axis: -1).unsqueezed(axis: -1)
            return [g * context.saved[0].inverse().transposed()]
        }
        return (sign.fromLapack(dtype), recorded)
    }

    /// The derivative of the determinant by each element, also of singular matrices: det U det Vᵀ U diag(p) Vᵀ, where
    /// p_i is the product of all singular values but the i-th.
    private func cofactors() -> Tensor {
        let (u, s, vh) = svd()
        let n = s.shape[s.rank - 1]
        let others = s.unsqueezed(axis: -2).expanded(to: s.shape + [n])
            .maskedFill(Tensor.identityMask(n, device: device), 1).product(axes: [-1])
        let sign = (u.determinant() * vh.determinant()).rounded().unsqueezed(axis: -1).unsqueezed(axis: -1)
        return sign * (u * others.unsqueezed(axis: -2)).matmul(vh)
    }

    /// Brings A and B of `A X = B` to equal leading axes and two further ones, and takes that back from X.
    private func solving(_ b: Tensor, _ operation: StaticString, _ body: (Tensor, Tensor) -> Tensor) -> Tensor {
        let n = squareSize(operation)
        if b.rank == 1 { return solving(b.unsqueezed(axis: 1), operation, body).squeezed(axis: -1) }
        require(
            b.rank >= 2 && b.shape[b.rank - 2] == n && b.dtype == dtype && b.device == device,
            "\(operation): A is \(dtype) \(shape) on \(device), B \(b.dtype) \(b.shape) on \(b.device)")
        guard let batch = broadcastShape(Array(shape.dropLast(2)), Array(b.shape.dropLast(2))) else {
            stop("\(operation): leading axes of \(shape) and \(b.shape) do not broadcast")
        }
        return body(expanded(to: batch + [n, n]), b.expanded(to: batch + [n, b.shape[b.rank - 1]]))
    }
}

// MARK: The way to LAPACK and back, shared with the decompositions

extension Tensor {
    /// The size of the square matrices in the last two axes; stops when there are none.
    func squareSize(_ operation: StaticString) -> Int {
        let (m, n) = matrixSize(operation)
        require(m == n, "\(operation): needs square matrices, not shape \(shape)")
        return n
    }

    /// Rows and columns of the matrices in the last two axes; stops when there are none to compute with.
    func matrixSize(_ operation: StaticString) -> (Int, Int) {
        require(
            rank >= 2 && (dtype == .float32 || dtype == .float64),
            "\(operation): needs float32 or float64 matrices, not \(dtype) \(shape)")
        return (shape[rank - 2], shape[rank - 1])
    }

    /// How many matrices the leading axes hold.
    var matrixCount: Int { Array(shape.dropLast(2)).elementCount }

    /// The values in fresh contiguous memory, without history, for LAPACK to overwrite.
    func lapackCopy() -> Tensor {
        let precise = device == .reference && dtype == .float32
        return precise ? backend.cast(self, to: .float64) : backend.copy(self)
    }

    var lapackType: any LapackScalar.Type { dtype == .float32 ? Float.self : Double.self }

    /// The memory of a `lapackCopy`, or of a tensor made for its results.
    func lapackData<T: LapackScalar>(_ type: T.Type = T.self) -> UnsafeMutablePointer<T> {
        pointer.assumingMemoryBound(to: T.self)
    }

    /// A result in the type of the operation's input.
    func fromLapack(_ dtype: DType) -> Tensor { self.dtype == dtype ? self : backend.cast(self, to: dtype) }

    /// [n, n], true on the diagonal.
    static func identityMask(_ n: Int, device: Device) -> Tensor { eye(n, device: device) .== 1 }
}

/// A matrix without an answer is the caller's error, unless the operation throws.
func stopOnFailure(_ body: () throws(LapackFailure) -> Void) {
    do throws(LapackFailure) { try body() } catch { stop("\(error)") }
}
