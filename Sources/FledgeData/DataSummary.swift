/// What was understood of a data set, for people and, as JSON, for programs (`fledge data inspect --json`).
public struct DataSummary: Codable, Equatable, Sendable, CustomStringConvertible {
    public struct Split: Codable, Equatable, Sendable {
        public var samples: Int
        public var labelled: Int
        /// Labelled samples of each class, in the order of `classes`.
        public var perClass: [Int]
    }

    public var source: String
    public var format: DataFormat
    public var reason: String
    public var notes: [String]
    public var classes: [String]
    public var train: Split
    public var test: Split?
    public var validation: Split?
    /// "image" or "features".
    public var kind: String
    /// Size of the images in pixels; nil where it varies or for features.
    public var width: Int?
    public var height: Int?
    /// The least and the greatest side of images whose size varies.
    public var sideRange: [Int]?
    /// 1 (grey) or 3 (RGB); nil for features.
    public var channels: Int?
    /// The number of features; nil for images.
    public var features: Int?
    public var damaged: [DamagedSample]

    public init(_ data: OpenedData) {
        func split(_ dataset: any Dataset) -> Split {
            Split(samples: dataset.count, labelled: dataset.labelledCount, perClass: dataset.classCounts)
        }
        source = data.source
        format = data.format
        reason = data.reason
        notes = data.notes
        classes = data.classNames
        train = split(data.train)
        test = data.test.map(split)
        validation = data.validation.map(split)
        damaged = data.damaged
        kind = "features"
        if let images = data.train as? ImageDataset {
            kind = "image"
            channels = images.channels
            width = images.uniformSize?.width
            height = images.uniformSize?.height
            if images.uniformSize == nil {
                let sides = (0..<images.count).flatMap { [images.size(of: $0).width, images.size(of: $0).height] }
                sideRange = [sides.min() ?? 0, sides.max() ?? 0]
            }
        } else if let rows = data.train as? FeatureDataset {
            features = rows.width
        }
    }

    public var description: String {
        var lines = ["\(source): \(reason)"]
        if let features {
            lines.append("samples   \(features) features each")
        } else {
            let size =
                width.flatMap { width in height.map { "\(width) x \($0)" } }
                ?? sideRange.map { "sides of \($0[0]) to \($0[1])" } ?? ""
            lines.append(
                "images    \(size) pixels, \(channels == 1 ? "grey" : channels == 3 ? "colour" : "\(channels ?? 0) channels")"
            )
        }
        lines.append("classes   \(classes.isEmpty ? "none" : "\(classes.count): \(Self.list(classes))")")
        for (name, split) in [("train", train), ("test", test), ("val", validation)] {
            guard let split else {
                if name == "test" { lines.append("test      none") }
                continue
            }
            let padded = name.padding(to: 10)
            let counts = split.perClass
            let range = counts.isEmpty ? "" : ", \(counts.min() ?? 0) to \(counts.max() ?? 0) a class"
            lines.append("\(padded)\(split.samples) samples, \(split.labelled) labelled\(range)")
        }
        lines += notes.map { "note      \($0)" }
        if !damaged.isEmpty {
            lines.append("damaged   \(damaged.count) files left out:")
            lines += damaged.map { "          \($0.id): \($0.reason)" }
        }
        return lines.joined(separator: "\n")
    }

    private static func list(_ names: [String]) -> String {
        names.prefix(20).joined(separator: ", ") + (names.count > 20 ? ", ..." : "")
    }
}

extension String {
    fileprivate func padding(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
