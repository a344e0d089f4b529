extension Tensor {
    /// The matrix product over the last two axes; leading axes broadcast. Vectors count as a row on the left and a
    /// column on the right, and their axis disappears. Transposed views are read in place.
    public func matmul(_ other: Tensor) -> Tensor {
        require(rank > 0 && other.rank > 0, "matmul: a scalar operand; use * instead")
        if rank == 1 { return unsqueezed(axis: 0).matmul(other).squeezed(axis: other.rank == 1 ? 0 : -2) }
        if other.rank == 1 { return matmul(other.unsqueezed(axis: 1)).squeezed(axis: -1) }
        require(
            shape[rank - 1] == other.shape[other.rank - 2] && dtype == other.dtype && device == other.device
                && dtype.isFloatingPoint,
            "matmul: \(dtype) \(shape) and \(other.dtype) \(other.shape) do not go together")
        // One large product is faster than many small ones with the same right side.
        if other.rank == 2, rank > 2, isContiguous {
            return reshaped([-1, shape[rank - 1]]).product(other)
                .reshaped(Array(shape.dropLast()) + [other.shape[1]])
        }
        return product(other)
    }

    /// x W^T + b: `weight` is [out, in], as PyTorch stores it, `bias` [out]; x is [..., in].
    public func linear(_ weight: Tensor, _ bias: Tensor? = nil) -> Tensor {
        require(
            rank >= 1 && weight.rank == 2 && shape[rank - 1] == weight.shape[1] && dtype == weight.dtype
                && device == weight.device && dtype.isFloatingPoint
                && bias.map { $0.shape == [weight.shape[0]] && $0.dtype == dtype } ?? true,
            "linear: x \(dtype) \(shape), weight \(weight.dtype) \(weight.shape), bias "
                + (bias.map { "\($0.dtype) \($0.shape)" } ?? "none"))
        let (inputs, outputs, leading) = (weight.shape[1], weight.shape[0], Array(shape.dropLast()))
        let count = leading.elementCount
        let from = bias.map { [self, weight, $0] } ?? [self, weight]
        // Where the product rounds x, the gradient needs it rounded as well: half of the memory.
        let x = Engine.roundsProduct(count, outputs, inputs) ? roundedToKeep(for: from) : self
        let y = noGradient {
            let rows = rank == 2 ? x : x.reshaped([count, inputs])
            let y = backend.matmul(rows, weight.transposed(), bias: bias, batch: [])
            return rank == 2 ? y : y.reshaped(leading + [outputs])
        }
        let hasBias = bias != nil
        return record("linear", y, from: from, saving: [x, weight]) { context in
            let weight = context.saved[1]
            let g = context.gradient
            let rows = g.reshaped([count, outputs])
            var (dx, dw): (Tensor?, Tensor?)
            if context.needs(0), !context.adds(to: 0, { g.backend.addMatmul(g, weight, to: &$0) }) {
                dx = rows.matmul(weight).reshaped(context.saved[0].shape)
            }
            if context.needs(1) {
                let staysRounded = Engine.precision == .bfloat16 && !Autograd.isRecording
                let kept = staysRounded ? context.saved[0] : context.saved[0].cast(to: g.dtype)
                let (columns, x) = (rows.transposed(), kept.reshaped([count, inputs]))
                if x.dtype != columns.dtype {
                    dw = x.backend.matmul(columns, x, bias: nil, batch: [])
                } else if !context.adds(to: 1, { x.backend.addMatmul(columns, x, to: &$0) }) {
                    dw = columns.matmul(x)
                }
            }
            if !hasBias { return [dx, dw] }
            return [dx, dw, context.needs(2) ? rows.sum(axis: 0) : nil]
        }
    }

    private func product(_ other: Tensor) -> Tensor {
        guard let batch = broadcastShape(Array(shape.dropLast(2)), Array(other.shape.dropLast(2))) else {
            stop("matmul: leading axes of \(shape) and \(other.shape) do not broadcast")
        }
        let result = backend.matmul(self, other, bias: nil, batch: batch)
        return record("matmul", result, from: [self, other], saving: [self, other]) { context in
            let g = context.gradient
            let (a, b) = (context.saved[0], context.saved[1])
            /// The gradient x y of an input; nil where it is not wanted or was added to what is there. It lies in memory
            /// as the input does, so that the gradient of a transposed weight is not transposed again.
            func gradient(_ input: Int, _ operand: Tensor, _ x: Tensor, _ y: Tensor) -> Tensor? {
                guard context.needs(input) else { return nil }
                let isWhole = Array(operand.shape.dropLast(2)) == batch
                if isWhole, context.adds(to: input, { x.backend.addMatmul(x, y, to: &$0) }) { return nil }
                let byColumns = operand.strides[operand.rank - 2] == 1 && operand.strides[operand.rank - 1] != 1
                let product =
                    byColumns ? y.transposed().matmul(x.transposed()).transposed() : x.matmul(y)
                return product.summed(to: operand.shape)
            }
            return [gradient(0, a, g, b.transposed()), gradient(1, b, a.transposed(), g)]
        }
    }

    /// The outer product of two vectors: [m] and [n] give [m, n].
    public func outer(_ other: Tensor) -> Tensor {
        require(rank == 1 && other.rank == 1, "outer: shapes \(shape) and \(other.shape) are no vectors")
        return unsqueezed(axis: 1) * other.unsqueezed(axis: 0)
    }
}
