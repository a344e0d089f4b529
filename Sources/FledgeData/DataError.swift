/// What can be wrong with data. Every case says what, where and why; `advice` says what to do next.
public enum DataError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The path does not exist or cannot be read.
    case unreadable(path: String, reason: String)
    /// A folder without a single sample.
    case emptyFolder(path: String)
    /// Nothing in the path is in a form that a reader knows.
    case unknownFormat(path: String, found: String)
    /// The path could be read in several ways.
    case ambiguous(path: String, choices: [String])
    /// All labelled samples are of one class, so there is nothing to tell apart.
    case oneClass(path: String, name: String)
    /// The first bytes are not those of the format.
    case wrongMagic(path: String, expected: String, found: String)
    /// The file ends before what it announces.
    case truncated(path: String, reason: String)
    /// An image that cannot be decoded.
    case undecodable(path: String, reason: String)
    /// More than a limit allows.
    case tooLarge(path: String, reason: String)
    /// The file breaks the rules of its format.
    case malformed(path: String, reason: String)
    /// A cell that should be a finite number. Rows and columns count from 1; a header is row 1.
    case notANumber(path: String, row: Int, column: String, text: String)
    /// A row with another number of cells than the rows before it. Rows count from 1.
    case mixedWidths(path: String, row: Int, found: Int, expected: Int)
    /// A column that was asked for or is needed.
    case missingColumn(path: String, column: String, available: [String])
    /// A column of text among the features.
    case textColumn(path: String, column: String, example: String)
    /// A label outside the classes. `sample` counts from 0.
    case labelOutOfRange(path: String, sample: Int, label: String, allowed: String)
    /// Two things that belong together differ in number or size.
    case mismatch(path: String, reason: String)
    /// A test split was needed and the data has none.
    case noTestSplit(path: String)
    /// Labels were needed and the data has none.
    case noLabels(path: String)
    /// A class with fewer labelled samples than were asked for.
    case tooFewLabels(className: String, found: Int, wanted: Int)
    /// More damaged samples than allowed; none was dropped silently.
    case tooManyDamaged(path: String, damaged: [DamagedSample], total: Int, allowed: Double)

    /// The file or folder concerned, where there is one.
    public var path: String? {
        switch self {
        case .unreadable(let path, _), .emptyFolder(let path), .unknownFormat(let path, _), .ambiguous(let path, _),
            .oneClass(let path, _), .wrongMagic(let path, _, _), .truncated(let path, _), .undecodable(let path, _),
            .tooLarge(let path, _), .malformed(let path, _), .notANumber(let path, _, _, _),
            .mixedWidths(let path, _, _, _), .missingColumn(let path, _, _), .textColumn(let path, _, _),
            .labelOutOfRange(let path, _, _, _), .mismatch(let path, _), .noTestSplit(let path), .noLabels(let path),
            .tooManyDamaged(let path, _, _, _):
            path
        case .tooFewLabels: nil
        }
    }

    /// What is wrong, and where.
    public var what: String {
        switch self {
        case .unreadable(let path, let reason): "\(path) cannot be read: \(reason)"
        case .emptyFolder(let path): "\(path) holds no samples"
        case .unknownFormat(let path, let found): "\(path) is in no form that is known here: \(found)"
        case .ambiguous(let path, let choices):
            "\(path) could be read in several ways: \(choices.joined(separator: ", "))"
        case .oneClass(let path, let name): "\(path) has one class only ('\(name)'), so there is nothing to learn apart"
        case .wrongMagic(let path, let expected, let found):
            "\(path) should begin with \(expected) but begins with \(found)"
        case .truncated(let path, let reason): "\(path) is cut short: \(reason)"
        case .undecodable(let path, let reason): "\(path) cannot be decoded: \(reason)"
        case .tooLarge(let path, let reason): "\(path) is too large: \(reason)"
        case .malformed(let path, let reason): "\(path) is malformed: \(reason)"
        case .notANumber(let path, let row, let column, let text):
            "\(path), row \(row), column '\(column)': "
                + (text.isEmpty ? "the cell is empty" : "'\(text)' is not a finite number")
        case .mixedWidths(let path, let row, let found, let expected):
            "\(path), row \(row) has \(found) cells where the rows before have \(expected)"
        case .missingColumn(let path, let column, let available):
            "\(path) has no column '\(column)'; its columns are \(Self.list(available))"
        case .textColumn(let path, let column, let example):
            "\(path), column '\(column)' holds text (such as '\(example)') and features must be numbers"
        case .labelOutOfRange(let path, let sample, let label, let allowed):
            "\(path), sample \(sample) has label \(label); allowed are \(allowed)"
        case .mismatch(let path, let reason): "\(path) does not fit together: \(reason)"
        case .noTestSplit(let path): "\(path) has no test split"
        case .noLabels(let path): "\(path) has no labels"
        case .tooFewLabels(let name, let found, let wanted):
            "class '\(name)' has \(found) labelled samples and \(wanted) were asked for"
        case .tooManyDamaged(let path, let damaged, let total, let allowed):
            "\(path): \(damaged.count) of \(total) samples are damaged, more than the "
                + "\(Self.percent(allowed)) allowed:\n"
                + damaged.prefix(10).map { "  \($0.id): \($0.reason)" }.joined(separator: "\n")
                + (damaged.count > 10 ? "\n  and \(damaged.count - 10) more" : "")
        }
    }

    /// What to do next.
    public var advice: String {
        switch self {
        case .unreadable: "Check the path and its permissions; a bundled set is named 'digits'."
        case .emptyFolder: "Put images into one folder per class, or name the folder that holds the data."
        case .unknownFormat:
            "Known are: folders of JPEG or PNG images, images with a CSV of labels, IDX, CIFAR binary, npy, npz, CSV."
        case .ambiguous: "Name one of the files instead of the folder."
        case .oneClass:
            "Add samples of at least one more class; from one class and samples without a label learn the positive-unlabelled methods, such as nnpu."
        case .wrongMagic: "The file may be of another kind, compressed twice, or damaged; get it again."
        case .truncated, .malformed: "The download may be incomplete; get the file again."
        case .undecodable: "Open the file in a viewer; replace it or take it out of the folder."
        case .tooLarge: "Scale it down, or raise the limit if you trust the file."
        case .notANumber: "Fill in or remove the row; missing values are never guessed."
        case .mixedWidths: "Look for a missing or unquoted separator in that row."
        case .missingColumn: "Name one of the columns that exist."
        case .textColumn: "Turn it into numbers, or leave it out with the option dropColumns (--drop-column NAME)."
        case .labelOutOfRange: "Correct the label, or add the class to the training split."
        case .mismatch: "Check that the files belong to the same data set and are complete."
        case .noTestSplit:
            "Add test samples (a folder test/ beside train/), or hold some samples out with the option holdOut (--hold-out 0.2)."
        case .noLabels: "Give labels by class folders or a label column, or use a method that needs none."
        case .tooFewLabels: "Ask for fewer labels per class, or label more samples."
        case .tooManyDamaged:
            "Replace or remove these files, or raise the option maximumDamaged (--maximum-damaged SHARE)."
        }
    }

    public var description: String { "\(what)\n\(advice)" }

    private static func list(_ names: [String]) -> String {
        names.prefix(12).map { "'\($0)'" }.joined(separator: ", ") + (names.count > 12 ? ", ..." : "")
    }

    private static func percent(_ fraction: Double) -> String {
        let value = fraction * 100
        return value == value.rounded() ? "\(Int(value)) %" : "\(value) %"
    }
}

/// A sample that was left out because its file cannot be used. Damaged samples are never altered and never hidden.
public struct DamagedSample: Codable, Hashable, Sendable {
    /// The path of the file, relative to the data.
    public var id: String
    public var reason: String

    public init(id: String, reason: String) {
        self.id = id
        self.reason = reason
    }
}
