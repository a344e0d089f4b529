import ArgumentParser
import Fledge
import Foundation

/// `fledge predict RUN --data DATA`
struct Predict: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Predict the class of every sample.",
        discussion: """
            One JSON object a line, in the data's order: {"id", "label", "probabilities": {class: p}}. Written to \
            standard output, or with --out to a file.
            """)

    @Argument(help: ArgumentHelp("The run's folder, or its model.safetensors.", valueName: "run"))
    var reference: String

    @OptionGroup var source: DataOptionsGroup

    @Option(help: "test, train or all. Default: test where the data have it, else all.")
    var split: Split?

    @Option(help: "The file to write.")
    var out: String?

    @OptionGroup var output: OutputOptions

    private struct Line: Encodable {
        var id: String
        var label: String
        var probabilities: [String: Double]
    }

    private struct Written: Encodable {
        var out: String
        var samples: Int
    }

    func run() throws {
        let model = try RunReference.model(reference)
        guard model.canClassify else {
            throw CommandFailure.usage(
                "this run has learned no classes", why: "\(model.method) does not look at labels",
                next: "train a classifier from it: fledge train fixmatch --weights \(reference) --data ...")
        }
        let data = try source.open(for: model.input)
        var lines: [String] = []
        for set in try Split.samples(of: data, split) {
            let probabilities = try model.probabilities(of: set)
            let classes = model.classNames.count
            for sample in 0..<set.count {
                let row = probabilities[(sample * classes)..<((sample + 1) * classes)]
                let best = row.indices.max { row[$0] < row[$1] }! - row.startIndex
                let named = Dictionary(uniqueKeysWithValues: zip(model.classNames, row.map(Double.init)))
                let line = Line(id: set.id(of: sample), label: model.classNames[best], probabilities: named)
                lines.append(try CanonicalJSON(line, pretty: false).text)
            }
        }
        let text = lines.joined(separator: "\n") + "\n"
        guard let out else { return try StandardStream.output.write(text) }
        try AtomicFile.write(text, to: out)
        if output.json { return try output.print(json: Written(out: out, samples: lines.count)) }
        try output.print("wrote \(lines.count) predictions to \(out)")
    }
}
