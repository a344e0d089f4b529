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

    public let modelName: String
    public let method: String
    public let classNames: [String]
    public let input: InputSpec

    public init(
        backbone: any Backbone, head: Linear? = nil, bank: Tensor? = nil, distributions: Tensor? = nil,
        modelName: String, method: String, classNames: [String], input: InputSpec
    ) {
        self.backbone = backbone
        self.head = head
        self.bank = bank.map(Buffer.init)
        self.distributions = distributions.map(Buffer.init)
        self.modelName = modelName
        self.method = method
        self.classNames = classNames
        self.input = input
    }

    public var canClassify: Bool { head != nil || bank != nil }

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
            features, bank: bank.value, distributions: distributions.value)
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
    }

    /// Writes parameters, buffers and the description of the network.
    public func save(to path: String) throws {
        let metadata = Metadata(model: modelName, method: method, classes: classNames, input: input)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try Safetensors.save(
            state(), to: path, metadata: ["fledge": String(decoding: try encoder.encode(metadata), as: UTF8.self)])
    }

    /// Reads what `save` wrote.
    /// - Throws: `ModelFileError` when the file was not written by Fledge, `StateMismatch` when tensors do not fit,
    ///   and what reading safetensors throws.
    public static func load(from path: String) throws -> FittedModel {
        let file = try SafetensorsFile(path)
        guard let text = file.metadata["fledge"] else { throw ModelFileError(path: path, why: "it has no description of a network") }
        let metadata: Metadata
        do {
            metadata = try JSONDecoder().decode(Metadata.self, from: Data(text.utf8))
        } catch {
            throw ModelFileError(path: path, why: "its description of the network is damaged")
        }
        var random = RandomSource(seed: 0)
        let backbone = try Models.make(metadata.model, inputShape: metadata.input.shape, random: &random)
        let tensors = try Safetensors.load(path)
        let hasHead = tensors["head.weight"] != nil
        let model = FittedModel(
            backbone: backbone,
            head: hasHead ? Linear(backbone.featureCount, metadata.classes.count, random: &random) : nil,
            bank: tensors["bank"].map { Tensor.zeros(like: $0) },
            distributions: tensors["distributions"].map { Tensor.zeros(like: $0) }, modelName: metadata.model,
            method: metadata.method, classNames: metadata.classes, input: metadata.input)
        try model.load(tensors)
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
    public static func features(
        _ backbone: any Backbone, _ dataset: any Dataset, input: InputSpec, batchSize: Int = 256
    ) throws -> Tensor {
        let wasTraining = backbone.modules().map { ($0.item as? any ModeSwitching)?.isTraining ?? false }
        backbone.eval()
        defer {
            for (module, mode) in zip(backbone.modules(), wasTraining) {
                (module.item as? any ModeSwitching)?.isTraining = mode
            }
        }
        var parts: [Tensor] = []
        for batch in try batches(dataset, view: input.plainView, batchSize: batchSize) {
            parts.append(noGradient { backbone(batch.tensor()) })
        }
        return concatenate(parts)
    }

    /// The samples as they are, normalised, flattened to rows [N, values].
    public static func rawValues(_ dataset: any Dataset, input: InputSpec, batchSize: Int = 1024) throws -> Tensor {
        concatenate(try batches(dataset, view: input.plainView, batchSize: batchSize).map { batch in
            batch.tensor().reshaped([batch.count, -1])
        })
    }

    private static func batches(
        _ dataset: any Dataset, view: Augmentation, batchSize: Int
    ) throws -> some Sequence<Batch> {
        let loader = Loader(
            dataset, batchSize: batchSize, views: [view], seed: 0, shuffle: false, remainder: .keep, workers: 1)
        let stream = loader.epoch(0)
        // Read before the engine works on them: a sequence cannot throw.
        var all: [Batch] = []
        while let batch = try stream.next() { all.append(batch) }
        return all
    }
}
