import FledgeCore
import Foundation

/// How the next samples to label are chosen.
public enum QueryStrategy: String, Codable, Sendable, CaseIterable {
    case random
    case leastConfident = "least-confident"
    case margin, entropy
    /// Disagreement of passes with dropout.
    case bald
    /// Disagreement of several models of the same samples (query by committee, Seung et al. 1992).
    case committee
    /// Spread over the features, whatever the model says.
    case coreSet = "core-set"
    /// Uncertain and unlike each other.
    case badge

    /// - Parameters:
    ///   - opinion: what the model says of every sample.
    ///   - candidates: the samples without a label.
    ///   - labelled: those with one.
    ///   - count: how many are wanted.
    /// - Returns: so many of `candidates`, the most wanted first; all of them where there are fewer.
    public func choose(
        _ count: Int, of candidates: [Int], labelled: [Int], _ opinion: some QueryOpinion, random: RandomSource
    ) throws -> [Int] {
        var random = random.stream(rawValue)
        let count = min(count, candidates.count)
        guard count > 0 else { return [] }
        switch self {
        case .random: return random.permutation(candidates.count).prefix(count).map { candidates[$0] }
        case .leastConfident: return highest(count, of: candidates, opinion.rows(Acquisition.leastConfident))
        case .margin: return highest(count, of: candidates, opinion.rows { -Acquisition.margin($0) })
        case .entropy: return highest(count, of: candidates, opinion.rows(Acquisition.entropy))
        case .bald, .committee:
            let draws =
                self == .bald
                ? try opinion.dropoutDraws(random: random) : try opinion.committeeDraws(random: random)
            let k = opinion.classes
            return highest(count, of: candidates) { sample in
                Acquisition.bald(draws.map { draw in (0..<k).map { Double(draw[sample * k + $0]) } })
            }
        case .coreSet:
            let both = labelled + candidates
            return Acquisition.coreSet(
                opinion.features.indexSelect(axis: 0, both), centres: Array(labelled.indices), count: count
            ).map { both[$0] }
        case .badge:
            let p = Tensor(opinion.probabilities, shape: [opinion.features.shape[0], opinion.classes])
            return Acquisition.badge(
                probabilities: p.indexSelect(axis: 0, candidates),
                features: opinion.features.indexSelect(axis: 0, candidates), count: count, random: &random
            ).map { candidates[$0] }
        }
    }

    private func highest(_ count: Int, of candidates: [Int], _ score: (Int) -> Double) -> [Int] {
        let scored = candidates.map { (sample: $0, score: score($0)) }
        return scored.sorted { ($1.score, $0.sample) < ($0.score, $1.sample) }.prefix(count).map(\.sample)
    }
}

/// What a model that learned from the labelled samples says of all of them.
public protocol QueryOpinion {
    var classes: Int { get }
    /// samples * classes.
    var probabilities: [Float] { get }
    /// [samples, D], those that the last layer sees.
    var features: Tensor { get }
    /// Probabilities of several passes with dropout.
    func dropoutDraws(random: RandomSource) throws -> [[Float]]
    /// Probabilities of several models.
    func committeeDraws(random: RandomSource) throws -> [[Float]]
}

extension QueryOpinion {
    /// A score of one sample's probabilities, as one of its index.
    func rows(_ score: @escaping ([Double]) -> Double) -> (Int) -> Double {
        { sample in score(probabilities[(sample * classes)..<((sample + 1) * classes)].map(Double.init)) }
    }
}
