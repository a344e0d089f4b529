import FledgeCore

/// A run folder that cannot be made or used.
public enum RunError: ExplainedError, Equatable {
    /// The folder has something in it, and nobody said to replace it.
    case notEmpty(String)
    /// The path is a file.
    case notAFolder(String)
    /// There is no run folder there.
    case notARun(String, missing: String)
    /// A replay of an update that the run does not make.
    case noSuchUpdate(String, step: Int, stage: String?)

    public var what: String {
        switch self {
        case .notEmpty, .notAFolder: "cannot make the run folder"
        case .notARun: "this is not the folder of a run"
        case .noSuchUpdate: "there is no such update in this run"
        }
    }

    public var place: String? {
        switch self {
        case .notEmpty(let path), .notAFolder(let path), .notARun(let path, _), .noSuchUpdate(let path, _, _): path
        }
    }

    public var why: String? {
        switch self {
        case .notEmpty: "the folder is not empty, and a run is never written over another"
        case .notAFolder: "there is a file of this name"
        case .notARun(_, let missing): "it has no \(missing)"
        case .noSuchUpdate(_, let step, let stage):
            "it has no update \(step)" + (stage.map { " in a stage '\($0)'" } ?? "")
        }
    }

    public var next: String? {
        switch self {
        case .notEmpty: "choose another --out, or add --overwrite, which moves the old folder aside"
        case .notAFolder: "choose another --out"
        case .noSuchUpdate: "metrics.jsonl of the run names its stages and updates"
        case .notARun: "give the folder that `fledge learn` or `fledge train` named at its end"
        }
    }
}

/// There is nothing left to do in a run that is to be continued.
public struct RunFinished: Error, Equatable {
    public let reportPath: String
}
