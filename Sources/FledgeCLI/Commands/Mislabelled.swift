import ArgumentParser
import Fledge
import Foundation

extension DataCommand {
    /// `fledge data mislabelled DATA`
    struct Mislabelled: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the samples whose label is probably wrong.",
            discussion: """
                Judges every label of the training split by a linear classifier that was not fitted to its sample \
                (confident learning, Northcutt et al. 2021). The better the features, the better the list: without \
                --weights the classifier sees the values of the samples themselves; give a pretrained run where these \
                say little, as with photos.
                """)

        @Argument(help: "A path, or the bundled name `digits`.")
        var data: String

        @OptionGroup var reading: ReadingOptions

        @Option(help: "A run whose features are used, or a safetensors file with torchvision's or timm's names.")
        var weights: String?

        @Option(help: "The network of weights that do not say which it is, of `fledge models`.")
        var model: String?

        @Option(help: "Parts into which the samples are split; each is judged by a classifier of the others.")
        var folds = 5

        @Option(help: "Decides the parts.")
        var seed = 0

        @Option(help: "Writes all suspects as a CSV file; else the surest 20 are printed.")
        var out: String?

        @OptionGroup var output: OutputOptions

        func validate() throws {
            if !(2...100).contains(folds) { throw ValidationError("--folds must be at least 2 and at most 100") }
            if seed < 0 { throw ValidationError("--seed must be 0 or more") }
        }

        private struct Suspect: Encodable {
            var id: String
            var label: String
            var suggested: String
            var label_probability: Double
            var suggested_probability: Double
        }

        private struct Finding: Encodable {
            var data: String
            var samples: Int
            /// How often the classifier agrees with the labels.
            var agreement: Double
            /// The estimated share of wrong labels.
            var noise: Double
            var suspects: [Suspect]
        }

        func run() throws {
            let opened = try reading.open(data, seed: seed)
            let known = opened.train.labels.indices.filter { opened.train.labels[$0] != nil }
            guard !known.isEmpty else { throw DataError.noLabels(path: opened.source) }
            try opened.requireTwoClasses()
            guard known.count >= folds else {
                throw CommandFailure.usage(
                    "\(opened.source) has \(known.count) labelled samples for \(folds) folds",
                    next: "give a lower --folds")
            }
            let labelled = opened.train.subset(known)
            let input = try InputSpec(measuring: opened.train)
            let features: Tensor
            if weights != nil || model != nil {
                let (_, backbone) = try NetworkOptions.make(model, weights: weights, for: input, seed: UInt64(seed))
                features = try Inference.features(backbone, labelled, input: input)
            } else {
                features = try Inference.rawValues(labelled, input: input)
            }
            let (found, agreement) = ConfidentLearning.find(
                features: features, labels: labelled.labels.compactMap { $0 }, classes: opened.classNames.count,
                folds: folds, seed: UInt64(seed))
            let suspects = found.suspects.map { suspect in
                Suspect(
                    id: labelled.id(of: suspect.sample), label: opened.classNames[suspect.label],
                    suggested: opened.classNames[suspect.suggested], label_probability: suspect.ofLabel,
                    suggested_probability: suspect.ofSuggested)
            }
            if agreement < 0.5 {
                output.warn(
                    "the classifier agrees with \(percent(agreement)) of the labels only, so its features say little "
                        + "about them; give a pretrained run with --weights")
            }
            if let out { try AtomicFile.write(table(suspects), to: out) }
            if output.json {
                return try output.print(
                    json: Finding(
                        data: data, samples: known.count, agreement: agreement, noise: found.noise, suspects: suspects))
            }
            try output.print(
                "\(known.count) labels, of which about \(percent(found.noise)) are wrong; \(suspects.count) suspects")
            if let out { return try output.print("wrote them to \(out), the surest first") }
            guard !suspects.isEmpty else { return }
            var rows = TextTable("sample", "label", "looks like", "label's share", "the other's")
            rows.rows = suspects.prefix(20).map {
                [$0.id, $0.label, $0.suggested, percent($0.label_probability), percent($0.suggested_probability)]
            }
            try output.print(rows.text)
            if suspects.count > 20 { try output.print("and \(suspects.count - 20) more; --out FILE.csv writes all") }
        }

        private func table(_ suspects: [Suspect]) -> String {
            func cell(_ text: String) -> String {
                text.contains(where: { ",\"\n\r".contains($0) })
                    ? "\"\(text.replacingOccurrences(of: "\"", with: "\"\""))\"" : text
            }
            let rows = suspects.map {
                [
                    cell($0.id), cell($0.label), cell($0.suggested), String(format: "%.4f", $0.label_probability),
                    String(format: "%.4f", $0.suggested_probability),
                ].joined(separator: ",") + "\n"
            }
            return (["id,label,suggested,label_probability,suggested_probability\n"] + rows).joined()
        }
    }
}
