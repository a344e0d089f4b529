import FledgeCore
import FledgeData
import Foundation

/// How often each of several sources is right, learned from how they agree with each other and without any true label,
/// and what their votes are worth together (Ratner et al. 2016, "Data programming: creating large training sets,
/// quickly"). Sources are taken for independent of each other, given the class.
public struct LabelModel: Sendable, Equatable {
    public enum Fit: String, Codable, Sendable, CaseIterable {
        /// In closed form from the agreements of three sources at a time (Fu et al. 2020, "Fast and three-rious"), each
        /// source being equally often right for every class.
        case triplets
        /// Matches the matrix of how often votes coincide (Ratner et al. 2019, "Training complex models with multi-task
        /// weak supervision").
        case matrix
        /// By expectation and maximisation, with an error rate for each class (Dawid and Skene 1979, "Maximum likelihood
        /// estimation of observer error-rates"). For sources that only know some classes, and for more than two.
        case em
    }

    /// The share of each class, P(y).
    public let balance: [Double]
    /// mu: P(source i votes l | y) at (i * classes + l) * classes + y.
    public let mu: [Double]
    public var classes: Int { balance.count }
    public var sources: Int { mu.count / (classes * classes) }

    public init(balance: [Double], mu: [Double]) {
        require(
            mu.count % (balance.count * balance.count) == 0 && balance.count > 1,
            "LabelModel: \(mu.count) rates of \(balance.count) classes")
        self.balance = balance
        self.mu = mu
    }

    /// Learns from votes.
    /// - Parameter balance: the share of each class; nil takes that of the majority votes (and `em` improves it).
    public init(_ votes: Votes, by fit: Fit, balance: [Double]? = nil) {
        let k = votes.classes
        require(balance.map { $0.count == k } ?? true, "LabelModel: a balance of other classes than \(k)")
        let start = balance ?? Self.majorityBalance(votes)
        switch fit {
        case .triplets: self.init(balance: start, mu: Self.triplets(votes))
        case .matrix: self.init(balance: start, mu: MatrixFit(votes).minimum(balance: start))
        case .em: self = Self.maximised(votes, balance: balance)
        }
    }

    /// P(y | votes), proportional to P(y) times mu of every source that votes; sources that abstain say nothing.
    /// - Returns: `votes.count * classes` numbers, each row summing to 1.
    public func posterior(_ votes: Votes) -> [Double] { posterior(votes, countingAbstentions: false) }

    private func posterior(_ votes: Votes, countingAbstentions: Bool) -> [Double] {
        require(votes.classes == classes && votes.sources.count == sources, "LabelModel: votes of other sources")
        let k = classes
        let silence = (0..<(sources * k)).map { place in
            let (source, y) = (place / k, place % k)
            return log(max(1 - (0..<k).reduce(0) { $0 + mu[(source * k + $1) * k + y] }, 1e-3))
        }
        var result: [Double] = []
        result.reserveCapacity(votes.count * classes)
        for sample in 0..<votes.count {
            var logs = balance.map { log(max($0, 1e-12)) }
            for (source, vote) in votes[sample].enumerated() {
                for y in 0..<k {
                    if vote != Votes.abstain {
                        logs[y] += log(max(mu[(source * k + vote) * k + y], 1e-12))
                    } else if countingAbstentions {
                        logs[y] += silence[source * k + y]
                    }
                }
            }
            let top = logs.max()!
            let weights = logs.map { exp($0 - top) }
            let total = weights.reduce(0, +)
            result += weights.map { $0 / total }
        }
        return result
    }

    /// How often each source is right where it votes, by this model.
    public var accuracies: [Double] {
        (0..<sources).map { source in
            var (right, all) = (0.0, 0.0)
            for vote in 0..<classes {
                for y in 0..<classes {
                    let both = mu[(source * classes + vote) * classes + y] * balance[y]
                    all += both
                    if vote == y { right += both }
                }
            }
            return all > 0 ? right / all : 0
        }
    }

    private static func majorityBalance(_ votes: Votes) -> [Double] {
        let (shares, k) = (votes.shares(), votes.classes)
        // One more of each, so that no class is ruled out.
        var sums = [Double](repeating: 1, count: k)
        for sample in votes.covered { for y in 0..<k { sums[y] += Double(shares[sample * k + y]) } }
        let total = sums.reduce(0, +)
        return sums.map { $0 / total }
    }

    // MARK: Triplets

    /// With r = (k accuracy - 1) / (k - 1), the agreement of two sources is E_ij = (k P(agree) - 1) / (k - 1) = r_i r_j,
    /// so r_i = sqrt(E_ij E_il / E_jl) for any other two; the median over them is taken.
    private static func triplets(_ votes: Votes) -> [Double] {
        let (m, k) = (votes.sources.count, votes.classes)
        var agreements = [Double?](repeating: nil, count: m * m)
        var coverage = [Double](repeating: 0, count: m)
        for i in 0..<m {
            coverage[i] = Double((0..<votes.count).count { votes.values[$0 * m + i] != Votes.abstain })
            for j in 0..<m where j != i {
                var (both, same) = (0, 0)
                for s in 0..<votes.count {
                    let (a, b) = (votes.values[s * m + i], votes.values[s * m + j])
                    if a != Votes.abstain, b != Votes.abstain {
                        both += 1
                        if a == b { same += 1 }
                    }
                }
                if both > 0 { agreements[i * m + j] = (Double(k * same) / Double(both) - 1) / Double(k - 1) }
            }
        }
        var mu: [Double] = []
        for i in 0..<m {
            var found: [Double] = []
            for j in 0..<m where j != i {
                for l in (j + 1)..<max(m, j + 1) where l != i {
                    if let ij = agreements[i * m + j], let il = agreements[i * m + l], let jl = agreements[j * m + l],
                        jl != 0
                    {
                        found.append(abs(ij * il / jl).squareRoot())
                    }
                }
            }
            // Without two others to compare with, snorkel's guess of a precision of 0.7.
            var r = found.isEmpty ? (0.7 * Double(k) - 1) / Double(k - 1) : median(found)
            // A source that contradicts the others on the whole is worse than chance.
            if (0..<m).reduce(0, { $0 + (agreements[i * m + $1] ?? 0) }) < 0 { r = -r }
            let accuracy = min(max((1 + Double(k - 1) * r) / Double(k), 0.001), 0.999)
            let voting = votes.count > 0 ? coverage[i] / Double(votes.count) : 0
            for l in 0..<k {
                for y in 0..<k { mu.append(voting * (l == y ? accuracy : (1 - accuracy) / Double(k - 1))) }
            }
        }
        return mu
    }

    private static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }

    // MARK: Expectation and maximisation

    /// Alternates the rates with the posterior that they give, from the majority votes on, until it moves no more. Here it
    /// counts what sources leave unsaid as well: otherwise a class of which no source speaks would explain everything.
    private static func maximised(_ votes: Votes, balance: [Double]?) -> LabelModel {
        let (m, k, covered) = (votes.sources.count, votes.classes, votes.covered)
        var model = LabelModel(
            balance: balance ?? majorityBalance(votes), mu: [Double](repeating: 1 / Double(k + 1), count: m * k * k))
        var shares = votes.shares().map(Double.init)
        guard !covered.isEmpty else { return model }
        for _ in 0..<500 {
            // A little more than was counted, so that no rate is zero.
            var counts = [Double](repeating: 0.01, count: m * k * k)
            var totals = [Double](repeating: 0.01 * Double(k + 1), count: k)
            for sample in covered {
                for y in 0..<k { totals[y] += shares[sample * k + y] }
                for (source, vote) in votes[sample].enumerated() where vote != Votes.abstain {
                    for y in 0..<k { counts[(source * k + vote) * k + y] += shares[sample * k + y] }
                }
            }
            for i in 0..<(m * k) { for y in 0..<k { counts[i * k + y] /= totals[y] } }
            let all = totals.reduce(0, +)
            model = LabelModel(balance: balance ?? totals.map { $0 / all }, mu: counts)
            let next = model.posterior(votes, countingAbstentions: true)
            let change = zip(shares, next).lazy.map { abs($0 - $1) }.max() ?? 0
            shares = next
            if change < 1e-6 { break }
        }
        return model
    }
}

/// The matrix form of the label model: O = (1/n) L^T L, where L has a column for every source and vote, is matched by
/// mu P mu^T outside of the blocks of one source with itself, and its diagonal by mu p (Ratner et al. 2019, equation 3).
///
/// For two classes this has one sensible solution; for more, several fit as well, and the one near the start is found.
public struct MatrixFit {
    /// [d, d] with d = sources * classes, in rows.
    public let overlaps: [Double]
    private let classes: Int
    private var d: Int { Int(Double(overlaps.count).squareRoot().rounded()) }

    /// - Parameter overlaps: O, in rows.
    public init(overlaps: [Double], classes: Int) {
        self.overlaps = overlaps
        self.classes = classes
        require(
            d * d == overlaps.count && d % classes == 0, "MatrixFit: \(overlaps.count) overlaps, \(classes) classes")
    }

    public init(_ votes: Votes) {
        let (m, k) = (votes.sources.count, votes.classes)
        var sums = [Double](repeating: 0, count: m * k * m * k)
        for sample in 0..<votes.count {
            let given = votes[sample].enumerated().filter { $0.element != Votes.abstain }
                .map { $0.offset * k + $0.element }
            for a in given { for b in given { sums[a * m * k + b] += 1 } }
        }
        self.init(overlaps: sums.map { $0 / Double(max(1, votes.count)) }, classes: k)
    }

    /// Where fitting begins: mu of a source that is right with this probability where it votes, and zero for wrong votes,
    /// which keeps the classes apart.
    public func start(balance: [Double], precision: Double = 0.7) -> [Double] {
        (0..<d).flatMap { i in
            (0..<classes).map { y in
                y == i % classes ? min(max(overlaps[i * d + i] * precision / max(balance[y], 1e-9), 0), 1) : 0
            }
        }
    }

    /// The squared differences outside of the blocks of a source with itself, plus those of the diagonal; and the
    /// gradient by mu.
    public func loss(_ mu: [Double], balance: [Double]) -> (value: Double, gradient: [Double]) {
        let k = classes
        var value = 0.0
        var gradient = [Double](repeating: 0, count: mu.count)
        for a in 0..<d {
            var share = 0.0
            for y in 0..<k { share += mu[a * k + y] * balance[y] }
            let off = share - overlaps[a * d + a]
            value += off * off
            for y in 0..<k { gradient[a * k + y] += 2 * off * balance[y] }
            for b in 0..<d where b / k != a / k {
                var product = 0.0
                for y in 0..<k { product += mu[a * k + y] * balance[y] * mu[b * k + y] }
                let error = overlaps[a * d + b] - product
                value += error * error
                for y in 0..<k {
                    gradient[a * k + y] -= 2 * error * balance[y] * mu[b * k + y]
                    gradient[b * k + y] -= 2 * error * balance[y] * mu[a * k + y]
                }
            }
        }
        return (value, gradient)
    }

    /// The mu near `start` that fits best, as rates of 0.001...0.999.
    public func minimum(balance: [Double]) -> [Double] {
        LBFGS.minimize(from: start(balance: balance), maximumSteps: 2000, tolerance: 1e-9) {
            loss($0, balance: balance)
        }.point.map { min(max($0, 1e-3), 0.999) }
    }
}
