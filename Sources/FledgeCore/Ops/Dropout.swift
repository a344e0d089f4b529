extension Tensor {
    /// Sets each element to 0 with probability `rate` and scales the others by 1 / (1 - rate), so that the expectation
    /// stays (Srivastava et al. 2014, in the inverted form). Stops for a rate outside 0...1.
    ///
    /// The mask is a function of `Randomness.current` alone, the same on every device; the stream moves on by one word.
    public func dropout(_ rate: Double) -> Tensor {
        require(rate >= 0 && rate <= 1, "dropout: rate \(rate) is outside 0...1")
        if rate == 0 { return self }
        return self * dropoutMask(rate, key: Randomness.current.next())
    }

    /// 0 with probability `rate`, else 1 / (1 - rate). Element 4 i + j is word j of block i of the Philox stream `key`.
    private func dropoutMask(_ rate: Double, key: UInt64) -> Tensor {
        let words = (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32))
        let threshold = UInt64((rate * 0x1p32).rounded())
        let kept = rate < 1 ? 1 / (1 - rate) : 0
        let mask = Tensor(uninitialized: shape, dtype: dtype, device: device)
        func fill<T: TensorScalar>(_ zero: T, _ kept: T) {
            let memory = mask.data(T.self)
            let n = mask.count
            var i = 0
            while i < n {
                let block = UInt64(i >> 2)
                let draws = Philox.block(
                    counter: (UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32), 0, 0),
                    key: words)
                memory[i] = UInt64(draws.0) < threshold ? zero : kept
                if i + 1 < n { memory[i + 1] = UInt64(draws.1) < threshold ? zero : kept }
                if i + 2 < n { memory[i + 2] = UInt64(draws.2) < threshold ? zero : kept }
                if i + 3 < n { memory[i + 3] = UInt64(draws.3) < threshold ? zero : kept }
                i += 4
            }
        }
        switch dtype {
        case .float32: fill(Float(0), Float(kept))
        case .float64: fill(0.0, kept)
        default: stop("dropout: a \(dtype) tensor of shape \(shape); cast it to float32 first")
        }
        return mask
    }
}
