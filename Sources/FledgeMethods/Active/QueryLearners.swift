import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

/// Learns from the labelled samples of each round.
public protocol QueryLearner<Opinion> {
    associatedtype Opinion: QueryOpinion
    /// Learns anew.
    /// - Parameters:
    ///   - labelled: samples and their classes.
    ///   - random: of this round.
    func fit(_ labelled: [(sample: Int, label: Int)], random: RandomSource) throws -> Opinion
    /// Goes on from what was learned in the round before, where that is worth it; else learns anew.
    func fit(_ labelled: [(sample: Int, label: Int)], after previous: Opinion, random: RandomSource) throws -> Opinion
    /// Class probabilities of the test samples.
    func test(_ opinion: Opinion) throws -> [Float]
}

extension QueryLearner {
    public func fit(
        _ labelled: [(sample: Int, label: Int)], after previous: Opinion, random: RandomSource
    ) throws -> Opinion {
        try fit(labelled, random: random)
    }
}

/// A small network with dropout on features that stay as they are: quick, so that a question can be asked in a second,
/// and so always anew.
public struct HeadLearner: QueryLearner {
    let pool: Tensor
    let testing: Tensor?
    let classes: Int
    let hidden: Int
    let rate: Double
    let steps: Int
    /// Passes of `bald`, members of `committee` and views of `aift`.
    let draws: Int
    let members: Int
    let views: Int

    /// - Parameters:
    ///   - pool: [N, D] features of the samples to learn from and ask about.
    ///   - testing: [M, D] of the test samples; nil where nothing is tested.
    ///   - hidden: width of the hidden layer, behind which dropout of `rate` acts.
    ///   - steps: updates of each round, from fresh weights, on all labelled samples at once.
    public init(
        pool: Tensor, testing: Tensor?, classes: Int, hidden: Int = 128, rate: Double = 0.5, steps: Int = 150,
        draws: Int = 50, members: Int = 5, views: Int = 8
    ) {
        // One scale for all: features that hardly ever vary would else make outliers of the samples where they do.
        let (mean, deviation) = noGradient { (pool.mean(axis: 0), (pool.variance(axis: 0).mean() + 1e-6).sqrt()) }
        self.pool = noGradient { (pool - mean) / deviation }
        self.testing = testing.map { testing in noGradient { (testing - mean) / deviation } }
        self.classes = classes
        self.hidden = hidden
        self.rate = rate
        self.steps = steps
        self.draws = draws
        self.members = members
        self.views = views
    }

    /// The same on every other value of the features, from the first or the second on.
    private func half(_ first: Int) -> HeadLearner {
        func columns(_ x: Tensor) -> Tensor {
            x.indexSelect(axis: 1, Array(stride(from: first, to: x.shape[1], by: 2)))
        }
        return HeadLearner(
            pool: columns(pool), testing: nil, classes: classes, hidden: hidden, rate: rate, steps: steps)
    }

    /// Two layers; the features that the strategies see are those of the hidden one.
    final class Network: Module {
        let lower: Linear
        let upper: Linear

        init(_ inputs: Int, _ hidden: Int, _ classes: Int, random: inout RandomSource) {
            lower = Linear(inputs, hidden, random: &random)
            upper = Linear(hidden, classes, random: &random)
        }

        func features(_ x: Tensor) -> Tensor { lower(x).relu() }
    }

    func train(_ labelled: [(sample: Int, label: Int)], random: RandomSource) -> Network {
        var start = random.stream("weights")
        let network = Network(pool.shape[1], hidden, classes, random: &start)
        let x = pool.indexSelect(axis: 0, labelled.map(\.sample))
        let labels = Tensor(labelled.map(\.label))
        let optimizer = Optimizer(AdamW(), for: network, learningRate: 5e-3, weightDecay: 1e-2)
        for step in 0..<steps {
            Randomness.current = random.stream("dropout").at(step)
            crossEntropy(network.upper(network.features(x).dropout(rate)), labels).backward()
            optimizer.step()
            optimizer.clearGradients()
        }
        return network
    }

    public struct Opinion: QueryOpinion {
        let learner: HeadLearner
        let network: Network
        let labelled: [(sample: Int, label: Int)]
        public let features: Tensor
        public let probabilities: [Float]
        public var classes: Int { learner.classes }

        public func dropoutDraws(random: RandomSource) -> [[Float]] {
            noGradient {
                (0..<learner.draws).map { draw in
                    Randomness.current = random.at(draw)
                    return network.upper(features.dropout(learner.rate)).softmax().floats()
                }
            }
        }

        /// Members begin from other weights and drop others out (Beluch et al. 2018, "The power of ensembles for active
        /// learning in image classification"). Drawing other samples for each would leave classes out at the beginning.
        public func committeeDraws(random: RandomSource) -> [[Float]] {
            (0..<learner.members).map { member in
                learner.fit(labelled, random: random.at(member)).probabilities
            }
        }

        public func halfDraws(random: RandomSource) -> [[Float]] {
            guard features.shape[1] > 1, learner.pool.shape[1] > 1 else { return [probabilities] }
            return (0..<2).map { learner.half($0).fit(labelled, random: random.at($0)).probabilities }
        }

        /// A view of features is what a table's gentle view is: a little noise, in the scale that they have here.
        public func viewDraws(random: RandomSource) -> [[Float]] {
            noGradient {
                (0..<learner.views).map { view in
                    var random = random.at(view)
                    let noise = Tensor.normal(learner.pool.shape, random: &random) * 0.1
                    return network.upper(network.features(learner.pool + noise)).softmax().floats()
                }
            }
        }
    }

    public func fit(_ labelled: [(sample: Int, label: Int)], random: RandomSource) -> Opinion {
        let network = train(labelled, random: random)
        let features = noGradient { network.features(pool) }
        return Opinion(
            learner: self, network: network, labelled: labelled, features: features,
            probabilities: noGradient { network.upper(features).softmax().floats() })
    }

    public func test(_ opinion: Opinion) -> [Float] {
        guard let testing else { return [] }
        return noGradient { opinion.network.upper(opinion.network.features(testing)).softmax().floats() }
    }

    /// The share of these labels that a network finds which was not shown them: in each of `folds` parts by a network
    /// trained on the others (cross-validation). Stops for fewer samples than parts.
    public func agreement(_ labelled: [(sample: Int, label: Int)], folds: Int = 5, random: RandomSource) -> Double {
        require(folds >= 2 && labelled.count >= folds, "HeadLearner: \(folds) folds of \(labelled.count) samples")
        let fold = OutOfFold.assignment(labelled.map(\.label), folds: folds, random: random.stream("folds"))
        var right = 0
        for part in 0..<folds {
            let held = labelled.indices.filter { fold[$0] == part }.map { labelled[$0] }
            let network = train(
                labelled.indices.filter { fold[$0] != part }.map { labelled[$0] }, random: random.at(part))
            let x = pool.indexSelect(axis: 0, held.map(\.sample))
            let scores = noGradient { network.upper(network.features(x)).floats() }
            right += zip(Metrics.predictions(scores: scores, classes: classes), held).count { $0 == $1.label }
        }
        return Double(right) / Double(labelled.count)
    }
}

/// Any method of the registry that learns classes from labels: active learning with FixMatch is
/// `MethodLearner` with `FixMatch`.
public struct MethodLearner: QueryLearner {
    let method: any Method
    let context: LearningContext
    let testing: any Dataset
    private let start: [String: Tensor]
    let draws: Int
    let members: Int
    let views: Int
    let rate: Double

    /// - Parameters:
    ///   - context: every round that learns anew begins from its backbone's present weights.
    ///   - rate: of the dropout on the features before the classifier, from which `bald` draws.
    public init(
        _ method: any Method, _ context: LearningContext, testing: any Dataset, draws: Int = 20, members: Int = 3,
        views: Int = 8, rate: Double = 0.5
    ) {
        self.method = method
        self.context = context
        self.testing = testing
        start = context.backbone.state()
        self.draws = draws
        self.members = members
        self.views = views
        self.rate = rate
    }

    func learn(
        _ labelled: [(sample: Int, label: Int)], from previous: FittedModel? = nil, seed: UInt64
    ) throws -> FittedModel {
        var context = context
        try context.backbone.load(previous?.backbone.state() ?? start)
        context.head = previous?.head ?? context.head
        // Nothing but the labels that were asked for can be seen.
        let data = context.data
        var labels = [Int?](repeating: nil, count: data.dataset.count)
        for (sample, label) in labelled { labels[sample] = label }
        context.data = TrainingData(
            dataset: data.dataset.relabelled(labels, classNames: data.classNames),
            labelled: labelled.map(\.sample).sorted(), input: data.input)
        context.seed = seed
        return try method.learn(context).model
    }

    public struct Opinion: QueryOpinion {
        let learner: MethodLearner
        let labelled: [(sample: Int, label: Int)]
        /// The next round trains the same backbone, so views must be asked for before.
        let model: FittedModel
        public let features: Tensor
        public let probabilities: [Float]
        /// Of the test samples.
        let tested: [Float]
        public var classes: Int { learner.context.classes }

        /// What fine-tuning learns from: the labels that were not there yet, and those that this network gets wrong
        /// (Zhou et al. 2017, section 3.4).
        func lessons(_ labelled: [(sample: Int, label: Int)]) -> [(sample: Int, label: Int)] {
            let known = Set(self.labelled.map(\.sample))
            let answers = Metrics.predictions(scores: probabilities, classes: classes)
            return labelled.filter { !known.contains($0.sample) || answers[$0.sample] != $0.label }
        }

        public func dropoutDraws(random: RandomSource) throws -> [[Float]] {
            guard let head = model.head else { return [probabilities] }
            return noGradient {
                (0..<learner.draws).map { draw in
                    Randomness.current = random.at(draw)
                    return head(features.dropout(learner.rate)).softmax().floats()
                }
            }
        }

        public func committeeDraws(random: RandomSource) throws -> [[Float]] {
            try (0..<learner.members).map { member in
                try learner.learn(labelled, seed: random.at(member).key)
                    .probabilities(of: learner.context.data.dataset)
            }
        }

        public func halfDraws(random: RandomSource) -> [[Float]] {
            guard features.shape[1] > 1 else { return [probabilities] }
            return (0..<2).map { first in
                let columns = features.indexSelect(axis: 1, Array(stride(from: first, to: features.shape[1], by: 2)))
                let probe = LinearProbe(
                    features: columns.indexSelect(axis: 0, labelled.map(\.sample)), labels: labelled.map(\.label),
                    classes: classes)
                return probe.probabilities(columns)
            }
        }

        public func viewDraws(random: RandomSource) throws -> [[Float]] {
            let context = learner.context
            return try (0..<learner.views).map { view in
                model.probabilities(
                    features: try Inference.features(
                        model.backbone, context.data.dataset, input: context.input, view: context.weakView,
                        seed: random.at(view).key))
            }
        }
    }

    public func fit(_ labelled: [(sample: Int, label: Int)], random: RandomSource) throws -> Opinion {
        try opinion(try learn(labelled, seed: random.key), labelled)
    }

    /// Fine-tunes the network of the round before on its `lessons`.
    public func fit(
        _ labelled: [(sample: Int, label: Int)], after previous: Opinion, random: RandomSource
    ) throws -> Opinion {
        try opinion(
            try learn(previous.lessons(labelled), from: previous.model, seed: random.key), labelled)
    }

    private func opinion(_ model: FittedModel, _ labelled: [(sample: Int, label: Int)]) throws -> Opinion {
        let features = try model.features(of: context.data.dataset)
        return Opinion(
            learner: self, labelled: labelled, model: model, features: features,
            probabilities: model.probabilities(features: features), tested: try model.probabilities(of: testing))
    }

    public func test(_ opinion: Opinion) -> [Float] { opinion.tested }
}
