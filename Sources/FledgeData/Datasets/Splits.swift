import FledgeCore

/// Which samples keep their label and which are treated as unlabelled.
public struct LabelledSplit: Equatable, Sendable {
    /// Indices of the samples that keep their label, rising.
    public var labelled: [Int]
    /// All other indices, rising.
    public var unlabelled: [Int]
}

extension Dataset {
    /// Keeps `perClass` labels of every class, drawn at random and the same for the same seed, or with nil all that there
    /// are. Throws when a class has fewer, or when some are wanted and the data has no labels.
    public func labelledSplit(perClass: Int?, seed: UInt64) throws -> LabelledSplit {
        guard let perClass else { return split(keeping: labels.indices.filter { labels[$0] != nil }) }
        guard perClass > 0 else { fatalError("labelledSplit: perClass is \(perClass) and must be positive") }
        guard !classNames.isEmpty else { throw DataError.noLabels(path: "the training split") }
        let random = RandomSource(seed: seed).stream("labels")
        var kept: [Int] = []
        for (label, members) in membersByClass.enumerated() {
            guard members.count >= perClass else {
                throw DataError.tooFewLabels(className: classNames[label], found: members.count, wanted: perClass)
            }
            // Each class has its own stream, so that adding a class leaves the others' choice as it was.
            var stream = random.at(label)
            kept += stream.permutation(members.count).prefix(perClass).map { members[$0] }
        }
        return split(keeping: kept)
    }

    /// A random `fraction` of every class (and of the unlabelled samples) is held out: (rest, held out), both rising.
    /// A class of two or more samples gives at least one and keeps at least one.
    public func holdOut(fraction: Double, seed: UInt64) -> (rest: [Int], heldOut: [Int]) {
        guard fraction > 0, fraction < 1 else { fatalError("holdOut: the fraction \(fraction) is not within 0 and 1") }
        let random = RandomSource(seed: seed).stream("holdOut")
        let unlabelled = labels.indices.filter { labels[$0] == nil }
        var held: [Int] = []
        for (group, members) in (membersByClass + [unlabelled]).enumerated() where members.count > 1 {
            var stream = random.at(group)
            let wanted = Int((Double(members.count) * fraction).rounded())
            let taken = min(members.count - 1, max(1, wanted))
            held += stream.permutation(members.count).prefix(taken).map { members[$0] }
        }
        let split = split(keeping: held)
        return (split.unlabelled, split.labelled)
    }

    /// The indices of the samples of each class.
    public var membersByClass: [[Int]] {
        var members = [[Int]](repeating: [], count: classNames.count)
        for (index, label) in labels.enumerated() {
            if let label { members[label].append(index) }
        }
        return members
    }

    private func split(keeping kept: [Int]) -> LabelledSplit {
        let set = Set(kept)
        return LabelledSplit(labelled: kept.sorted(), unlabelled: (0..<count).filter { !set.contains($0) })
    }
}
