import Fledge
import Foundation

// The exit status of every typed error of the rooms below: one conformance each.

extension SettingsError: ExitCoded {
    var exitStatus: ExitStatus { .usage }
}

extension RunError: ExitCoded {
    var exitStatus: ExitStatus { .usage }
}

extension StorageError: ExitCoded {
    var exitStatus: ExitStatus {
        switch cause {
        case .diskFull, .quotaExceeded, .tooManyOpenFiles, .device, .other: .outOfResources
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
        case .unknown, .unsupportedInput: .usage
        case .weights: .badModel
        }
    }
}

extension MethodError: ExitCoded {
    var exitStatus: ExitStatus { .usage }
}

extension ModelFileError: ExitCoded {
    var exitStatus: ExitStatus { .badModel }
}

extension SafetensorsError: ExitCoded {
    var exitStatus: ExitStatus { .badModel }
}

extension StateMismatch: ExitCoded {
    var exitStatus: ExitStatus { .badModel }
}

extension NumericFailure: ExitCoded {
    var exitStatus: ExitStatus { .numeric }
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
        if let error = error as? DataError {
            self.init(status: status, what: error.what, place: error.path, next: error.advice)
        } else if let error = error as? any ExplainedError {
            let next = error.next ?? (status == .internalError ? report : nil)
            self.init(status: status, what: error.what, place: error.place, why: error.why, next: next)
        } else {
            self.init(status: status, what: String(describing: error), next: status == .internalError ? report : nil)
        }
    }
}
