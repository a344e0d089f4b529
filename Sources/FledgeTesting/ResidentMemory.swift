import Foundation

/// What the process holds in memory, in bytes, as Linux counts it.
public enum ResidentMemory {
    public static var now: Int { field("VmRSS") }
    public static var peak: Int { field("VmHWM") }

    /// Lets the peak begin anew from what is held now (proc(5), clear_refs).
    public static func resetPeak() {
        FileHandle(forWritingAtPath: "/proc/self/clear_refs")?.write(Data("5".utf8))
    }

    private static func field(_ name: String) -> Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
        return line.flatMap { $0.split(whereSeparator: { !$0.isNumber }).first }.flatMap { Int($0) }.map { $0 << 10 }
            ?? 0
    }
}
