extension Tensor {
    /// The diagonal of the matrices spanned by two axes (the last two by default), as a view. It becomes the last axis;
    /// the two others disappear.
    /// - Parameter offset: 1 is the diagonal one above the main one, -1 one below. Stops when it is outside.
    public func diagonal(offset: Int = 0, axes: (Int, Int) = (-2, -1)) -> Tensor {
        require(rank >= 2, "diagonal: needs two axes, not shape \(shape)")
        let rowAxis = normalized(axis: axes.0, rank: rank, "diagonal")
        let columnAxis = normalized(axis: axes.1, rank: rank, "diagonal")
        require(rowAxis != columnAxis, "diagonal: axes \(axes) are one")
        if (rowAxis, columnAxis) != (rank - 2, rank - 1) {
            let others = (0..<rank).filter { $0 != rowAxis && $0 != columnAxis }
            return permuted(others + [rowAxis, columnAxis]).diagonal(offset: offset)
        }
        let window = diagonalWindow(offset)
        let result = view(shape: window.shape, strides: window.strides, offset: window.offset)
        let full = shape
        return record("diagonal", result, from: [self]) { [$0.gradient.placedOnDiagonal(offset, of: full)] }
    }

    /// Square matrices with the last axis on their diagonal and zeros elsewhere: [..., n] gives [..., n, n].
    public func diagonalMatrix() -> Tensor {
        require(rank >= 1, "diagonalMatrix: a scalar has no axis")
        return placedOnDiagonal(0, of: shape + [shape[rank - 1]])
    }

    /// The sum of the diagonal of the last two axes.
    public func trace() -> Tensor { diagonal().sum(axis: -1) }

    /// Zeros of `shape` with this tensor on a diagonal: the adjoint of `diagonal`.
    private func placedOnDiagonal(_ offset: Int, of shape: [Int]) -> Tensor {
        let result = Tensor.zeros(shape, dtype: dtype, device: device)
        let window = result.diagonalWindow(offset)
        backend.write(self, into: result, strides: window.strides, offset: window.offset)
        return record("placedOnDiagonal", result, from: [self]) { [$0.gradient.diagonal(offset: offset)] }
    }

    /// Where a diagonal of the last two axes lies in memory.
    private func diagonalWindow(_ diagonal: Int) -> (shape: [Int], strides: [Int], offset: Int) {
        let (rows, columns) = (shape[rank - 2], shape[rank - 1])
        let (firstRow, firstColumn) = (Swift.max(-diagonal, 0), Swift.max(diagonal, 0))
        require(
            firstRow <= rows && firstColumn <= columns, "diagonal: offset \(diagonal) is outside of shape \(shape)")
        let length = Swift.min(rows - firstRow, columns - firstColumn)
        let (down, right) = (strides[rank - 2], strides[rank - 1])
        return (
            shape.dropLast(2) + [length], strides.dropLast(2) + [down + right],
            offset + (length > 0 ? firstRow * down + firstColumn * right : 0)
        )
    }
}
