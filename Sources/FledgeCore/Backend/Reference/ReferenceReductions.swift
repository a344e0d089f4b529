extension ReferenceBackend {
    /// Splits a contiguous walk into lines along `axis`: calls `body(first, step, length)` in units of elements for
    /// each line of a contiguous tensor of that shape.
    static func lines(_ shape: [Int], axis: Int, _ body: (_ first: Int, _ step: Int, _ length: Int) -> Void) {
        let inner = Array(shape[(axis + 1)...]).elementCount
        let outer = Array(shape[..<axis]).elementCount
        let length = shape[axis]
        for o in 0..<outer { for i in 0..<inner { body(o * length * inner + i, inner, length) } }
    }

    func reduce(_ operation: Reduction, _ x: Tensor, axes: [Int]) -> Tensor {
        var result = x.shape
        for axis in axes { result[axis] = 1 }
        let n = result.elementCount
        if !x.dtype.isFloatingPoint {
            let start: Int64 =
                switch operation {
                case .sum: 0
                case .product: 1
                case .max: .min
                case .min: .max
                }
            var sums = [Int64](repeating: start, count: n)
            let values = Reference.integers(x)
            Self.scatter(x.shape, result) { from, to in
                switch operation {
                case .sum: sums[to] &+= values[from]
                case .product: sums[to] &*= values[from]
                case .max: sums[to] = max(sums[to], values[from])
                case .min: sums[to] = min(sums[to], values[from])
                }
            }
            // Sums of small integers do not fit their own type.
            let dtype: DType = (operation == .sum || operation == .product) ? .int64 : x.dtype
            return Reference.make(sums, result, dtype, x.device)
        }
        let start: Double =
            switch operation {
            case .sum: 0
            case .product: 1
            case .max: -.infinity
            case .min: .infinity
            }
        var sums = [Double](repeating: start, count: n)
        let values = Reference.doubles(x)
        Self.scatter(x.shape, result) { from, to in
            let v = values[from]
            switch operation {
            case .sum: sums[to] += v
            case .product: sums[to] *= v
            case .max: sums[to] = v.isNaN || sums[to].isNaN ? .nan : max(sums[to], v)
            case .min: sums[to] = v.isNaN || sums[to].isNaN ? .nan : min(sums[to], v)
            }
        }
        return Reference.make(sums, result, x.dtype, x.device)
    }

    /// Calls `body(from, to)` for each element of `shape`, where `to` is its place in the reduced shape.
    private static func scatter(_ shape: [Int], _ reduced: [Int], _ body: (Int, Int) -> Void) {
        let strides = broadcastStrides(reduced, reduced.contiguousStrides, to: shape)
        var from = 0
        Reference.walk(shape, strides, 0) { to in
            body(from, to)
            from += 1
        }
    }

    func argReduce(largest: Bool, _ x: Tensor, axis: Int) -> Tensor {
        var result = x.shape
        result[axis] = 1
        let values = Reference.doubles(x)
        var winners = [Int64](repeating: 0, count: result.elementCount)
        var line = 0
        Self.lines(x.shape, axis: axis) { first, step, length in
            var best = 0
            for i in 1..<max(length, 1) {
                let v = values[first + i * step]
                let b = values[first + best * step]
                if b.isNaN { break }
                if v.isNaN || (largest ? v > b : v < b) { best = i }
            }
            winners[line] = Int64(best)
            line += 1
        }
        return Reference.make(winners, result, .int64, x.device)
    }

    func cumulativeSum(_ x: Tensor, axis: Int) -> Tensor {
        if !x.dtype.isFloatingPoint {
            var values = Reference.integers(x)
            Self.lines(x.shape, axis: axis) { first, step, length in
                for i in 1..<max(length, 1) { values[first + i * step] &+= values[first + (i - 1) * step] }
            }
            return Reference.make(values, x.shape, .int64, x.device)
        }
        var values = Reference.doubles(x)
        Self.lines(x.shape, axis: axis) { first, step, length in
            for i in 1..<max(length, 1) { values[first + i * step] += values[first + (i - 1) * step] }
        }
        return Reference.make(values, x.shape, x.dtype, x.device)
    }

    func argsort(_ x: Tensor, descending: Bool) -> Tensor {
        let values = Reference.doubles(x)
        var order: [Int64] = []
        order.reserveCapacity(values.count)
        let width = x.shape[x.rank - 1]
        // Ties keep their order in both directions; NaN counts as larger than everything.
        func before(_ a: Double, _ b: Double) -> Bool {
            if a.isNaN || b.isNaN { return descending ? a.isNaN && !b.isNaN : b.isNaN && !a.isNaN }
            return descending ? a > b : a < b
        }
        for row in 0..<(width == 0 ? 0 : values.count / width) {
            let base = row * width
            let sorted = (0..<width).sorted { i, j in
                let a = values[base + i]
                let b = values[base + j]
                return before(a, b) || (!before(b, a) && i < j)
            }
            order += sorted.map { Int64($0) }
        }
        return Reference.make(order, x.shape, .int64, x.device)
    }

    func matmul(_ a: Tensor, _ b: Tensor, bias: Tensor?, batch: [Int]) -> Tensor {
        let m = a.shape[a.rank - 2]
        let k = a.shape[a.rank - 1]
        let n = b.shape[b.rank - 1]
        let x = Reference.doubles(a.broadcastView(to: batch + [m, k]))
        let y = Reference.doubles(b.broadcastView(to: batch + [k, n]))
        var z = [Double](repeating: 0, count: batch.elementCount * m * n)
        z.withUnsafeMutableBufferPointer { z in
            x.withUnsafeBufferPointer { x in
                y.withUnsafeBufferPointer { y in
                    for p in 0..<batch.elementCount {
                        for i in 0..<m {
                            let row = (p * m + i) * n
                            for l in 0..<k {
                                let v = x[(p * m + i) * k + l]
                                let from = (p * k + l) * n
                                for j in 0..<n { z[row + j] += v * y[from + j] }
                            }
                        }
                    }
                }
            }
        }
        if let bias {
            let added = Reference.doubles(bias)
            for i in z.indices { z[i] += added[i % n] }
        }
        return Reference.make(z, batch + [m, n], a.dtype, a.device)
    }

    // MARK: Indexing, for all types: elements are copied as bytes, added as values.

    func indexSelect(_ x: Tensor, axis: Int, _ indices: Tensor) -> Tensor {
        let index = Reference.integers(indices)
        var shape = x.shape
        shape[axis] = index.count
        let result = Tensor(uninitialized: shape, dtype: x.dtype, device: x.device)
        for (i, from) in index.enumerated() {
            var slice = x.shape
            slice[axis] = 1
            let source = x.view(shape: slice, strides: x.strides, offset: x.offset + Int(from) * x.strides[axis])
            write(source, into: result, strides: result.strides, offset: i * result.strides[axis])
        }
        return result
    }

    func indexAdd(_ source: Tensor, axis: Int, _ indices: Tensor, count: Int) -> Tensor {
        let index = Reference.integers(indices)
        let inner = Array(source.shape[(axis + 1)...]).elementCount
        let outer = Array(source.shape[..<axis]).elementCount
        var shape = source.shape
        shape[axis] = count
        let values = Reference.doubles(source)
        var sums = [Double](repeating: 0, count: shape.elementCount)
        for o in 0..<outer {
            for (i, to) in index.enumerated() {
                for j in 0..<inner {
                    sums[(o * count + Int(to)) * inner + j] += values[(o * index.count + i) * inner + j]
                }
            }
        }
        return Reference.make(sums, shape, source.dtype, source.device)
    }

    func gather(_ x: Tensor, axis: Int, _ indices: Tensor) -> Tensor {
        let index = Reference.integers(indices)
        // Each element's own position with `axis` frozen, then moved along it by the index.
        var strides = x.strides
        strides[axis] = 0
        let result = Tensor(uninitialized: indices.shape, dtype: x.dtype, device: x.device)
        let size = x.dtype.size
        let memory = x.storage.pointer
        let target = result.pointer
        var i = 0
        Reference.walk(indices.shape, strides, x.offset) { position in
            let from = position + Int(index[i]) * x.strides[axis]
            (target + i * size).copyMemory(from: memory + from * size, byteCount: size)
            i += 1
        }
        return result
    }

    func scatterAdd(_ source: Tensor, axis: Int, _ indices: Tensor, shape: [Int]) -> Tensor {
        let index = Reference.integers(indices)
        let values = Reference.doubles(source)
        var sums = [Double](repeating: 0, count: shape.elementCount)
        let full = shape.contiguousStrides
        var strides = full
        strides[axis] = 0
        var i = 0
        Reference.walk(indices.shape, strides, 0) { position in
            sums[position + Int(index[i]) * full[axis]] += values[i]
            i += 1
        }
        return Reference.make(sums, shape, source.dtype, source.device)
    }
}
