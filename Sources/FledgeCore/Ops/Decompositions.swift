// QR, eigenvalues and singular values of matrices in the last two axes; leading axes are batches. As for the signs of
// columns, which are free, they are LAPACK's choice.
//
// Gradients: Walter and Lehmann 2018, "Algorithmic differentiation of linear algebra functions", §2.2 (QR); Giles 2008,
// §3.1 (eigenvalues); Townsend 2016, "Differentiating the singular value decomposition" (SVD). The saved results are
// cut off from the graph; where the backward pass is itself recorded the rules compute them again.

extension Tensor {
    /// A [..., m, n] = Q R with Q [..., m, k] of orthonormal columns and upper triangular R [..., k, n], k = min(m, n).
    /// The gradient needs m >= n and linearly independent columns.
    public func qr() -> (q: Tensor, r: Tensor) {
        let (m, n) = matrixSize("qr")
        let k = Swift.min(m, n)
        let work = lapackCopy()
        let batch = Array(shape.dropLast(2))
        let q = Tensor(uninitialized: batch + [m, k], dtype: work.dtype, device: device)
        let r = Tensor(uninitialized: batch + [k, n], dtype: work.dtype, device: device)
        func factorize<T: LapackScalar>(_ type: T.Type) throws(LapackFailure) {
            try Lapack.qr(
                work.lapackData(T.self), q: q.lapackData(), r: r.lapackData(), m: m, n: n, batch: matrixCount)
        }
        if count > 0 { stopOnFailure { () throws(LapackFailure) in try factorize(work.lapackType) } }
        let values = [q.fromLapack(dtype), r.fromLapack(dtype)]
        let outputs = record("qr", outputs: values, from: [self], saving: [self] + values.map { $0.sameValues() }) {
            context in
            require(m >= n, "qr: the gradient needs at least as many rows as columns, not \(m) and \(n)")
            let again = Autograd.isRecording ? context.saved[0].qr() : (context.saved[1], context.saved[2])
            let (q, r): (Tensor, Tensor) = again
            let dq = context.gradients[0] ?? .zeros(like: q)
            let dr = context.gradients[1] ?? .zeros(like: r)
            let inner = r.matmul(dr.transposed()) - dq.transposed().matmul(q)
            let lower = inner.lowerTriangle()
            let mirrored = lower + inner.lowerTriangle(diagonal: -1).transposed()
            // (dQ + Q mirrored) R⁻ᵀ
            let left = dq + q.matmul(mirrored)
            return [r.triangularSolve(left.transposed(), upper: true).transposed()]
        }
        return (outputs[0], outputs[1])
    }

    /// Symmetric A [..., n, n] = V diag(w) Vᵀ: eigenvalues w [..., n] in rising order and eigenvectors, the columns of
    /// V [..., n, n]. Only the lower triangle of A is read; the gradient is symmetric. Gradients through the vectors
    /// need distinct eigenvalues, those through the values do not.
    public func symmetricEigen() -> (values: Tensor, vectors: Tensor) {
        let n = squareSize("symmetricEigen")
        let vectors = lapackCopy()
        let values = Tensor(uninitialized: Array(shape.dropLast()), dtype: vectors.dtype, device: device)
        func decompose<T: LapackScalar>(_ type: T.Type) throws(LapackFailure) {
            try Lapack.symmetricEigen(
                vectors.lapackData(T.self), values: values.lapackData(), n: n, batch: matrixCount)
        }
        if count > 0 { stopOnFailure { () throws(LapackFailure) in try decompose(vectors.lapackType) } }
        let results = [values.fromLapack(dtype), vectors.fromLapack(dtype)]
        let outputs = record(
            "symmetricEigen", outputs: results, from: [self], saving: [self] + results.map { $0.sameValues() }
        ) { context in
            let again = Autograd.isRecording ? context.saved[0].symmetricEigen() : (context.saved[1], context.saved[2])
            let (w, v): (Tensor, Tensor) = again
            var inner = Tensor.zeros(like: v)
            if let dw = context.gradients[0] { inner = dw.diagonalMatrix() }
            if let dv = context.gradients[1] {
                inner = inner + v.transposed().matmul(dv) * Tensor.inverseDifferences(w)
            }
            let full = v.matmul(inner).matmul(v.transposed())
            return [(full + full.transposed()) * 0.5]
        }
        return (outputs[0], outputs[1])
    }

    /// A [..., m, n] = U diag(s) Vᵀ, thin: U [..., m, k] and Vᵀ (`vh`) [..., k, n] with orthonormal columns and rows,
    /// singular values s [..., k] in falling order, k = min(m, n). Gradients through U and Vᵀ need distinct singular
    /// values (and none 0 where A is not square), those through s do not.
    public func svd() -> (u: Tensor, s: Tensor, vh: Tensor) {
        let (m, n) = matrixSize("svd")
        let k = Swift.min(m, n)
        let work = lapackCopy()
        let batch = Array(shape.dropLast(2))
        let u = Tensor(uninitialized: batch + [m, k], dtype: work.dtype, device: device)
        let s = Tensor(uninitialized: batch + [k], dtype: work.dtype, device: device)
        let vh = Tensor(uninitialized: batch + [k, n], dtype: work.dtype, device: device)
        func decompose<T: LapackScalar>(_ type: T.Type) throws(LapackFailure) {
            try Lapack.svd(
                work.lapackData(T.self), u: u.lapackData(), s: s.lapackData(), v: vh.lapackData(), m: m, n: n,
                batch: matrixCount)
        }
        if count > 0 { stopOnFailure { () throws(LapackFailure) in try decompose(work.lapackType) } }
        let values = [u, s, vh].map { $0.fromLapack(dtype) }
        let outputs = record("svd", outputs: values, from: [self], saving: [self] + values.map { $0.sameValues() }) {
            context in
            let saved = context.saved
            let again = Autograd.isRecording ? saved[0].svd() : (saved[1], saved[2], saved[3])
            return [Tensor.svdGradient(again.0, again.1, again.2, context.gradients)]
        }
        return (outputs[0], outputs[1], outputs[2])
    }

    private static func svdGradient(_ u: Tensor, _ s: Tensor, _ vh: Tensor, _ gradients: [Tensor?]) -> Tensor {
        let (v, ut) = (vh.transposed(), u.transposed())
        let (row, column) = (s.unsqueezed(axis: -2), s.unsqueezed(axis: -1))
        var inner = (gradients[1] ?? .zeros(like: s)).diagonalMatrix()
        var outer: Tensor?
        if gradients[0] != nil || gradients[2] != nil {
            let inverse = inverseDifferences(s.square())
            if let du = gradients[0] {
                let turn = ut.matmul(du)
                inner = inner + inverse * (turn - turn.transposed()) * row
                // The part of dU outside of the space of U's columns, (I - U Uᵀ) dU / s.
                if u.shape[u.rank - 2] > s.shape[s.rank - 1] { outer = ((du - u.matmul(turn)) / row).matmul(vh) }
            }
            if let dv = gradients[2]?.transposed() {
                let turn = vh.matmul(dv)
                inner = inner + column * inverse * (turn - turn.transposed())
                if v.shape[v.rank - 2] > s.shape[s.rank - 1] {
                    let part = u.matmul(((dv - v.matmul(turn)) / row).transposed())
                    outer = outer.map { $0 + part } ?? part
                }
            }
        }
        let result = u.matmul(inner).matmul(vh)
        return outer.map { result + $0 } ?? result
    }

    /// 1 / (w_j - w_i) for i != j, 0 on the diagonal: [..., n] gives [..., n, n].
    private static func inverseDifferences(_ w: Tensor) -> Tensor {
        let mask = identityMask(w.shape[w.rank - 1], device: w.device)
        let differences = w.unsqueezed(axis: -2) - w.unsqueezed(axis: -1)
        return differences.maskedFill(mask, 1).reciprocal().maskedFill(mask, 0)
    }
}
