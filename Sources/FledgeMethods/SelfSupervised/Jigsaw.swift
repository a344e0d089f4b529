import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// Jigsaw puzzles: in which order were the nine pieces of the picture laid out? (Noroozi and Favaro 2016, "Unsupervised
/// learning of visual representations by solving jigsaw puzzles").
public struct Jigsaw: Pretraining {
    public struct Config: Settings {
        public var batchSize = 32
        public var permutations = 24
        public var share = 0.8
        public var pieceSize = 64
        public var hiddenSize = 256
        public var training = TrainingSettings()

        public init() {
            training.epochs = 15
            training.learningRate = 1e-3
            training.warmup = 0.05
        }

        public static let meanings = [
            "batchSize": "pictures for each step; each gives nine pieces",
            "permutations": "how many orders there are to choose from; the paper has 100 and more for large pictures",
            "share":
                "side of a piece as a share of its cell's in a grid of 3 x 3; below 1 leaves gaps and lets pieces move",
            "pieceSize": "numbers that each piece has a say with",
            "hiddenSize": "width of the layer that looks at all nine pieces",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "permutations": .within(2...10_000), "share": .within(0.3...1),
            "pieceSize": .within(1...65536), "hiddenSize": .within(1...65536),
        ]
    }

    public static let info = MethodInfo(
        "jigsaw", .selfSupervised,
        summary: "Tell in which of some orders the nine pieces of a picture are laid out.",
        paper: "Noroozi and Favaro 2016, Unsupervised learning of visual representations by solving jigsaw puzzles",
        needs: [.unlabelled, .images])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        /// What a piece says, and what all nine say together.
        let piece, puzzle: Sequential
        public let feeds: [Feed]
        public let seesPieces = true
        public let ruler: LossRuler?
        let permutations: [[Int]]
        private let grid: TileGrid
        private let scaling: PieceScaling
        /// For tests: the answers are those of other puzzles.
        private let mismatched: Bool

        init(_ config: Config, _ context: LearningContext, mismatched: Bool = false) throws {
            self.mismatched = mismatched
            backbone = context.backbone
            grid = try TileGrid(context, share: config.share, method: Jigsaw.info.name)
            scaling = PieceScaling(context, side: grid.size)
            var random = context.random("permutations")
            permutations = distantPermutations(config.permutations, random: &random)
            random = context.random("head")
            piece = Sequential([
                projector([backbone.featureCount, config.pieceSize], random: &random), ReLU(),
            ])
            puzzle = projector(
                [9 * config.pieceSize, config.hiddenSize, config.permutations], last: .linear, random: &random)
            feeds = [Feed("pictures", from: .everything, batchSize: config.batchSize, views: [context.weakView])]
            ruler = LossRuler(
                uninformative: log(Double(config.permutations)), formula: "ln \(config.permutations)")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            var random = context.random.stream("pieces")
            let pictures = batches["pictures"]!.views[0]
            let count = pictures.shape[0]
            let pieces = standardized(concatenate(grid.tiles(pictures, random: &random)))
            // One trunk sees every piece by itself, so that laying out what it says is laying out the pieces.
            let said = piece(backbone(scaling(pieces)))
            let chosen = (0..<count).map { _ in random.integer(below: permutations.count) }
            let rows = chosen.enumerated().flatMap { picture, number in
                permutations[number].map { $0 * count + picture }
            }
            let logits = puzzle(said.indexSelect(axis: 0, rows).reshaped([count, -1]))
            let labels = Tensor(mismatched ? Array(chosen.dropFirst() + chosen.prefix(1)) : chosen)
            return StepOutput(crossEntropy(logits, labels), [("accuracy", batchAccuracy(logits, labels))])
        }

        /// Every piece by its own mean and deviation: its brightness does not tell where it was (section 4.2).
        private func standardized(_ pieces: Tensor) -> Tensor {
            let mean = pieces.mean(axes: [1, 2], keepDims: true)
            return (pieces - mean) / (pieces.variance(axes: [1, 2], keepDims: true) + 1e-3).sqrt()
        }
    }
}

/// Permutations of nine that differ from each other in as many places as can be: each has the largest sum of Hamming
/// distances to those before it, the first and what is equal by chance (Noroozi and Favaro 2016, algorithm 1).
/// - Returns: `count` different permutations of 0...8.
func distantPermutations(_ count: Int, random: inout RandomSource) -> [[Int]] {
    // Each as one word with four bits for a place.
    var all: [UInt64] = []
    func extend(_ word: UInt64, _ used: Int, _ length: Int) {
        if length == 9 { return all.append(word) }
        for next in 0..<9 where used & (1 << next) == 0 {
            extend(word << 4 | UInt64(next), used | 1 << next, length + 1)
        }
    }
    all.reserveCapacity(362_880)
    extend(0, 0, 0)
    require(count <= all.count, "distantPermutations: \(count) permutations of nine")

    let low: UInt64 = 0x1_1111_1111
    var distance = [Int32](repeating: 0, count: all.count)
    var chosen: [UInt64] = []
    var next = random.integer(below: all.count)
    while true {
        let last = all[next]
        chosen.append(last)
        if chosen.count == count { break }
        distance[next] = .min / 2
        var best = Int32.min
        var ties = 0
        for (index, word) in all.enumerated() {
            let change = word ^ last
            // A bit for each place in which they differ.
            let places = (change | change >> 1 | change >> 2 | change >> 3) & low
            distance[index] += Int32(places.nonzeroBitCount)
            if distance[index] > best {
                best = distance[index]
                ties = 1
            } else if distance[index] == best {
                ties += 1
            }
        }
        var skip = random.integer(below: ties)
        next = distance.firstIndex { value in
            guard value == best else { return false }
            skip -= 1
            return skip < 0
        }!
    }
    return chosen.map { word in (0..<9).map { Int(word >> (4 * (8 - $0)) & 15) } }
}
