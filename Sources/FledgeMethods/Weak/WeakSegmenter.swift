import FledgeCore
import FledgeModels
import FledgeNN

/// Says of every position of a picture what is there, having been told only what is somewhere in each picture.
///
/// A U-Net learns these tags from the mean of its full-size map over all positions, so that each position's share in
/// them is known (class activation maps, Zhou et al. 2016). Where the maps are sure they are seeds, from which a second
/// one, that starts with what the first has learned, learns to name positions; then it learns again from what it is
/// itself sure of. Whatever is said of positions spreads to those of like colour around them (`refinedMaps`), and in
/// learning none is given a class that is not among its picture's tags (as in Kolesnikov and Lampert 2016, "Seed, expand
/// and constrain").
public struct WeakSegmenter {
    public struct Settings: Sendable {
        public var batchSize = 32
        /// At the start of each stage, over which it falls to 0 along a cosine.
        public var learningRate = 3e-3
        /// Updates that learn the tags alone.
        public var tagSteps = 300
        /// Updates of each round that learns positions; the first learns seeds, the others what the one before said.
        public var roundSteps = 150
        public var rounds = 2
        /// Channels of the network's full-size map.
        public var width = 16
        /// A position is a seed of its highest map from this value on, and of the background below the other.
        public var foreground = 0.3
        public var background = 0.15
        /// What the segmenter says with at least this probability is learned in the next round.
        public var confidence = 0.7

        public init() {}
    }

    /// What it says of every position: [N, H, W, C] to [N, H, W, outputs].
    private final class Network: Module {
        let trunk: UNet
        let output: Linear

        init(channels: Int, outputs: Int, width: Int, random: inout RandomSource) {
            trunk = UNet(channels: channels, width: width, random: &random)
            output = Linear(width, outputs, random: &random)
        }

        func callAsFunction(_ x: Tensor) -> Tensor { output(trunk.fullSizeMap(x)) }
    }

    /// Learned what is in a picture.
    private let tagger: Network
    /// Learned what is where: the classes, and the background behind them.
    private let segmenter: Network
    private let classes: Int

    /// Learns.
    /// - Parameters:
    ///   - pictures: [N, H, W, C], sides of at least 4.
    ///   - tags: for each picture the classes that are in it.
    public init(_ pictures: Tensor, tags: [Set<Int>], classes: Int, settings: Settings = Settings(), seed: UInt64 = 0) {
        require(
            pictures.rank == 4 && pictures.shape[0] == tags.count && !tags.isEmpty
                && tags.allSatisfy { $0.allSatisfy { (0..<classes).contains($0) } },
            "WeakSegmenter: pictures \(pictures.shape), \(tags.count) sets of tags out of \(classes) classes")
        self.classes = classes
        let source = RandomSource(seed: seed)
        var weights = source.stream("weights")
        func network(_ outputs: Int) -> Network {
            Network(channels: pictures.shape[3], outputs: outputs, width: settings.width, random: &weights)
        }
        (tagger, segmenter) = (network(classes), network(classes + 1))
        var order = source.stream("order")
        func learn(_ network: Network, _ optimizer: Optimizer, steps: Int, loss: (Tensor, [Int]) -> Tensor) {
            let learningRate = Schedule.cosine(settings.learningRate, steps: steps)
            network.train()
            for step in 0..<steps {
                let batch = Array(order.permutation(tags.count).prefix(settings.batchSize))
                loss(network(pictures.indexSelect(axis: 0, batch)), batch).backward()
                optimizer.learningRate = learningRate(step)
                optimizer.step()
                optimizer.clearGradients()
            }
            network.eval()
        }
        func optimizer(_ network: Network) -> Optimizer {
            Optimizer(AdamW(), for: network, learningRate: settings.learningRate, weightDecay: 1e-4)
        }

        let isTagged = Tensor(
            tags.flatMap { own in (0..<classes).map { own.contains($0) ? Float(1) : 0 } }, shape: [tags.count, classes])
        learn(tagger, optimizer(tagger), steps: settings.tagSteps) { map, batch in
            binaryCrossEntropyWithLogits(map.mean(axes: [1, 2]), isTagged.indexSelect(axis: 0, batch))
        }

        segmenter.trunk.follow(tagger.trunk, decay: 0)
        let segmenting = optimizer(segmenter)
        for round in 0..<settings.rounds {
            let labels =
                round == 0
                ? seeds(pictures, tags, Float(settings.foreground), Float(settings.background))
                : confident(pictures, isTagged, settings.confidence)
            learn(segmenter, segmenting, steps: settings.roundSteps) { map, batch in
                let wanted = labels.indexSelect(axis: 0, batch)
                let errors = crossEntropy(map, wanted, ignoreIndex: PseudoMask.unknown, reduction: .none)
                // Things and background weigh the same, however little of a picture the things are (Huang et al. 2018,
                // "Weakly-supervised semantic segmentation network with deep seeded region growing").
                return [wanted .== Double(classes), (wanted .>= 0) .& (wanted .< Double(classes))].map {
                    let part = $0.cast(to: .float32)
                    return (errors * part).sum() / (part.sum() + 1)
                }.reduce(Tensor.zeros([1])) { $0 + $1 }
            }
        }
    }

    /// The class of every position, [N * H * W] in rows, or `PseudoMask.background`.
    public func callAsFunction(_ pictures: Tensor) -> [Int] {
        probabilities(pictures).argmax(axis: -1).ints().map {
            $0 == classes ? PseudoMask.background : $0
        }
    }

    /// Class activation maps that follow the edges of the pictures, [N, H, W, classes] in 0...1: all that the tags alone
    /// say.
    public func maps(_ pictures: Tensor) -> Tensor {
        chunks(pictures) { part in
            let features = tagger.trunk.fullSizeMap(part)
            let seen = normalizedMaps(classActivationMaps(features, weights: tagger.output.weight.value))
            return normalizedMaps(refinedMaps(seen, by: part))
        }
    }

    /// What the segmenter says of every position, [N, H, W, classes + 1], as far as the pictures' edges bear it out.
    private func probabilities(_ pictures: Tensor) -> Tensor {
        chunks(pictures) { refinedMaps(segmenter($0).softmax(), by: $0) }
    }

    /// What a few pictures at a time give.
    private func chunks(_ pictures: Tensor, _ make: (Tensor) -> Tensor) -> Tensor {
        noGradient {
            let parts = stride(from: 0, to: pictures.shape[0], by: 64).map {
                make(pictures[$0..<min($0 + 64, pictures.shape[0])])
            }
            return concatenate(parts, axis: 0)
        }
    }

    /// Labels [N, H, W] where the maps are sure, the background's behind the classes.
    private func seeds(_ pictures: Tensor, _ tags: [Set<Int>], _ foreground: Float, _ background: Float) -> Tensor {
        let values = maps(pictures).floats()
        let each = values.count / tags.count
        let labels = tags.enumerated().flatMap { n, present in
            PseudoMask.make(
                Array(values[n * each..<(n + 1) * each]), classes: classes, present: present, foreground: foreground,
                background: background)
        }
        return Tensor(
            labels.map { $0 == PseudoMask.background ? classes : $0 }, shape: Array(pictures.shape[..<3]))
    }

    /// Labels [N, H, W] where the network is sure, among its picture's tags and the background.
    private func confident(_ pictures: Tensor, _ isTagged: Tensor, _ confidence: Double) -> Tensor {
        noGradient {
            let n = pictures.shape[0]
            let allowed = concatenate([isTagged, .ones([n, 1])], axis: 1).reshaped([n, 1, 1, classes + 1])
            let p = probabilities(pictures) * allowed
            let isUnsure = p.max(axis: -1) .< (p.sum(axis: -1) * confidence)
            return p.argmax(axis: -1).maskedFill(isUnsure, Double(PseudoMask.unknown))
        }
    }
}
