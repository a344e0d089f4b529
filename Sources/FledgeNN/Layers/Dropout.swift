import FledgeCore

/// In training, sets each element to 0 with probability `rate` and divides the others by 1 - rate (Srivastava et al.
/// 2014). Draws from `Randomness.current`.
public final class Dropout: Layer, ModeSwitching {
    public let rate: Double
    public var isTraining = true

    public init(_ rate: Double = 0.5) {
        require((0...1).contains(rate), "Dropout: a rate of \(rate) is not between 0 and 1")
        self.rate = rate
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { isTraining && rate > 0 ? x.dropout(rate) : x }
}
