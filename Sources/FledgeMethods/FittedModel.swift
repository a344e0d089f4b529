import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain
import Foundation

/// A network that has learned: a backbone, and where there were labels a way from features to classes.
///
/// On disk it is one safetensors file that says by itself how to rebuild the network: the metadata hold the backbone's
/// name, the classes and the input.
public final class FittedModel: Module {
    public let backbone: any Backbone
    /// Features to logits; nil when nothing was learned from labels.
    public let head: Linear?
    /// Label spreading's memory: features [N, D] and class distributions [N, classes] of the training samples.
    let bank: Buffer?
    let distributions: Buffer?
    /// How the memory is asked.
    let vote: LabelSpreadingGraph.Vote

    public let modelName: String
    public let method: String
    public let classNames: [String]
    public let input: InputSpec
    /// For a model that tells some classes of the data from all others: those that are its second class. nil: its classes
    /// are the data's.
    public var positive: [String]?

    public init(
        backbone: any Backbone, head: Linear? = nil, bank: Tensor? = nil, distributions: Tensor? = nil,
        vote: LabelSpreadingGraph.Vote = .init(), modelName: String, method: String, classNames: [String],
        input: InputSpec
    ) {
        self.backbone = backbone
        self.head = head
        self.bank = bank.map(Buffer.init)
        self.distributions = distributions.map(Buffer.init)
        self.vote = vote
        self.modelName = modelName
        self.method = method
        self.classNames = classNames
        self.input = input
    }

    public var canClassify: Bool { head != nil || bank != nil }

    /// The class of each sample as an index into the model's classes, nil where it has none. nil for data of other
    /// classes.
    public func labels(of dataset: any Dataset) -> [Int?]? {
        guard let positive, classNames != dataset.classNames else {
            return classNames == dataset.classNames ? dataset.labels : nil
        }
        guard positive.allSatisfy(dataset.classNames.contains) else { return nil }
        let isPositive = dataset.classNames.map { positive.contains($0) ? 1 : 0 }
        return dataset.labels.map { $0.map { isPositive[$0] } }
    }

    /// Features [N, D] of every sample of a dataset, in its order, seen through the plain view.
    public func features(of dataset: any Dataset, batchSize: Int = 256) throws -> Tensor {
        try Inference.features(backbone, dataset, input: input, batchSize: batchSize)
    }

    /// Class probabilities [N * classes] of features [N, D]. Stops when the model cannot classify.
    public func probabilities(features: Tensor) -> [Float] {
        let byHead = head.map { head in noGradient { head(features).softmax() }.floats() }
        guard let bank, let distributions else {
            guard let byHead else { stop("this model has learned no classes: it has features only") }
            return byHead
        }
        let byNeighbours = LabelSpreadingGraph.classify(
            features, bank: bank.value, distributions: distributions.value, vote: vote)
        // With both, they vote with equal weight.
        return byHead.map { zip($0, byNeighbours).map { ($0 + $1) / 2 } } ?? byNeighbours
    }

    public func probabilities(of dataset: any Dataset) throws -> [Float] {
        probabilities(features: try features(of: dataset))
    }

    // MARK: On disk

    private struct Metadata: Codable {
        var model: String
        var method: String
        var classes: [String]
        var input: InputSpec
        var vote: LabelSpreadingGraph.Vote?
        var positive: [String]?

        /// Whether a network can be built from it.
        var isSound: Bool {
            [1, 3].contains(input.shape.count) && input.shape.allSatisfy { $0 > 0 }
                && input.mean.count == input.channels && input.deviation.count == input.channels
        }
    }

    /// Writes parameters, buffers and the description of the network.
    public func save(to path: String) throws {
        let metadata = Metadata(
            model: modelName, method: method, classes: classNames, input: input, vote: bank == nil ? nil : vote,
            positive: positive)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try Safetensors.save(
            state(), to: path, metadata: ["fledge": String(decoding: try encoder.encode(metadata), as: UTF8.self)])
    }

    /// Reads what `save` wrote.
    /// - Throws: `ModelFileError` when the file was not written by Fledge, `ModelError.weights` when tensors do not fit,
    ///   and what reading safetensors throws.
    public static func load(from path: String) throws -> FittedModel {
        let file = try SafetensorsFile(path)
        guard let text = file.metadata["fledge"] else {
            throw ModelFileError(path: path, why: "it has no description of a network")
        }
        let metadata: Metadata
        do {
            metadata = try JSONDecoder().decode(Metadata.self, from: Data(text.utf8))
        } catch {
            throw ModelFileError(path: path, why: "its description of the network is damaged")
        }
        var random = RandomSource(seed: 0)
        guard metadata.isSound else {
            throw ModelFileError(path: path, why: "its description of the network is damaged")
        }
        let backbone = try Models.make(metadata.model, inputShape: metadata.input.shape, random: &random)
        let tensors = try Safetensors.load(path)
        let hasHead = tensors["head.weight"] != nil
        guard !hasHead || !metadata.classes.isEmpty else {
            throw ModelFileError(path: path, why: "it has a classifier but names no classes")
        }
        let model = FittedModel(
            backbone: backbone,
            head: hasHead ? Linear(backbone.featureCount, metadata.classes.count, random: &random) : nil,
            bank: tensors["bank"].map { Tensor.zeros(like: $0) },
            distributions: tensors["distributions"].map { Tensor.zeros(like: $0) }, vote: metadata.vote ?? .init(),
            modelName: metadata.model,
            method: metadata.method, classNames: metadata.classes, input: metadata.input)
        do {
            try model.load(tensors)
        } catch {
            throw ModelError.weights(file: path, mismatch: error)
        }
        model.positive = metadata.positive
        model.eval()
        return model
    }
}

/// A file that is no model of Fledge.
public struct ModelFileError: ExplainedError, Equatable {
    public let path: String
    public let reason: String

    public init(path: String, why: String) {
        self.path = path
        reason = why
    }

    public var what: String { "cannot use the model file" }
    public var place: String? { path }
    public var why: String? { reason }
    public var next: String? { "give the model.safetensors of a run, or the run's folder" }
}

/// Running networks without training them.
public enum Inference {
    /// Features [N, D] of every sample in order, in evaluation mode and without recording.
    /// - Parameters:
    ///   - view: how the samples are seen; as they are by default.
    ///   - seed: of the view's random changes.
    /// - Throws: `DataError` when a sample cannot be read, `InputMismatch` when samples are not such as the network saw.
    public static func features(
        _ backbone: any Backbone, _ dataset: any Dataset, input: InputSpec, view: Augmentation? = nil,
        seed: UInt64 = 0, batchSize: Int = 256
    ) throws -> Tensor {
        var parts: [Tensor] = []
        try withMode(of: backbone, training: false) {
            try forEachBatch(of: dataset, input, batchSize, view: view, seed: seed) { batch in
                parts.append(noGradient { backbone(batch.tensor()) })
            }
        }
        return concatenate(parts)
    }

    /// The samples as they are, normalised, flattened to rows [N, values].
    public static func rawValues(_ dataset: any Dataset, input: InputSpec, batchSize: Int = 1024) throws -> Tensor {
        var parts: [Tensor] = []
        try forEachBatch(of: dataset, input, batchSize) { batch in
            parts.append(batch.tensor().reshaped([batch.count, -1]))
        }
        return concatenate(parts)
    }

    /// Makes the running statistics of batch normalisation those of what the network will see: pretraining left those of
    /// strongly changed views. They are the means over up to `limit` samples, drawn by `seed`, as they are.
    public static func adaptStatistics(
        _ backbone: any Backbone, _ dataset: any Dataset, input: InputSpec, seed: UInt64, limit: Int = 10_000
    ) throws {
        let norms = backbone.modules().compactMap { $0.item as? BatchNorm }
        guard !norms.isEmpty else { return }
        var random = RandomSource(seed: seed).stream("statistics")
        let some = random.permutation(dataset.count).prefix(limit)
        let momenta = norms.map(\.momentum)
        defer { for (norm, momentum) in zip(norms, momenta) { norm.momentum = momentum } }
        var seen = 0
        try withMode(of: backbone, training: true) {
            try forEachBatch(of: dataset.subset(Array(some)), input, min(256, some.count)) { batch in
                guard batch.count > 1 else { return }
                seen += batch.count
                // What was there before has no weight, every sample the same.
                for norm in norms { norm.momentum = Double(batch.count) / Double(seen) }
                noGradient { _ = backbone(batch.tensor()) }
            }
        }
    }

    /// Runs `body` with the network in training or evaluation mode; afterwards every module is in its own mode again.
    private static func withMode(of network: any Module, training: Bool, _ body: () throws -> Void) rethrows {
        let switches = network.modules().compactMap { $0.item as? any ModeSwitching }
        let modes = switches.map(\.isTraining)
        if training { network.train() } else { network.eval() }
        defer { for (module, mode) in zip(switches, modes) { module.isTraining = mode } }
        try body()
    }

    private static func forEachBatch(
        of dataset: any Dataset, _ input: InputSpec, _ batchSize: Int, view: Augmentation? = nil, seed: UInt64 = 0,
        _ body: (Batch) -> Void
    ) throws {
        let found: [Int]
        if let images = dataset as? ImageDataset {
            let size = images.uniformSize
            found =
                input.isImage
                ? images.sampleShape(after: .none(size: input.size))
                : [size?.height ?? 0, size?.width ?? 0, images.channels]
        } else {
            found = dataset.sampleShape(after: .none())
        }
        guard found == input.shape else { throw InputMismatch(expected: input.shape, found: found) }
        let loader = Loader(
            dataset, batchSize: batchSize, views: [view ?? input.plainView], seed: seed, shuffle: false,
            remainder: .keep, workers: 1)
        let stream = loader.epoch(0)
        while let batch = try stream.next() { body(batch) }
    }
}

/// Samples of another kind than those a network was made for.
public struct InputMismatch: ExplainedError, Equatable {
    /// The shape of one sample: [height, width, channels] or [features].
    public let expected: [Int]
    public let found: [Int]

    public var what: String { "the data are not such as the network was made for" }
    public var why: String? { "it takes \(Self.describe(expected)), and these are \(Self.describe(found))" }
    public var next: String? { "give data of the same kind as those it was trained on" }

    private static func describe(_ shape: [Int]) -> String {
        shape.count == 3
            ? (shape[2] == 1 ? "grey pictures" : shape[2] == 3 ? "colour pictures" : "pictures of \(shape[2]) channels")
                + (shape[0] > 0 ? " of \(shape[1]) x \(shape[0]) pixels" : "")
            : "rows of \(shape[0]) numbers"
    }
}
