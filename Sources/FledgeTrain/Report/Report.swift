import FledgeData
import Foundation

/// What a run measured: `report.json`, and with its pictures `report.html`. The JSON has every key always; what a
/// run did not measure is `null`. Pictures (sample grid, embedding) go to the page only.
public struct Report: Encodable, Sendable {
    /// One line for people: "Learning digits from 5 labels per class".
    public var title: String
    /// The data's name or path, as the person gave it.
    public var data: String
    /// The folder of the run.
    public var run: String

    /// On the test split, touched once.
    public var accuracy: Double?
    /// The ends of its 95 % interval, which is wide where few samples were measured on.
    public var accuracyInterval: [Double]?
    /// How many labels were used in all.
    public var labels: Int?
    public var labelsPerClass: Int?
    public let classes: Int
    public let classNames: [String]
    public var trainSamples: Int?
    public var testSamples: Int?
    public var seed: Int
    public var seconds: Double
    /// Accuracy on the same test split of other ways to use the same labels: `raw_pixels_linear`,
    /// `untrained_linear`, `supervised`.
    public var baselines: [String: Double]
    /// What was chosen, and why.
    public var recipe: [Choice]
    public var warnings: [String]
    /// What was allowed to change when the run was continued; empty for a run of one piece.
    public var changes: [String]
    /// Samples that were left out because their files cannot be used; see `setAside`.
    public var damaged: [DamagedSample]

    /// Further measures by name: `macro_f1`, `macro_auroc`, `top_5`, ...
    public var metrics: [String: Double]
    public var confusion: ConfusionMatrix?
    public var perClass: [ClassScore]?
    public var calibration: Calibration?
    public var curves: [Curve]

    /// All settings, resolved.
    public var settings: PlainValue
    public var environment: RunEnvironment?

    /// Shown on the page only.
    public var sheets: [Sheet]
    /// Shown on the page only.
    public var embedding: EmbeddingMap?

    public init(title: String, data: String, run: String, classNames: [String], seed: Int) {
        self.title = title
        self.data = data
        self.run = run
        self.classNames = classNames
        self.seed = seed
        classes = classNames.count
        seconds = 0
        baselines = [:]
        recipe = []
        warnings = []
        changes = []
        damaged = []
        metrics = [:]
        curves = []
        sheets = []
        settings = .group([])
    }

    enum CodingKeys: String, CodingKey {
        case title, data, run, accuracy, labels, classes, seed, seconds, baselines, recipe, warnings, changes, damaged
        case metrics
        case confusion, calibration, curves, settings, environment
        case accuracyInterval = "accuracy_interval"
        case labelsPerClass = "labels_per_class"
        case classNames = "class_names"
        case trainSamples = "train_samples"
        case testSamples = "test_samples"
        case perClass = "per_class"
    }

    /// Fills everything that follows from the test split's probabilities: accuracy, confusion matrix, scores of each
    /// class, calibration and the usual further measures.
    /// - Parameter probabilities: [N, C] row-major.
    public mutating func measure(probabilities: [Float], labels: [Int]) {
        let predicted = Metrics.predictions(scores: probabilities, classes: classes)
        let confusion = ConfusionMatrix(predicted: predicted, labels: labels, classes: classes)
        let calibration = Calibration(probabilities: probabilities, classes: classes, labels: labels)
        self.confusion = confusion
        self.calibration = calibration
        accuracy = confusion.accuracy
        accuracyInterval = Metrics.interval(of: confusion.accuracy, count: labels.count)
        perClass = confusion.perClass
        testSamples = labels.count
        metrics["macro_f1"] = confusion.macroF1
        metrics["balanced_accuracy"] = confusion.balancedAccuracy
        metrics["macro_auroc"] = Metrics.macroAUROC(scores: probabilities, classes: classes, labels: labels)
        metrics["expected_calibration_error"] = calibration.expectedError
        metrics["negative_log_likelihood"] = calibration.negativeLogLikelihood
        metrics["brier"] = calibration.brier
        if classes > 10 {
            metrics["top_5"] = Metrics.topK(scores: probabilities, classes: classes, labels: labels, k: 5)
        }
    }
}

extension Report {
    /// A decision of the recipe.
    public struct Choice: Codable, Sendable, Equatable {
        /// "Network", "Pretraining".
        public var name: String
        public var value: String
        public var why: String

        public init(_ name: String, _ value: String, why: String) {
            self.name = name
            self.value = value
            self.why = why
        }
    }

    /// A number over the course of training. Curves of the same `chart` share axes.
    public struct Curve: Codable, Sendable, Equatable {
        public var chart: String
        public var name: String
        public var steps: [Double]
        public var values: [Double]
        /// What `steps` counts; nil: updates.
        public var axis: String?

        /// Stops when the two have different counts.
        public init(chart: String, name: String, steps: [Double], values: [Double]) {
            if steps.count != values.count { fatalError("Curve \(name): \(steps.count) steps, \(values.count) values") }
            self.chart = chart
            self.name = name
            self.steps = steps
            self.values = values
        }
    }

    /// Pictures that belong together: samples as the network sees them, what it makes of them, what it takes for alike.
    public struct Sheet: Sendable {
        public struct Picture: Sendable {
            /// A PNG file.
            public var png: [UInt8]
            public var caption: String

            public init(png: [UInt8], caption: String) {
                self.png = png
                self.caption = caption
            }
        }
        public var title: String
        /// What is to be seen, in a sentence.
        public var note: String
        /// Pictures in a row, where rows mean something; nil: as many as there is room for.
        public var columns: Int?
        public var pictures: [Picture]

        public init(_ title: String, note: String, columns: Int? = nil, _ pictures: [Picture]) {
            self.title = title
            self.note = note
            self.columns = columns
            self.pictures = pictures
        }
    }

    /// Samples as points of the plane; see `Projection`.
    public struct EmbeddingMap: Sendable {
        public struct Point: Sendable {
            public var x: Double
            public var y: Double
            public var label: Int
            /// One of the few whose label was used.
            public var isLabelled: Bool

            public init(x: Double, y: Double, label: Int, isLabelled: Bool) {
                self.x = x
                self.y = y
                self.label = label
                self.isLabelled = isLabelled
            }
        }
        /// How the plane was made, such as "t-SNE of 1,000 test samples".
        public var caption: String
        public var points: [Point]

        public init(caption: String, points: [Point]) {
            self.caption = caption
            self.points = points
        }
    }
}
