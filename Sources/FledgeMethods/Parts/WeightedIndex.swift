import FledgeCore

extension RandomSource {
    /// An index, drawn with a chance in proportion to its weight; nil when all weights are 0.
    mutating func index(inProportionTo weights: [Double]) -> Int? {
        var left = uniform() * weights.reduce(0, +)
        for (index, weight) in weights.enumerated() where weight > 0 {
            left -= weight
            if left < 0 { return index }
        }
        // What rounding leaves over.
        return weights.lastIndex { $0 > 0 }
    }
}
