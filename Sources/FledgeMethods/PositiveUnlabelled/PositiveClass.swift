import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

// What positive-unlabelled methods share. The labelled samples of the classes that the setting `positive` names are the
// positives P; every sample, its label hidden, is the unlabelled U. Labels of other classes are never looked at.

/// Classes that cannot be the positive ones.
public enum PositiveClassError: ExplainedError, Equatable {
    case notNamed(classes: [String])
    case unknown(String, nearest: [String])
    case all
    case tooFewLabels(String, found: Int)

    public var what: String {
        switch self {
        case .notNamed: "it is not said which class is the positive one"
        case .unknown(let name, _): "there is no class \"\(name)\""
        case .all: "all classes are positive"
        case .tooFewLabels(let name, let found): "class \(name) has \(found) labelled samples"
        }
    }

    public var why: String? {
        switch self {
        case .notNamed(let classes):
            "the classes are \(classes.prefix(12).joined(separator: ", "))\(classes.count > 12 ? ", ..." : "")"
        case .unknown: nil
        case .all: "then there is nothing to tell apart"
        case .tooFewLabels: "two are needed: one to learn from and one to look at"
        }
    }

    public var next: String? {
        switch self {
        case .notNamed: "name it: --set positive=NAME, or several: --set positive=NAME,OTHER"
        case .unknown(_, let nearest): nearest.isEmpty ? nil : "did you mean \(nearest.joined(separator: ", "))?"
        case .all: "leave one out"
        case .tooFewLabels: "label more of them"
        }
    }
}

extension LearningContext {
    /// The same samples for a method that tells `names` from all the rest: classes 0 (not them) and 1, labels of the
    /// labelled positives only.
    func positiveUnlabelled(_ names: [String]) throws(PositiveClassError) -> LearningContext {
        guard !names.isEmpty else { throw .notNamed(classes: data.classNames) }
        for name in names where !data.classNames.contains(name) {
            throw .unknown(name, nearest: Suggestion.nearest(to: name, among: data.classNames))
        }
        // Samples without a label may be of another class.
        guard Set(names).count < data.classNames.count || data.dataset.labels.contains(nil) else { throw .all }
        let positives = data.labelled.filter { names.contains(data.classNames[data.dataset.labels[$0]!]) }
        let title = names.joined(separator: ", ")
        guard positives.count >= 2 else { throw .tooFewLabels(title, found: positives.count) }
        var labels = [Int?](repeating: nil, count: data.dataset.count)
        for sample in positives { labels[sample] = 1 }
        var context = self
        context.data = TrainingData(
            dataset: data.dataset.relabelled(labels, classNames: ["not \(title)", title]), labelled: positives,
            input: data.input)
        context.head = nil
        return context
    }

    /// The share of positives among all samples: `given`, or where that is 0 estimated from how the backbone's features
    /// tell labelled positives from the rest (`ClassPrior`): too high rather than too low where these tell the two badly.
    /// Looks at 10,000 unlabelled samples at most.
    func classPrior(given: Double) throws -> Double {
        if given > 0 { return given }
        let isPositive = Set(data.labelled)
        var random = random("class prior")
        let others = random.permutation(data.dataset.count).filter { !isPositive.contains($0) }.prefix(10_000)
        let samples = (data.labelled + others).sorted()
        let labels = samples.map { isPositive.contains($0) ? 1 : 0 }
        let features = try Inference.features(backbone, data.dataset.subset(samples), input: input)
        let found = OutOfFold.probabilities(
            features, labels: labels, classes: 2, folds: min(5, labels.count), random: random)
        let scores = labels.indices.map { (label: labels[$0], score: found[$0 * 2 + 1]) }
        let share = ClassPrior.bestBin(
            positive: scores.filter { $0.label == 1 }.map(\.score),
            unlabelled: scores.filter { $0.label == 0 }.map(\.score))
        let (p, n) = (Double(data.labelled.count), Double(data.dataset.count))
        // Of all samples, the labelled ones included; never none and never all.
        return min(max((p + share * (n - p)) / n, 1 / n), 1 - 1 / n)
    }

    /// What the trained model says of the samples it learned from, and whether that is believable.
    func judge(_ result: LearningResult, positive: [String], prior: Double?) throws -> LearningResult {
        var result = result
        result.model.positive = positive
        var random = random("judge")
        let some = random.permutation(data.dataset.count).prefix(5_000).sorted()
        let predicted = Metrics.predictions(
            scores: try result.model.probabilities(of: data.dataset.subset(some)), classes: 2)
        let share = Double(predicted.count { $0 == 1 }) / Double(some.count)
        result.metrics["predicted_positive_share"] = share
        if let prior { result.metrics["class_prior"] = prior }
        if share == 0 || share == 1 {
            result.warnings.append("collapsed: \(share == 0 ? "no" : "every") training sample is called positive")
        } else if let prior, share > 2 * prior || share < prior / 2 {
            result.warnings.append(
                "\(percent(share)) of the training samples are called positive, and the class prior is "
                    + "\(percent(prior)); give --set prior=SHARE if it is known")
        }
        return result
    }

    private func percent(_ share: Double) -> String { "\(Int((share * 1000).rounded()) / 10) %" }
}

/// The network's answer as one number, positive for the positive class: z1 - z0 of a classifier of two classes.
func decision(_ logits: Tensor) -> Tensor { logits[0..., 1] - logits[0..., 0] }

/// Estimates of the share of positives among unlabelled samples.
public enum ClassPrior {
    /// Best bin estimation (Garg et al. 2021, "Mixture proportion estimation and PU learning: a modern approach",
    /// algorithm 1): where a score is so high that hardly any negative reaches it, the share of unlabelled samples above
    /// it is the prior times that of positives. Chooses the score with the lowest upper confidence bound.
    /// - Parameters:
    ///   - positive: scores of positives that the classifier did not learn from; higher for the positive class.
    ///   - unlabelled: likewise.
    ///   - delta: the bound may fail with this probability.
    ///   - gamma: weight of the bound's width beyond 1.
    public static func bestBin(
        positive: [Float], unlabelled: [Float], delta: Double = 0.1, gamma: Double = 0.01
    ) -> Double {
        require(!positive.isEmpty && !unlabelled.isEmpty, "ClassPrior: no scores")
        let (p, u) = (positive.sorted(by: >), unlabelled.sorted(by: >))
        let (np, nu) = (Double(p.count), Double(u.count))
        let width = (log(4 / delta) / (2 * nu)).squareRoot() + (log(4 / delta) / (2 * np)).squareRoot()
        var (best, bound) = (1.0, Double.infinity)
        var (i, j) = (0, 0)
        while i < p.count {
            let threshold = p[i]
            while i < p.count, p[i] >= threshold { i += 1 }
            while j < u.count, u[j] >= threshold { j += 1 }
            let (qp, qu) = (Double(i) / np, Double(j) / nu)
            let upper = qu / qp + (1 + gamma) / qp * width
            if upper < bound { (best, bound) = (qu / qp, upper) }
        }
        return min(best, 1)
    }
}
