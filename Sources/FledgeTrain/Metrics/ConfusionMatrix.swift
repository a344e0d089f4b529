/// How often each class was taken for each: `counts[true][predicted]`.
public struct ConfusionMatrix: Codable, Sendable, Equatable {
    public private(set) var counts: [[Int]]

    /// Counts samples; `predicted` and `labels` are class numbers of 0..<classes.
    public init(predicted: [Int], labels: [Int], classes: Int) {
        Metrics.requireSameCount(predicted.count, labels.count, "ConfusionMatrix")
        counts = Array(repeating: Array(repeating: 0, count: classes), count: classes)
        for (guess, label) in zip(predicted, labels) {
            guard (0..<classes).contains(guess), (0..<classes).contains(label) else {
                fatalError("ConfusionMatrix: class \(guess) or \(label) is not of 0..<\(classes)")
            }
            counts[label][guess] += 1
        }
    }

    public var classes: Int { counts.count }
    public var samples: Int { counts.reduce(0) { $0 + $1.reduce(0, +) } }
    public var accuracy: Double { Double((0..<classes).reduce(0) { $0 + counts[$1][$1] }) / Double(samples) }

    /// The scores of each class, in order of class number.
    public var perClass: [ClassScore] {
        (0..<classes).map { c in
            ClassScore(
                hits: counts[c][c], support: counts[c].reduce(0, +), predicted: counts.reduce(0) { $0 + $1[c] })
        }
    }

    /// The unweighted mean of F1 over the classes that occur among the labels or the predictions. NaN for no samples.
    public var macroF1: Double { mean(of: perClass.filter { $0.support + $0.predicted > 0 }.map(\.f1)) }

    /// The mean recall over the classes that occur among the labels: accuracy as if classes were equally frequent.
    public var balancedAccuracy: Double { mean(of: perClass.filter { $0.support > 0 }.map(\.recall)) }

    /// The mistakes made most often, most frequent first.
    public func commonMistakes(limit: Int) -> [(label: Int, predicted: Int, count: Int)] {
        var mistakes: [(label: Int, predicted: Int, count: Int)] = []
        for label in 0..<classes {
            for guess in 0..<classes where guess != label && counts[label][guess] > 0 {
                mistakes.append((label, guess, counts[label][guess]))
            }
        }
        return Array(
            mistakes.sorted { ($1.count, $0.label, $0.predicted) < ($0.count, $1.label, $1.predicted) }.prefix(limit))
    }

    private func mean(of values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
}

/// How well one class is found. A ratio of 0 to 0 is 0, as is usual for these scores.
public struct ClassScore: Codable, Sendable, Equatable {
    /// The share of right answers among the times this class was predicted.
    public let precision: Double
    /// The share of this class's samples that were found.
    public let recall: Double
    /// The harmonic mean of precision and recall.
    public let f1: Double
    /// How many samples of this class there are.
    public let support: Int
    /// How many samples were taken for this class.
    public let predicted: Int

    init(hits: Int, support: Int, predicted: Int) {
        self.support = support
        self.predicted = predicted
        precision = predicted > 0 ? Double(hits) / Double(predicted) : 0
        recall = support > 0 ? Double(hits) / Double(support) : 0
        f1 = support + predicted > 0 ? 2 * Double(hits) / Double(support + predicted) : 0
    }
}
