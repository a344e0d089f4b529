import FledgeCore
import FledgeData
import FledgeMethods
import FledgeModels
import FledgeTrain
import Foundation

/// Small colour pictures made by formula, for methods that need colour or an upright position: a tree, a house, a
/// mushroom, a boat or a flag, upright and of about its usual colour, somewhere on a ground of any colour.
enum Scenes {
    static let classNames = ["boat", "flag", "house", "mushroom", "tree"]

    /// - Parameters:
    ///   - count: a multiple of 5; classes come one after the other, in turn.
    ///   - size: side in pixels.
    ///   - grain: deviation of the noise, as a share of white.
    static func pictures(_ count: Int, size: Int, seed: UInt64, grain: Double = 0.03) -> ImageDataset {
        var pixels: [UInt8] = []
        pixels.reserveCapacity(count * size * size * 3)
        for index in 0..<count {
            var random = RandomSource(seed: seed).stream("scene").at(index)
            pixels += picture(of: index % 5, size: size, grain: grain, random: &random)
        }
        return ImageDataset(
            pixels: pixels, width: size, height: size, channels: 3, labels: (0..<count).map { $0 % 5 },
            classNames: classNames)
    }

    /// What a method is given: `count` pictures, `perClass` of each class with their label.
    static func context(
        perClass: Int, seed: UInt64 = 0, count: Int = 600, size: Int = 12, model: String = "small-conv"
    ) throws -> LearningContext {
        let train = pictures(count, size: size, seed: 1)
        let labelled = try train.labelledSplit(perClass: perClass, seed: seed).labelled
        let input = try InputSpec(measuring: train)
        var random = RandomSource(seed: seed).stream("backbone")
        let backbone = try Models.make(model, inputShape: input.shape, random: &random)
        return LearningContext(
            data: TrainingData(dataset: train, labelled: labelled, input: input), backbone: backbone, modelName: model,
            seed: seed)
    }

    /// Accuracy of a vote of neighbours among the labelled pictures, by the context's backbone, on 500 new ones.
    static func neighbours(_ context: LearningContext) throws -> Double {
        let test = pictures(500, size: context.input.size, seed: 2)
        let labelled = context.data.dataset.subset(context.data.labelled)
        func features(_ set: any Dataset) throws -> Tensor {
            try Inference.features(context.backbone, set, input: context.input)
        }
        let probe = KNNProbe(features: try features(labelled), labels: context.data.labels, classes: 5, k: 5)
        let predicted = Metrics.predictions(scores: probe.probabilities(try features(test)), classes: 5)
        return Metrics.accuracy(predicted: predicted, labels: test.labels.compactMap { $0 })
    }

    /// Accuracy of a linear classifier on the labelled pictures' features, on 500 new ones.
    static func linear(_ context: LearningContext) throws -> Double {
        let test = pictures(500, size: context.input.size, seed: 2)
        let labelled = context.data.dataset.subset(context.data.labelled)
        let probe = LinearProbe(
            features: try Inference.features(context.backbone, labelled, input: context.input),
            labels: context.data.labels, classes: 5)
        let scores = probe.probabilities(try Inference.features(context.backbone, test, input: context.input))
        return Metrics.accuracy(
            predicted: Metrics.predictions(scores: scores, classes: 5), labels: test.labels.compactMap { $0 })
    }

    // MARK: Drawing

    private static func picture(of kind: Int, size: Int, grain: Double, random: inout RandomSource) -> [UInt8] {
        let light = random.uniform(0.6, 1)
        // A ground of some colour, brighter towards some side.
        let ground = (0..<3).map { _ in random.uniform(0.2, 0.8) }
        let slope = (random.uniform(-0.3, 0.3), random.uniform(-0.3, 0.3))
        let scale = random.uniform(0.75, 1.05), x0 = random.uniform(0.38, 0.62), y0 = random.uniform(0.4, 0.6)
        let tint = (0..<3).map { _ in random.uniform(-0.25, 0.25) }
        var pixels: [UInt8] = []
        for row in 0..<size {
            for column in 0..<size {
                let (x, y) = ((Double(column) + 0.5) / Double(size), (Double(row) + 0.5) / Double(size))
                // The object's own coordinates, from -1 to 1, y downwards.
                let part = part(of: kind, (x - x0) / (0.45 * scale), (y - y0) / (0.45 * scale))
                let fade = slope.0 * (x - 0.5) + slope.1 * (y - 0.5)
                let colour = part.map { zip($0, tint).map { $0 + $1 } } ?? ground.map { $0 + fade }
                for level in colour {
                    let value = level * light + random.normal() * grain
                    pixels.append(UInt8((min(max(value, 0), 1) * 255).rounded()))
                }
            }
        }
        return pixels
    }

    /// The colour of the object at a point, nil beside it.
    private static func part(of kind: Int, _ x: Double, _ y: Double) -> [Double]? {
        switch kind {
        case 0:
            if y > 0.3, y < 0.75, abs(x) < 0.95 - (y - 0.3) { return [0.5, 0.25, 0.1] }
            return x > 0 && y > -0.9 && y < 0.3 && x < (y + 0.9) * 0.7 ? [0.95, 0.95, 0.9] : nil
        case 1:
            if abs(x + 0.6) < 0.12, abs(y) < 0.95 { return [0.3, 0.3, 0.3] }
            return x > -0.6 && x < 0.8 && y > -0.9 && y < -0.1 ? [0.85, 0.1, 0.15] : nil
        case 2:
            if y > -0.1, y < 0.9, abs(x) < 0.65 { return [0.9, 0.75, 0.45] }
            return y > -0.9 && y <= -0.1 && abs(x) < (y + 0.9) * 1.1 ? [0.6, 0.15, 0.1] : nil
        case 3:
            if y > 0, y < 0.9, abs(x) < 0.22 { return [0.95, 0.9, 0.8] }
            return y <= 0 && x * x + y * y < 0.75 ? [0.75, 0.2, 0.5] : nil
        default:
            if y > 0.35, y < 0.95, abs(x) < 0.18 { return [0.35, 0.2, 0.1] }
            return y > -0.95 && y <= 0.35 && abs(x) < (y + 0.95) * 0.6 ? [0.1, 0.5, 0.15] : nil
        }
    }
}

extension LearningContext {
    /// Data and network that a method can work with: digits, or scenes where it needs colour.
    static func suiting(
        _ info: MethodInfo, perClass: Int, seed: UInt64 = 0, samples: Int
    ) throws -> LearningContext {
        let model = info.network ?? "small-conv"
        return info.needs.contains(.colour)
            ? try Scenes.context(perClass: perClass, seed: seed, count: samples, size: 8, model: model)
            : try Digits.context(perClass: perClass, seed: seed, samples: samples, model: model)
    }
}
