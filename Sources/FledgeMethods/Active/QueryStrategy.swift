import FledgeCore
import Foundation

/// How the next samples to label are chosen.
public enum QueryStrategy: String, Codable, Sendable, CaseIterable {
    case random
    case leastConfident = "least-confident"
    case margin, entropy
    /// Disagreement of passes with dropout; drawn, as samples on which there is most of it are alike.
    case bald
    /// Disagreement of several models of the same samples (query by committee, Seung et al. 1992); drawn likewise.
    case committee
    /// Any of those that two models, each of which knows one half of every sample, name differently (naive co-testing,
    /// Muslea et al. 2006, "Active learning with multiple views", section 3).
    case multiView = "multi-view"
    /// Uncertain, and differently so from view to view; the network of the round before goes on learning (active,
    /// incremental fine-tuning, Zhou et al. 2017): for a pretrained network.
    case aift
    /// Spread over the features, whatever the model says.
    case coreSet = "core-set"
    /// Uncertain and unlike each other.
    case badge

    /// Whether a network is fine-tuned from round to round, where others learn anew from all samples.
    public var goesOn: Bool { self == .aift }

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
        func drawn(_ score: (Int) -> Double) -> [Int] {
            var random = random.stream("choice")
            return Acquisition.powerDraws(candidates.map(score), count: count, random: &random).map { candidates[$0] }
        }
        switch self {
        case .random: return random.permutation(candidates.count).prefix(count).map { candidates[$0] }
        case .leastConfident: return highest(count, of: candidates, opinion.rows(Acquisition.leastConfident))
        case .margin: return highest(count, of: candidates, opinion.rows { -Acquisition.margin($0) })
        case .entropy: return highest(count, of: candidates, opinion.rows(Acquisition.entropy))
        case .bald:
            return drawn(opinion.each(try opinion.dropoutDraws(random: random), Acquisition.bald))
        case .committee:
            return drawn(opinion.each(try opinion.committeeDraws(random: random), Acquisition.bald))
        case .multiView:
            let isContended = opinion.each(try opinion.halfDraws(random: random.stream("halves"))) { halves in
                Set(halves.map { half in half.indices.max { half[$0] < half[$1] } }).count > 1
            }
            let mixed = Dictionary(
                grouping: random.permutation(candidates.count).map { candidates[$0] }, by: isContended)
            return Array(((mixed[true] ?? []) + (mixed[false] ?? [])).prefix(count))
        case .aift:
            let views = try opinion.viewDraws(random: random)
            return highest(
                count, of: candidates,
                opinion.each(views) { draws in
                    let (entropy, diversity) = Acquisition.aift(Acquisition.majority(draws))
                    return entropy + diversity
                })
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
    /// Probabilities of two models, of which each sees every other value of what is known of a sample.
    func halfDraws(random: RandomSource) throws -> [[Float]]
    /// Probabilities of several random views of each sample.
    func viewDraws(random: RandomSource) throws -> [[Float]]
}

extension QueryOpinion {
    /// A score of one sample's probabilities, as one of its index.
    public func rows(_ score: @escaping ([Double]) -> Double) -> (Int) -> Double {
        { sample in score(probabilities[(sample * classes)..<((sample + 1) * classes)].map(Double.init)) }
    }

    /// A score of what several draws say of one sample, as one of its index.
    func each<Score>(_ draws: [[Float]], _ score: @escaping ([[Double]]) -> Score) -> (Int) -> Score {
        { sample in
            score(draws.map { $0[(sample * classes)..<((sample + 1) * classes)].map(Double.init) })
        }
    }
}
