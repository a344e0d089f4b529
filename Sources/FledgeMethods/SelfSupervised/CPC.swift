import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// CPC: from what came before, recognise what comes next among the pieces of all samples (van den Oord et al. 2018,
/// "Representation learning with contrastive predictive coding").
///
/// A picture is cut into `grid` x `grid` patches that overlap by half, as in the paper (7 x 7 of 64 pixels at 256), and a
/// piece is taken of each at random (60 pixels); a row of numbers, which is read as a sequence such as a sound, is cut
/// into `grid` stretches. Each goes through the backbone; a recurrent network reads every column from the top, or the
/// sequence from its start, and a linear map for each distance predicts what follows. Version 2 (Hénaff et al. 2020,
/// "Data-efficient image recognition with contrastive predictive coding") reads in more `directions`.
public struct CPC: Pretraining {
    /// The paper's for ImageNet: a grid of 7, five rows ahead.
    public struct Config: Settings {
        public var batchSize = 64
        public var grid = 3
        public var ahead = 2
        public var directions = 1
        public var contextSize = 128
        public var patchCrop = 0.9375
        public var patchJitter = 0.0
        public var views = ViewSettings()
        public var training = TrainingSettings.pretraining

        public init() {
            views.cropScale = 0.5
        }

        public static let meanings = [
            "batchSize": "samples for each step",
            "grid":
                "rows and columns of patches, or stretches of a sequence, which overlap by half; their size follows from the sample's",
            "ahead": "how many rows below, or stretches to come, are predicted",
            "directions":
                "ways of reading, each with a network of its own: downwards, upwards, to the right, to the left; of rows of numbers two at most, onwards and backwards (1 is version 1, 4 is version 2)",
            "patchCrop":
                "side of the piece that is cut from each patch at a place of its own, as a share of the patch's; 1 takes patches whole",
            "patchJitter":
                "how much brightness and contrast of each patch change by themselves, in deviations of the data; of version 2 (Hénaff et al. 2020), and good for things and photos",
            "contextSize": "width of the network that reads what came before",
        ]

        public static let ranges: [String: SettingRange] = [
            "batchSize": .within(2...65536), "grid": .within(2...100), "ahead": .within(1...100),
            "directions": .within(1...4), "contextSize": .within(1...65536), "patchCrop": .above(0, upTo: 1),
            "patchJitter": .within(0...1),
        ]
    }

    public static let info = MethodInfo(
        "cpc", .selfSupervised,
        summary:
            "From the upper patches of a picture, or the start of a sequence, recognise what follows among all others.",
        paper: "van den Oord et al. 2018, Representation learning with contrastive predictive coding",
        needs: [.unlabelled])

    let config: Config
    public init(_ config: Config) { self.config = config }
    public var training: TrainingSettings { config.training }

    public func makeTask(_ context: LearningContext) throws -> Task { try Task(config, context) }

    public final class Task: PretrainingTask {
        public let backbone: any Backbone
        /// Of each direction, what reads the pieces that came before.
        let readers: [GRU]
        /// Of each direction W_k of the paper, from the context to the features of a piece k + 1 places on.
        let predictors: [[Linear]]
        public let seesPieces = true
        public let feeds: [Feed]
        public let ruler: LossRuler?
        private let grid: PatchGrid
        /// How many sequences a sample gives in each direction.
        private let columns: Int
        /// Side of the pieces that are cut from the patches.
        private let crop: Int
        private let patchJitter: Double
        private let scaling: PieceScaling
        private let paired: Bool

        /// - Parameter paired: whether the pieces to recognise are of the same sample; of the next one otherwise.
        /// - Throws: `MethodError.patchesTooSmall`, `.tooManyDirections`.
        init(_ config: Config, _ context: LearningContext, paired: Bool = true) throws {
            let side = context.input.shape[0]
            guard let grid = PatchGrid(config.grid, side: side) else {
                throw MethodError.patchesTooSmall(CPC.info.name, grid: config.grid, side: side)
            }
            guard context.input.isImage || config.directions <= 2 else {
                throw MethodError.tooManyDirections(CPC.info.name, config.directions)
            }
            self.grid = grid
            let columns = context.input.isImage ? grid.count : 1
            self.columns = columns
            self.paired = paired
            backbone = context.backbone
            crop = context.input.isImage ? max(1, Int((Double(grid.patch) * config.patchCrop).rounded())) : grid.patch
            patchJitter = config.patchJitter
            scaling = PieceScaling(context, side: crop)
            var random = context.random("reader")
            let width = context.backbone.featureCount
            let ahead = min(config.ahead, config.grid - 1)
            readers = (0..<config.directions).map { _ in
                GRU(RecurrentSize(width, hidden: config.contextSize), random: &random)
            }
            predictors = (0..<config.directions).map { _ in
                (0..<ahead).map { _ in Linear(config.contextSize, width, bias: false, random: &random) }
            }
            let views = [context.randomView(config.views)]
            feeds = [Feed("samples", from: .everything, batchSize: config.batchSize, views: views)]
            let batch = min(config.batchSize, context.data.dataset.count)
            let chances = (1...ahead).map { log(Double(batch * columns * (config.grid - $0))) }
            ruler = LossRuler(
                uninformative: chances.reduce(0, +) / Double(ahead), formula: "ln(pieces to choose from)")
        }

        public func step(_ batches: [String: TrainingBatch], _ context: StepContext) throws -> StepOutput {
            let samples = batches["samples"]!.views[0]
            let pieces = pieces(of: samples, random: context.random.stream("patches"))
            let z = backbone(scaling(pieces)).reshaped([grid.count, columns, samples.shape[0], -1])
            var losses: [Tensor] = []
            var hits: [Double] = []
            for (direction, reader) in readers.enumerated() {
                let sequences = Self.sequences(z, direction: direction)
                let (count, places) = (sequences.shape[0], sequences.shape[1])
                let read = reader(sequences).output
                for (index, predictor) in predictors[direction].enumerated() {
                    let rows = places - 1 - index
                    let context = read.narrowed(axis: 1, start: 0, length: rows).reshaped([count * rows, -1])
                    var wanted = sequences.narrowed(axis: 1, start: index + 1, length: rows)
                    if !paired { wanted = wanted.rolled(by: 1, axis: 0) }
                    let targets = wanted.reshaped([count * rows, -1])
                    let (loss, accuracy) = infoNCE(targets, contexts: context, weight: predictor.weight.value)
                    losses.append(loss)
                    hits.append(accuracy)
                }
            }
            return StepOutput(
                stack(losses).mean(),
                [
                    ("spread", spread(z.reshaped([-1, z.shape[3]]))),
                    ("accuracy", hits.reduce(0, +) / Double(hits.count)),
                ])
        }

        /// Features of pieces [rows, columns, N, D] as sequences [columns * N, rows, D], read downwards (0) or upwards
        /// (1); or [rows * N, columns, D], to the right (2) or to the left (3).
        static func sequences(_ z: Tensor, direction: Int) -> Tensor {
            let lines = z.permuted(direction < 2 ? [1, 2, 0, 3] : [0, 2, 1, 3])
                .reshaped([-1, z.shape[direction < 2 ? 0 : 1], z.shape[3]])
            return direction % 2 == 0 ? lines : lines.flipped(axes: [1])
        }

        /// A piece of each patch of pictures, in a shade of its own: neither edges that run on nor shades should give away
        /// what belongs together. Stretches of sequences are whole.
        func pieces(of samples: Tensor, random: RandomSource) -> Tensor {
            var random = random
            var pieces = grid.pieces(of: samples)
            let count = pieces.shape[0]
            let room = grid.patch - crop
            if room > 0 {
                let corners = (0..<count).map { _ in
                    (row: random.integer(below: room + 1), column: random.integer(below: room + 1))
                }
                pieces = crops(pieces, size: crop, corners: corners)
            }
            guard patchJitter > 0 else { return pieces }
            let shape = [count] + [Int](repeating: 1, count: pieces.rank - 1)
            let contrast = Tensor.uniform(shape, 1 - patchJitter, 1 + patchJitter, random: &random)
            return pieces * contrast + Tensor.uniform(shape, -patchJitter, patchJitter, random: &random)
        }
    }
}

/// InfoNCE of CPC (van den Oord et al. 2018, equations 3 and 4): each context must pick its own target among all, by
/// the density f = exp(z^T W c).
///
/// ln M minus the loss bounds the mutual information of target and context from below.
/// - Parameters:
///   - targets: [M, D], features z of the pieces to choose from.
///   - contexts: [M, C]; row i belongs to row i of the targets.
///   - weight: W, [D, C].
/// - Returns: the loss, and the share of contexts that pick the right target.
public func infoNCE(_ targets: Tensor, contexts: Tensor, weight: Tensor) -> (loss: Tensor, accuracy: Double) {
    require(
        targets.rank == 2 && contexts.rank == 2 && targets.shape[0] == contexts.shape[0]
            && weight.shape == [targets.shape[1], contexts.shape[1]],
        "infoNCE: targets \(targets.shape), contexts \(contexts.shape), weight \(weight.shape)")
    let scores = contexts.linear(weight).matmul(targets.transposed())
    let places = Tensor.arange(scores.shape[0], device: scores.device)
    return (crossEntropy(scores, places), batchAccuracy(scores, places))
}

/// Squares that overlap by half and cover a square picture in `count` rows and columns, or stretches that cover a row
/// of numbers likewise.
struct PatchGrid: Equatable {
    let count: Int
    /// Side of a piece, and the distance to the next, in pixels or numbers.
    let patch: Int
    let stride: Int

    /// nil where pieces would be smaller than 4, in which there is little to see, or all at one place.
    /// - Parameters:
    ///   - count: rows and columns, 2 at least.
    ///   - side: of the picture in pixels, or the length of the row.
    init?(_ count: Int, side: Int) {
        guard count > 1 else { return nil }
        patch = 2 * side / (count + 1)
        guard patch >= 4, patch < side else { return nil }
        stride = (side - patch) / (count - 1)
        guard stride > 0 else { return nil }
        self.count = count
    }

    /// The patches [count * count * N, patch, patch, C] of pictures [N, H, W, C], row by row, in each place all
    /// pictures; or the stretches [count * N, patch] of rows [N, D].
    func pieces(of samples: Tensor) -> Tensor {
        var parts: [Tensor] = []
        for row in 0..<count {
            let band = samples.narrowed(axis: 1, start: row * stride, length: patch)
            guard samples.rank > 2 else {
                parts.append(band)
                continue
            }
            for column in 0..<count { parts.append(band.narrowed(axis: 2, start: column * stride, length: patch)) }
        }
        return concatenate(parts)
    }
}
