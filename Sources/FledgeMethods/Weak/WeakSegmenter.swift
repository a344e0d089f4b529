import FledgeCore
import FledgeModels
import FledgeNN

/// Says of every position of a picture what is there, having been told only what is somewhere in each picture.
///
/// A U-Net learns these tags from the mean of its full-size map over all positions, so that each position's share in
/// them is known (class activation maps, Zhou et al. 2016). Where the maps are sure they are seeds, from which a second
/// layer on the same map learns to name positions; then it learns again from what it is itself sure of. Tags stay part
/// of every step, and no position is ever given a class that is not among its picture's tags (as in Kolesnikov and
/// Lampert 2016, "Seed, expand and constrain").
public struct WeakSegmenter {
    public struct Settings: Sendable {
        public var batchSize = 32
        public var learningRate = 3e-3
        /// Updates that learn the tags alone.
        public var tagSteps = 300
        /// Updates of each round that learns positions; the first learns seeds, the others what the one before said.
        public var roundSteps = 150
        public var rounds = 2
        /// Channels of the network's full-size map.
        public var width = 16
        /// A position is a seed of its highest map from this value on, and of the background below the other.
        public var foreground = 0.5
        public var background = 0.3
        /// What the second layer says with at least this probability is learned in the next round.
        public var confidence = 0.7

        public init() {}
    }

    /// What learns: a map that two linear layers look at.
    private final class Network: Module {
        let trunk: UNet
        let tags: Linear
        /// The classes, and the background behind them.
        let places: Linear

        init(channels: Int, classes: Int, width: Int, random: inout RandomSource) {
            trunk = UNet(channels: channels, width: width, random: &random)
            tags = Linear(width, classes, random: &random)
            places = Linear(width, classes + 1, random: &random)
        }
    }

    private let network: Network
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
        network = Network(
            channels: pictures.shape[3], classes: classes, width: settings.width, random: &weights)
        let isTagged = Tensor(
            tags.flatMap { own in (0..<classes).map { own.contains($0) ? Float(1) : 0 } }, shape: [tags.count, classes])
        let optimizer = Optimizer(AdamW(), for: network, learningRate: settings.learningRate, weightDecay: 1e-4)
        var order = source.stream("order")
        /// One stage; `labels` are [N, H, W], and empty for none.
        func learn(steps: Int, labels: Tensor?) {
            network.train()
            for _ in 0..<steps {
                let batch = Array(order.permutation(tags.count).prefix(settings.batchSize))
                let map = network.trunk.fullSizeMap(pictures.indexSelect(axis: 0, batch))
                var loss = binaryCrossEntropyWithLogits(
                    network.tags(map.mean(axes: [1, 2])), isTagged.indexSelect(axis: 0, batch))
                if let labels {
                    let wanted = labels.indexSelect(axis: 0, batch)
                    let known = (wanted .>= 0).cast(to: .float32)
                    let errors = crossEntropy(
                        network.places(map), wanted, ignoreIndex: PseudoMask.unknown, reduction: .none)
                    loss = loss + errors.sum() / (known.sum() + 1)
                }
                loss.backward()
                optimizer.step()
                optimizer.clearGradients()
            }
            network.eval()
        }
        learn(steps: settings.tagSteps, labels: nil)
        for round in 0..<settings.rounds {
            let labels =
                round == 0
                ? seeds(pictures, tags, Float(settings.foreground), Float(settings.background))
                : confident(pictures, isTagged, settings.confidence)
            learn(steps: settings.roundSteps, labels: labels)
        }
    }

    /// The class of every position, [N * H * W] in rows, or `PseudoMask.background`.
    public func callAsFunction(_ pictures: Tensor) -> [Int] {
        chunks(pictures) { network.places($0).argmax(axis: -1) }.ints().map {
            $0 == classes ? PseudoMask.background : $0
        }
    }

    /// Class activation maps, [N, H, W, classes] in 0...1: all that the tags alone say.
    public func maps(_ pictures: Tensor) -> Tensor {
        chunks(pictures) { normalizedMaps(classActivationMaps($0, weights: network.tags.weight.value)) }
    }

    /// What the full-size map of pictures gives, a few at a time.
    private func chunks(_ pictures: Tensor, _ make: (Tensor) -> Tensor) -> Tensor {
        noGradient {
            let parts = stride(from: 0, to: pictures.shape[0], by: 64).map {
                make(network.trunk.fullSizeMap(pictures[$0..<min($0 + 64, pictures.shape[0])]))
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
            let p = chunks(pictures) { network.places($0).softmax() } * allowed
            let isUnsure = p.max(axis: -1) .< (p.sum(axis: -1) * confidence)
            return p.argmax(axis: -1).maskedFill(isUnsure, Double(PseudoMask.unknown))
        }
    }
}
