import FledgeCore

/// How the entries of a weight are gathered into groups, for penalties that act on whole groups (Wen et al. 2016,
/// "Learning structured sparsity in deep neural networks"). A convolution's weight is [out, in, h, w], a linear layer's
/// [out, in].
public enum Grouping: Codable, Equatable, Sendable {
    /// The whole tensor is one group (a layer, in Wen's "depth").
    case whole
    /// One group for each output: filters W[o, ...] of a convolution, rows of a matrix.
    case outputs
    /// One group for each input: channels W[:, i, ...] of a convolution, columns of a matrix.
    case inputs
    /// One group for each input and kernel position: W[:, i, h, w] (Wen's "shape").
    case positions
    /// Blocks of `rows` outputs times `columns` inputs, with all kernel positions. Both must divide their axes.
    case blocks(rows: Int, columns: Int)
    /// Lists of positions in row-major order. Every entry must be in exactly one list.
    case lists([[Int]])

    /// The sum of `x` over each group, in a form of its own that `scaled` takes.
    func sums(_ x: Tensor) -> Tensor {
        if case .lists(let lists) = self {
            return x.reshaped([-1]).indexAdd(axis: 0, membership(lists, x), count: lists.count)
        }
        let arranged = arrange(x)
        return arranged.sum(axes: innerAxes(arranged.rank), keepDims: true)
    }

    /// `x` times the factor of its group.
    func scaled(_ x: Tensor, by factors: Tensor) -> Tensor {
        if case .lists(let lists) = self {
            return x * factors.indexSelect(axis: 0, membership(lists, x)).reshaped(x.shape)
        }
        return (arrange(x) * factors).reshaped(x.shape)
    }

    /// The Euclidean norm of each group; its gradient is 0 at groups that are 0.
    func norms(_ x: Tensor) -> Tensor {
        let squares = sums(x.square())
        let isZero = squares.detached() .== 0
        return squares.maskedFill(isZero, 1).sqrt().maskedFill(isZero, 0)
    }

    /// The number of entries in each group, in the form of `sums`.
    func sizes(_ x: Tensor) -> Tensor { sums(.ones(like: x)) }

    /// One number for each group in row-major order, in the form of `sums`; ones for nil.
    func factors(_ values: [Double]?, _ x: Tensor) -> Tensor {
        let form = sums(.zeros(like: x))
        guard let values else { return .ones(like: form) }
        require(values.count == form.count, "Grouping: \(values.count) weights for \(form.count) groups of \(x.shape)")
        return Tensor(float64: values, shape: form.shape, device: x.device).cast(to: x.dtype)
    }

    /// The axes of `arrange(x)` that lie inside a group.
    private func innerAxes(_ rank: Int) -> [Int] {
        let all = Array(0..<rank)
        switch self {
        case .whole, .lists: return all
        case .outputs: return Array(all.dropFirst())
        case .inputs: return all.filter { $0 != 1 }
        case .positions: return [0]
        case .blocks: return [1, 3] + all.dropFirst(4)
        }
    }

    /// `x` in a shape whose axes are either inside groups or between them.
    private func arrange(_ x: Tensor) -> Tensor {
        switch self {
        case .whole, .lists:
            return x
        case .outputs:
            require(x.rank >= 1, "Grouping.outputs: a scalar has no outputs")
            return x
        case .inputs, .positions:
            require(x.rank >= 2, "Grouping.\(self): shape \(x.shape) has no input axis")
            return x
        case .blocks(let rows, let columns):
            require(
                x.rank >= 2 && rows > 0 && columns > 0 && x.shape[0] % rows == 0 && x.shape[1] % columns == 0,
                "Grouping.blocks: blocks of \(rows) x \(columns) do not tile shape \(x.shape)")
            return x.reshaped([x.shape[0] / rows, rows, x.shape[1] / columns, columns] + x.shape.dropFirst(2))
        }
    }

    /// For each entry in row-major order the number of its list.
    private func membership(_ lists: [[Int]], _ x: Tensor) -> Tensor {
        var group = [Int](repeating: -1, count: x.count)
        for (index, list) in lists.enumerated() {
            for position in list {
                require(group.indices.contains(position), "Grouping.lists: position \(position) of shape \(x.shape)")
                require(group[position] < 0, "Grouping.lists: position \(position) is in two groups")
                group[position] = index
            }
        }
        require(!group.contains(-1), "Grouping.lists: an entry of shape \(x.shape) is in no group")
        return Tensor(group, device: x.device)
    }
}
