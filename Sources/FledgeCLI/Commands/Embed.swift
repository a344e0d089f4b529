import ArgumentParser
import Fledge
import Foundation

/// `fledge embed RUN --data DATA --out FILE`
struct Embed: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write the features of every sample to a file.",
        discussion: """
            The file holds `embedding` [N, D] float32, `label` [N] int64 (-1: none) and `id`: text in .npz, and for \
            .safetensors, which has no text, the ids joined by line ends as bytes. The network is a run, or one of \
            `fledge models` with weights in torchvision's or timm's names.
            """)

    @Argument(
        help: ArgumentHelp("The run's folder or its model.safetensors; leave out with --model.", valueName: "run"))
    var reference: String?

    @OptionGroup var source: DataOptionsGroup
    @OptionGroup var network: NetworkOptions

    @Option(help: "test, train or all.")
    var split: Split = .all

    @Option(help: "The file to write: .npz or .safetensors.")
    var out: String

    @Option(help: "Samples at a time.")
    var batchSize = 64

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if (reference == nil) == (network.model == nil) {
            throw ValidationError("give either a run or --model")
        }
        if !out.hasSuffix(".npz") && !out.hasSuffix(".safetensors") {
            throw ValidationError("--out must end in .npz or .safetensors")
        }
        if batchSize < 1 { throw ValidationError("--batch-size must be 1 or more") }
    }

    private struct Result: Encodable {
        var out: String
        var samples: Int
        var dimensions: Int
    }

    func run() throws {
        let data: OpenedData
        let backbone: any Backbone
        let input: InputSpec
        if let reference {
            let model = try RunReference.model(reference)
            data = try source.open(for: model.input)
            (backbone, input) = (model.backbone, model.input)
        } else {
            if let weights = network.weights {
                // Networks with published weights expect ImageNet's statistics and size.
                input = try NetworkOptions.fledgeModel(weights)?.input ?? .imageNet(size: network.imageSize ?? 224)
                data = try source.open(for: input)
            } else {
                data = try source.open()
                input = try InputSpec(measuring: data.train, size: network.imageSize)
            }
            backbone = try network.make(for: input, seed: 0).backbone
        }
        var parts: [Tensor] = []
        var labels: [Int] = []
        var ids: [String] = []
        for set in try Split.samples(of: data, split) {
            parts.append(try Inference.features(backbone, set, input: input, batchSize: batchSize))
            labels += set.labels.map { $0 ?? -1 }
            ids += (0..<set.count).map { set.id(of: $0) }
        }
        let features = concatenate(parts)
        let arrays = ["embedding": features, "label": Tensor(labels)]
        if out.hasSuffix(".npz") {
            try AtomicFile.write(
                Npz.bytes([
                    ("embedding", NpyArray(features)), ("label", NpyArray(arrays["label"]!)), ("id", NpyArray(ids)),
                ]), to: out)
        } else {
            let text = Array(ids.joined(separator: "\n").utf8)
            try Safetensors.save(arrays.merging(["id": Tensor(text)]) { $1 }, to: out)
        }
        let result = Result(out: out, samples: labels.count, dimensions: features.shape[1])
        if output.json { return try output.print(json: result) }
        try output.print("wrote \(result.samples) embeddings of \(result.dimensions) numbers to \(out)")
    }
}
