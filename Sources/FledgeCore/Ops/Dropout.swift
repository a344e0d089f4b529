extension Tensor {
    /// Sets each element to 0 with probability `rate` and scales the others by 1 / (1 - rate), so that the expectation
    /// stays (Srivastava et al. 2014, in the inverted form). Stops for a rate outside 0...1.
    ///
    /// The mask is a function of `Randomness.current` alone, the same on every device; the stream moves on by one word.
    /// Probabilities are multiples of 2^-24.
    public func dropout(_ rate: Double) -> Tensor {
        require(rate >= 0 && rate <= 1, "dropout: rate \(rate) is outside 0...1")
        if rate == 0 { return self }
        requireOneKind("dropout")
        let key = Randomness.current.next()
        return self * noGradient { backend.dropoutMask(like: self, rate: rate, key: key) }
    }
}
