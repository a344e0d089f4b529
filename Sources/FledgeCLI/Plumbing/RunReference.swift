import ArgumentParser
import Fledge
import FledgeTrack
import Foundation

/// A run as it is named on the command line: its folder, or the model file itself.
enum RunReference {
    /// - Throws: `RunError` when there is no model there.
    static func model(_ reference: String) throws -> FittedModel {
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: reference, isDirectory: &isFolder), !isFolder.boolValue {
            return try FittedModel.load(from: reference)
        }
        let folder = try RunFolder.open(at: reference)
        guard FileManager.default.fileExists(atPath: folder.modelPath) else {
            throw RunError.notARun(folder.path, missing: "model.safetensors")
        }
        return try FittedModel.load(from: folder.modelPath)
    }
}

/// Which network, and with what weights.
struct NetworkOptions: ParsableArguments {
    @Option(help: "The network, of `fledge models`.")
    var model: String?

    @Option(help: "Starting weights: a run, or a safetensors file with torchvision's or timm's names.")
    var weights: String?

    @Option(help: "Side that pictures are brought to. Default: their own up to 64 pixels.")
    var imageSize: Int?

    func validate() throws {
        if let imageSize, !(1...1024).contains(imageSize) {
            throw ValidationError("--image-size must be at least 1 and at most 1024")
        }
    }

    /// The network for samples of `input`, with its weights loaded.
    /// - Returns: its registered name and itself.
    func make(for input: InputSpec, seed: UInt64) throws -> (name: String, backbone: any Backbone) {
        try Self.make(model, weights: weights, for: input, seed: seed)
    }

    static func make(
        _ model: String?, weights: String?, for input: InputSpec, seed: UInt64
    ) throws -> (name: String, backbone: any Backbone) {
        var random = RandomSource(seed: seed).stream("backbone")
        let given = try weights.flatMap { try fledgeModel($0) }
        let name = model ?? given?.modelName ?? (input.isImage ? "small-conv" : "mlp")
        let backbone = try Models.make(name, inputShape: input.shape, random: &random)
        if let given {
            do {
                try backbone.load(given.backbone.state())
            } catch {
                throw ModelError.weights(file: weights ?? "", mismatch: error)
            }
        } else if let weights {
            try PretrainedWeights.load(weights, into: backbone, withClassifier: false)
        }
        return (name, backbone)
    }

    /// A model that Fledge wrote, or nil for weights from elsewhere.
    static func fledgeModel(_ path: String) throws -> FittedModel? {
        var isFolder: ObjCBool = false
        _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        if isFolder.boolValue { return try RunReference.model(path) }
        return try SafetensorsFile(path).metadata["fledge"] == nil ? nil : FittedModel.load(from: path)
    }
}

/// How data are read.
struct ReadingOptions: ParsableArguments {
    @Option(help: "The column of a table that holds the class. Default: one with a usual name, else the last.")
    var labelColumn: String?

    @Option(help: ArgumentHelp("A column of a table to leave out.", valueName: "name"))
    var dropColumn: [String] = []

    @Option(
        help: ArgumentHelp(
            "Labels of the training samples: a label book of `fledge label`, or a CSV file with the columns id (or "
                + "file) and label, whose labels take the place of those of the data.", valueName: "file"))
    var labels: String?

    @Option(help: "Share of the training samples that becomes the test split where there is none.")
    var holdOut: Double?

    @Option(help: "Share of the image files that may be damaged; they are left out, and listed. Default: 0.01.")
    var maximumDamaged: Double?

    func validate() throws {
        if let holdOut, !(holdOut > 0 && holdOut < 1) { throw ValidationError("--hold-out must be between 0 and 1") }
        if let maximumDamaged, !(0...1).contains(maximumDamaged) {
            throw ValidationError("--maximum-damaged must be between 0 and 1")
        }
    }

    var settings: ReadingSettings {
        var settings = ReadingSettings()
        settings.labelColumn = labelColumn
        settings.dropColumns = dropColumn
        settings.labels = labels
        settings.holdOut = holdOut
        settings.maximumDamaged = maximumDamaged
        return settings
    }

    func open(_ data: String, seed: Int = 0, for input: InputSpec? = nil) throws -> OpenedData {
        try settings.open(data, seed: seed, for: input)
    }
}

/// How data are read, as `run.yaml` holds it.
struct ReadingSettings: Settings {
    var labelColumn: String?
    var dropColumns: [String] = []
    var labels: String?
    var holdOut: Double?
    var maximumDamaged: Double?

    static let meanings = [
        "labelColumn": "the column of a table that holds the class", "dropColumns": "columns that are left out",
        "labels": "a label book or CSV file whose labels the training samples have",
        "holdOut": "share of the training samples that becomes the test split",
        "maximumDamaged": "share of the image files that may be damaged",
    ]

    /// - Parameters:
    ///   - seed: of the held-out part.
    ///   - input: of a network that is there already: images are brought to its channels.
    func open(_ data: String, seed: Int = 0, for input: InputSpec? = nil) throws -> OpenedData {
        var options = options(seed: seed, for: input)
        if let labels { options.labels = try LabelBook.isDatabase(labels) ? .init(book: labels) : .read(labels) }
        return try DataSource.open(data, options: options)
    }

    func options(seed: Int = 0, for input: InputSpec? = nil) -> DataOptions {
        var options = DataOptions()
        if let labelColumn { options.labelColumn = .named(labelColumn) }
        options.dropColumns = dropColumns
        options.holdOut = holdOut
        options.seed = UInt64(seed)
        if let maximumDamaged { options.maximumDamaged = maximumDamaged }
        // Files are read as grey or colour; a network for other pictures says what it wants.
        if let input, input.isImage, [1, 3].contains(input.channels) { options.channels = input.channels }
        return options
    }
}

/// The data of a command and how to read it.
struct DataOptionsGroup: ParsableArguments {
    @Option(help: "A path, or the bundled name `digits`.")
    var data: String

    @OptionGroup var reading: ReadingOptions

    func open(seed: Int = 0, for input: InputSpec? = nil) throws -> OpenedData {
        try reading.open(data, seed: seed, for: input)
    }
}

enum Split: String, ExpressibleByArgument, CaseIterable {
    case test, train, all

    /// The samples of a split, in the data's order. `nil` means the test split where there is one, else all.
    static func samples(of data: OpenedData, _ split: Split?) throws -> [any Dataset] {
        switch split {
        case .test: [try data.requireTest()]
        case .train: [data.train]
        case .all: [data.train] + (data.test.map { [$0] } ?? [])
        case nil: [data.test ?? data.train]
        }
    }
}
