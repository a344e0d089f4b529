import FledgeCore
import FledgeData
import FledgeTrain

/// Training pictures as the network sees them: each labelled sample plain, gently and roughly changed.
enum SampleSheet {
    /// - Returns: nil for tables.
    static func make(
        _ context: LearningContext, _ settings: FixMatch.Config, count: Int
    ) throws -> Report.SampleGrid? {
        guard context.input.isImage else { return nil }
        let size = context.input.size
        let views: [(String, Augmentation)] = [
            ("plain", .none(size: size)), ("weak", .weak(size: size, flip: context.flip, shift: context.shift)),
            (
                "strong",
                .strong(
                    size: size, flip: context.flip, shift: context.shift, magnitude: settings.magnitude,
                    cutout: settings.cutout)
            ),
        ]
        let samples = Array(context.data.labelled.prefix(count / views.count))
        var pictures: [Report.SampleGrid.Picture] = []
        for sample in samples {
            for (index, (name, view)) in views.enumerated() {
                let loader = Loader(
                    context.data.dataset, indices: [sample], batchSize: 1, views: [view],
                    seed: context.random("sheet").at(index).key, shuffle: false, remainder: .keep, workers: 0)
                let batch = try loader.batch(at: 0)
                let pixels = batch.views[0].map { UInt8(max(0, min(255, ($0 * 255).rounded()))) }
                let image = ImageBuffer(
                    width: size, height: size, channels: context.input.channels, pixels: pixels)
                let label = context.data.classNames[context.data.dataset.labels[sample]!]
                pictures.append(.init(png: try ImageCodec.png(image), caption: "\(label), \(name)"))
            }
        }
        return Report.SampleGrid(pictures)
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
