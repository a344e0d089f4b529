#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file or folder the system refused to write, read, make or move.
public struct StorageError: ExplainedError, Equatable {
    public enum Cause: Sendable, Equatable {
        case diskFull, quotaExceeded, readOnly, permission, missing, notAFolder, isAFolder, tooManyOpenFiles
        case device
        /// Larger than this account may write.
        case fileTooLarge
        /// A signal came before anything was done: trying again is right.
        case interrupted
        /// Any other error number of the system.
        case other(Int32)
    }

    /// What was tried, as a verb: "write", "make the folder".
    public let action: String
    public let path: String
    public let cause: Cause

    public init(action: String, path: String, cause: Cause) {
        self.action = action
        self.path = path
        self.cause = cause
    }

    /// From the system's error number (`errno`).
    public init(action: String, path: String, code: Int32) {
        let cause: Cause =
            switch code {
            case ENOSPC: .diskFull
            case EDQUOT: .quotaExceeded
            case EROFS: .readOnly
            case EACCES, EPERM: .permission
            case ENOENT: .missing
            case ENOTDIR: .notAFolder
            case EISDIR: .isAFolder
            case EMFILE, ENFILE: .tooManyOpenFiles
            case EIO: .device
            case EINTR: .interrupted
            case EFBIG: .fileTooLarge
            default: .other(code)
            }
        self.init(action: action, path: path, cause: cause)
    }

    /// Whether space is what lacks: a person can make some.
    public var isLackOfSpace: Bool { cause == .diskFull || cause == .quotaExceeded }

    public var what: String { "cannot \(action)" }
    public var place: String? { path }

    public var why: String? {
        switch cause {
        case .diskFull: "the disk is full"
        case .quotaExceeded: "your disk quota is used up"
        case .readOnly: "the file system is mounted read-only"
        case .permission: "you are not allowed to"
        case .missing: "there is no such file or folder"
        case .notAFolder: "a part of the path is a file, not a folder"
        case .isAFolder: "it is a folder"
        case .tooManyOpenFiles: "too many files are open"
        case .device: "the device reported an input/output error"
        case .fileTooLarge: "the file is larger than you may write"
        case .interrupted: "a signal interrupted it"
        case .other(let code): String(cString: strerror(code))
        }
    }

    public var next: String? {
        switch cause {
        case .diskFull, .quotaExceeded: "free some space or choose a folder on another disk, then run it again"
        case .readOnly: "choose a folder on a disk that can be written"
        case .permission: "choose a folder of your own, or have its owner give you access"
        case .missing: "check the spelling of the path"
        case .notAFolder, .isAFolder: "choose another path"
        case .tooManyOpenFiles: "close other programs or raise the limit (ulimit -n)"
        case .device: "check the disk (dmesg) and copy what you need from it"
        case .fileTooLarge: "raise the limit (ulimit -f), or use a smaller network"
        case .interrupted, .other: nil
        }
    }
}
