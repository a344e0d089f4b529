import FledgeCore

/// Which sample a person is asked about next: those that a strategy wants, then all others in a random order that the
/// seed alone decides.
public struct QuestionQueue: Sendable {
    /// Every sample, in the random order.
    public let order: [Int]
    private var wanted: [Int] = []

    public init(count: Int, seed: UInt64) {
        var random = RandomSource(seed: seed).stream("questions")
        order = random.permutation(count)
    }

    /// Puts these before all others, the most wanted first; what was wanted before is forgotten.
    public mutating func want(_ samples: [Int]) { wanted = samples }

    /// Puts one before all others: its answer was taken back.
    public mutating func reopen(_ sample: Int) {
        wanted.removeAll { $0 == sample }
        wanted.insert(sample, at: 0)
    }

    /// Up to `count` samples in the order in which they are asked about.
    /// - Parameter isOpen: whether a sample has no answer yet.
    public func next(_ count: Int, where isOpen: (Int) -> Bool) -> [Int] {
        var found: [Int] = []
        for sample in wanted where isOpen(sample) && found.count < count { found.append(sample) }
        if found.count == count { return found }
        let first = Set(found)
        for sample in order where isOpen(sample) && !first.contains(sample) {
            found.append(sample)
            if found.count == count { break }
        }
        return found
    }
}
