import FledgeCore
import FledgeData
import FledgeTrain

/// Training pictures as the network sees them: each labelled sample plain, gently and roughly changed.
enum SampleSheet {
    /// - Returns: nil for tables.
    static func make(
        _ context: LearningContext, _ settings: FixMatch.Config, count: Int
    ) throws -> Report.Sheet? {
        guard context.input.isImage else { return nil }
        let size = context.input.size
        let views: [(String, Augmentation)] = [
            ("plain", .none(size: size)), ("weak", .weak(size: size, flip: context.flip, shift: context.shift)),
            (
                "strong",
                .strong(
                    size: size, flip: context.flip, recolour: context.recolour, shift: context.shift,
                    magnitude: settings.magnitude, cutout: settings.cutout, fill: context.ground)
            ),
        ]
        let samples = Array(context.data.labelled.prefix(count / views.count))
        var pictures: [Report.Sheet.Picture] = []
        for sample in samples {
            for (index, (name, view)) in views.enumerated() {
                let loader = Loader(
                    context.data.dataset, indices: [sample], batchSize: 1, views: [view],
                    seed: context.random("sheet").at(index).key, shuffle: false, remainder: .keep, workers: 0)
                let label = context.data.classNames[context.data.dataset.labels[sample]!]
                pictures.append(
                    .init(
                        png: try png(of: loader.batch(at: 0).views[0], context.input), caption: "\(label), \(name)"))
            }
        }
        return Report.Sheet(
            "Samples as the network sees them", note: "Training samples after augmentation.", pictures)
    }
}

/// A picture in levels from 0 to 1, [height * width * channels], as a file; others are brought to the nearest. Of more
/// than three channels the first three are shown.
private func png(of levels: [Float], _ input: InputSpec) throws -> [UInt8] {
    let channels = input.channels, shown = channels < 3 ? 1 : 3
    let pixels = (0..<levels.count / channels * shown).map { i in
        UInt8(max(0, min(255, (levels[i / shown * channels + i % shown] * 255).rounded())))
    }
    return try ImageCodec.png(
        ImageBuffer(width: input.shape[1], height: input.shape[0], channels: shown, pixels: pixels))
}

/// What a network makes of pictures: what it was shown, and what it answered. Normalised, [N, H, W, C].
public struct Reconstruction {
    public let seen, rebuilt: Tensor

    public init(seen: Tensor, rebuilt: Tensor) {
        self.seen = seen
        self.rebuilt = rebuilt
    }
}

/// Sheets of a network that was trained without labels.
enum FeatureSheets {
    /// Some samples and those that lie nearest to them by the features, with their classes where these are known.
    /// - Returns: nil for tables, and for fewer than seven samples.
    static func neighbours(
        _ context: LearningContext, queries: Int = 6, nearest: Int = 5, limit: Int = 4000
    ) throws -> Report.Sheet? {
        guard context.input.isImage, context.data.dataset.count > nearest + 1 else { return nil }
        var random = context.random("neighbour sheet")
        let dataset = context.data.dataset
        let some = Array(random.permutation(dataset.count).prefix(limit))
        let features = try Inference.features(context.backbone, dataset.subset(some), input: context.input)
            .l2Normalized(axis: -1)
        let asked = min(queries, some.count)
        // One more, since each is its own nearest.
        let found = NearestNeighbours.search(features[0..<asked], in: features, count: nearest + 1)
        func picture(_ place: Int, _ similarity: Float?) throws -> Report.Sheet.Picture {
            let values = try Inference.rawValues(dataset.subset([some[place]]), input: context.input)
            let label = dataset.labels[some[place]].map { context.data.classNames[$0] }
            let words = [similarity.map { String(format: "%.2f", $0) }, label].compactMap { $0 }
            return .init(
                png: try png(of: context.levels(values).floats(), context.input),
                caption: words.isEmpty ? dataset.id(of: some[place]) : words.joined(separator: ", "))
        }
        var pictures: [Report.Sheet.Picture] = []
        for query in 0..<asked {
            pictures.append(try picture(query, nil))
            let row = query * found.count..<(query + 1) * found.count
            for place in row.filter({ Int(found.indices[$0]) != query }).prefix(nearest) {
                pictures.append(try picture(Int(found.indices[place]), found.similarities[place]))
            }
        }
        return Report.Sheet(
            "What lies together",
            note:
                "A sample at the beginning of each row, and the \(nearest) that are nearest to it by the features, with cosine similarity. Classes are named where the data know them, learned from or not.",
            columns: nearest + 1, pictures)
    }

    /// Some samples, what the network was shown of them, and what it made of that.
    /// - Returns: nil for tables and for tasks that rebuild nothing.
    static func reconstructions(
        _ task: any PretrainingTask, _ context: LearningContext, count: Int = 8
    ) throws -> Report.Sheet? {
        guard context.input.isImage else { return nil }
        var random = context.random("reconstruction sheet")
        let some = Array(random.permutation(context.data.dataset.count).prefix(count))
        let samples = try Inference.rawValues(context.data.dataset.subset(some), input: context.input)
            .reshaped([some.count] + context.input.shape)
        task.eval()
        guard let made = noGradient({ task.reconstruction(of: samples, random: random.stream("parts")) }) else {
            return nil
        }
        var pictures: [Report.Sheet.Picture] = []
        for i in some.indices {
            for (name, values) in [
                ("sample", samples), ("seen", made.seen), ("rebuilt", made.rebuilt),
            ] {
                pictures.append(
                    .init(png: try png(of: context.levels(values[i]).floats(), context.input), caption: name))
            }
        }
        return Report.Sheet(
            "What it rebuilds",
            note: "Training samples, what the network was shown of them, and what it made of that.", columns: 6,
            pictures)
    }
}

extension LearningContext {
    /// Normalised values [..., C] back to levels from 0 to 1.
    fileprivate func levels(_ values: Tensor) -> Tensor {
        values.reshaped([-1, input.channels]) * Tensor(input.deviation) + Tensor(input.mean)
    }
}

/// A map of training samples by their features. Colours are the model's own predictions, since most labels are hidden.
enum EmbeddingPicture {
    static func make(_ model: FittedModel, _ data: TrainingData, limit: Int) throws -> Report.EmbeddingMap? {
        var random = RandomSource(seed: 0).stream("map")
        let labelled = Array(data.labelled.prefix(limit / 2))
        let isLabelled = Set(labelled)
        let others = random.permutation(data.dataset.count).filter { !isLabelled.contains($0) }
        let chosen = (labelled + others.prefix(limit - labelled.count)).sorted()
        guard chosen.count > 10 else { return nil }
        let features = try model.features(of: data.dataset.subset(chosen))
        let probabilities = model.probabilities(features: features)
        let predicted = Metrics.predictions(scores: probabilities, classes: data.classNames.count)
        let unit = features.l2Normalized(axis: -1)
        let places = Projection.tsne(unit.floats(), rows: chosen.count, columns: unit.shape[1])
        let points = chosen.enumerated().map { i, sample in
            Report.EmbeddingMap.Point(
                x: places[2 * i], y: places[2 * i + 1], label: predicted[i], isLabelled: isLabelled.contains(sample))
        }
        return Report.EmbeddingMap(
            caption: "t-SNE of the features of \(chosen.count) training samples, coloured by prediction", points: points
        )
    }
}
