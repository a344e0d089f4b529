import Fledge
import FledgeServe
import FledgeTrack
import Foundation

// The exit status of every typed error of the rooms below: one conformance each.

extension SettingsError: ExitCoded {
    var exitStatus: ExitStatus { .usage }
}

extension RunError: ExitCoded {
    var exitStatus: ExitStatus { .usage }
}

extension TrackError: ExitCoded {
    var exitStatus: ExitStatus {
        if case .cannotRemove = self { .outOfResources } else { .usage }
    }
}

extension LabelError: ExitCoded {
    var exitStatus: ExitStatus {
        switch self {
        case .notABook, .otherData: .badData
        case .unwritable: .outOfResources
        default: .usage
        }
    }
}

extension ServeError: ExitCoded {
    var exitStatus: ExitStatus { .usage }
}

extension StorageError: ExitCoded {
    var exitStatus: ExitStatus {
        switch cause {
        case .diskFull, .quotaExceeded, .tooManyOpenFiles, .device, .fileTooLarge, .interrupted, .other:
            .outOfResources
        // The person chose the path.
        case .readOnly, .permission, .missing, .notAFolder, .isAFolder: .usage
        }
    }
}

extension DataError: ExitCoded {
    var exitStatus: ExitStatus { .badData }
}

extension ImageError: ExitCoded {
    var exitStatus: ExitStatus { .badData }
}

extension ArrayFileError: ExitCoded {
    var exitStatus: ExitStatus { .badData }
}

extension FileError: ExitCoded {
    var exitStatus: ExitStatus { .badData }
}

extension ModelError: ExitCoded {
    var exitStatus: ExitStatus {
        switch self {
        case .weights: .badModel
        case .unknown, .unsupportedInput: .usage
        }
    }
}

extension InputMismatch: ExitCoded {
    var exitStatus: ExitStatus { .badData }
}

extension MethodError: ExitCoded {
    var exitStatus: ExitStatus { .usage }
}

extension PositiveClassError: ExitCoded {
    var exitStatus: ExitStatus { .usage }
}

extension VotesError: ExitCoded {
    var exitStatus: ExitStatus { .usage }
}

extension TagsError: ExitCoded {
    var exitStatus: ExitStatus { .usage }
}

extension ModelFileError: ExitCoded {
    var exitStatus: ExitStatus { .badModel }
}

extension SafetensorsError: ExitCoded {
    var exitStatus: ExitStatus { kind == .unwritable ? .outOfResources : .badModel }
}

extension OutOfMemory: ExitCoded {
    var exitStatus: ExitStatus { .outOfResources }
}

extension StateMismatch: ExitCoded {
    var exitStatus: ExitStatus { .badModel }
}

extension NumericFailure: ExitCoded {
    var exitStatus: ExitStatus { .numeric }
}

extension ChangedRun: ExitCoded {
    var exitStatus: ExitStatus { .usage }
}

extension DamagedCheckpoint: ExitCoded {
    var exitStatus: ExitStatus { .outOfResources }
}

extension MemoryShortage: ExitCoded {
    var exitStatus: ExitStatus { .outOfResources }
}

extension DiskShortage: ExitCoded {
    var exitStatus: ExitStatus { .outOfResources }
}

extension StoppedBySignal: ExitCoded {
    var exitStatus: ExitStatus { .stopped }
}

extension CommandFailure {
    /// Any error as a failure. One without an exit status is a mistake in Fledge, and says so.
    init(_ error: any Error) {
        if let failure = error as? CommandFailure {
            self = failure
            return
        }
        let status = (error as? any ExitCoded)?.exitStatus ?? .internalError
        let report = "this is a mistake in Fledge; please report it with the command that you gave"
        switch error {
        case let error as DataError:
            self.init(status: status, what: error.what, place: error.path, next: error.advice)
        case let error as SafetensorsError:
            self.init(
                status: status, what: "cannot \(error.kind == .unwritable ? "write" : "use") the weights",
                place: error.file, why: (error.tensor.map { "tensor \($0): " } ?? "") + error.reason, next: error.advice
            )
        case let error as OutOfMemory:
            let limit = error.limitBytes.map { "the limit is \($0 >> 20) MiB" } ?? "the system gave no more"
            self.init(
                status: status, what: "out of memory",
                why: "\(error.requestedBytes >> 20) MiB wanted with \(error.liveBytes >> 20) MiB in use, and \(limit)",
                next: "use a smaller batch (--set batchSize=...), smaller images or a smaller network")
        case let error as any ExplainedError:
            let next = error.next ?? (status == .internalError ? report : nil)
            self.init(status: status, what: error.what, place: error.place, why: error.why, next: next)
        default:
            self.init(status: status, what: String(describing: error), next: status == .internalError ? report : nil)
        }
    }
}
