import FledgeCore

// Matrices: solving, determinants, decompositions, diagonals, einsum.

extension OpTable {
    mutating func addLinearAlgebra() {
        /// A symmetric positive definite matrix from any.
        func definite(_ m: Tensor) -> Tensor {
            m.matmul(m.transposed()) + .eye(m.dimension(-1), dtype: m.dtype, device: m.device) * 2
        }
        /// A well-conditioned matrix from any.
        func regular(_ m: Tensor) -> Tensor { m + .eye(m.dimension(-1), dtype: m.dtype, device: m.device) * 3 }
        let (square, batch) = (OpInput.wave([3, 3]), OpInput.wave([2, 3, 3]))
        // The condition number, up to ten here, multiplies the rounding of float32.
        let tolerance = 1e-4

        add("cholesky", square, tolerance: tolerance) { definite($0[0]).cholesky() }
        add("cholesky batched", .wave([2, 3, 3], .transposed), tolerance: tolerance) { definite($0[0]).cholesky() }
        add("cholesky empty", .wave([0, 3, 3])) { definite($0[0]).cholesky() }
        add("cholesky large", .wave([2, 33, 33]), tolerance: tolerance, isLarge: true) { definite($0[0]).cholesky() }
        for (name, upper, transposed, unit) in [
            ("", false, false, false), (" upper", true, false, false), (" transposed", false, true, false),
            (" upper transposed", true, true, false), (" unit", false, false, true), (" upper unit", true, false, true),
        ] {
            add("triangularSolve" + name, square, .wave([3, 2]), tolerance: tolerance) {
                regular($0[0]).triangularSolve($0[1], upper: upper, transposed: transposed, unit: unit)
            }
        }
        add("triangularSolve vector", square, .wave([3]), tolerance: tolerance) {
            regular($0[0]).triangularSolve($0[1])
        }
        add("triangularSolve batched", .wave([2, 3, 3], .transposed), .wave([3, 2]), tolerance: tolerance) {
            regular($0[0]).triangularSolve($0[1])
        }
        add("solve", square, .wave([3, 2]), tolerance: tolerance) { regular($0[0]).solve($0[1]) }
        add("solve vector", square, .wave([3]), tolerance: tolerance) { regular($0[0]).solve($0[1]) }
        add("solve batched", .wave([3, 3], .transposed), .wave([2, 3, 1], .sliced), tolerance: tolerance) {
            regular($0[0]).solve($0[1])
        }
        add("solve empty", square, .wave([3, 0])) { regular($0[0]).solve($0[1]) }
        add("inverse", square, tolerance: tolerance) { regular($0[0]).inverse() }
        add("inverse batched", .wave([2, 3, 3], .sliced), tolerance: tolerance) { regular($0[0]).inverse() }
        add("determinant", square, tolerance: tolerance) { regular($0[0]).determinant() }
        add("determinant batched", batch, tolerance: tolerance) { $0[0].determinant() }
        add("determinant singular", .values([1, 2, 2, 4], [2, 2]), order: 1, tolerance: tolerance) {
            $0[0].determinant()
        }
        addSeveral("logAbsDeterminant", batch, order: 0, tolerance: tolerance) { x in
            let (sign, logarithm) = x[0].logAbsDeterminant()
            return [sign, logarithm]
        }
        add("logAbsDeterminant gradient", batch, tolerance: tolerance) { regular($0[0]).logAbsDeterminant().logarithm }

        // Signs of columns are free: only what does not depend on them is compared.
        func qr(_ a: Tensor) -> [Tensor] {
            let (q, r) = a.qr()
            let signs = r.diagonal().sign().detached()
            return [q * signs.unsqueezed(axis: -2), r * signs.unsqueezed(axis: -1)]
        }
        addSeveral("qr", .wave([4, 3]), tolerance: tolerance) { qr($0[0]) }
        addSeveral("qr square", .wave([2, 3, 3], .transposed), tolerance: tolerance) { qr(regular($0[0])) }
        func symmetric(_ m: Tensor) -> Tensor { m + m.transposed() }
        addSeveral("symmetricEigen", square, tolerance: tolerance) { x in
            let (values, vectors) = symmetric(x[0]).symmetricEigen()
            return [values, vectors.square()]
        }
        add("symmetricEigen function", .wave([2, 3, 3], .transposed), tolerance: tolerance) { x in
            let (values, vectors) = symmetric(x[0]).symmetricEigen()
            return (vectors * values.exp().unsqueezed(axis: -2)).matmul(vectors.transposed())
        }
        for (name, shape) in [("", [3, 3]), (" tall", [4, 2]), (" wide batched", [2, 2, 3])] {
            addSeveral("svd" + name, .wave(shape), tolerance: tolerance) { x in
                let (u, s, vh) = x[0].svd()
                return [s, u.square(), vh.square(), u.matmul(vh)]
            }
        }
        add("diagonal", .wave([2, 3, 4])) { $0[0].diagonal() }
        add("diagonal offset", .wave([4, 3], .transposed)) { $0[0].diagonal(offset: 1) }
        add("diagonal axes", .wave([3, 2, 3], .sliced)) { $0[0].diagonal(offset: -1, axes: (0, 2)) }
        add("diagonalMatrix", .wave([2, 3])) { $0[0].diagonalMatrix() }
        add("trace", batch) { $0[0].trace() }
    }

    mutating func addEinsum() {
        for (equation, shapes) in [
            ("ij,jk->ik", [[2, 3], [3, 2]]), ("bij,bjk->bik", [[2, 2, 3], [2, 3, 2]]),
            ("bhqd,bhkd->bhqk", [[1, 2, 2, 3], [1, 2, 3, 3]]),
            ("i,j->ij", [[3], [2]]), ("ij->ji", [[2, 3]]), ("ii->", [[3, 3]]), ("bii->bi", [[2, 3, 3]]),
            ("ij->", [[2, 3]]),
            ("ij->j", [[2, 3]]), ("i,i", [[4], [4]]), ("ij,ij->i", [[2, 3], [2, 3]]),
            ("...ij,...jk->...ik", [[2, 1, 2, 3], [3, 3, 2]]),
            ("ij,jk,kl->il", [[2, 3], [3, 2], [2, 2]]), ("bn,anm,bm->ba", [[2, 3], [2, 3, 2], [2, 2]]),
            ("ij,j", [[2, 0], [0]]),
        ] {
            switch shapes.count {
            case 1: add("einsum \(equation)", .wave(shapes[0])) { einsum(equation, $0) }
            case 2: add("einsum \(equation)", .wave(shapes[0]), .wave(shapes[1])) { einsum(equation, $0) }
            default:
                add("einsum \(equation)", .wave(shapes[0]), .wave(shapes[1]), .wave(shapes[2])) { einsum(equation, $0) }
            }
        }
        add("einsum strided", .wave([2, 3], .transposed), .wave([3, 2], .sliced)) { einsum("ij,jk->ki", $0[0], $0[1]) }
        add("einsum large", .wave([2, 17, 3, 16]), .wave([2, 13, 3, 16]), isLarge: true) {
            einsum("bqhd,bkhd->bhqk", $0)
        }
    }
}
