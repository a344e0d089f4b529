import Foundation

/// The long forms of the durability tests: `make study-durability` sets FLEDGE_STUDY, and the figures go to standard
/// error.
public enum Study {
    public static let isLong = ProcessInfo.processInfo.environment["FLEDGE_STUDY"] != nil

    public static func tell(_ text: String) {
        if isLong { FileHandle.standardError.write(Data((text + "\n").utf8)) }
    }
}
