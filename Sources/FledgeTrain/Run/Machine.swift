import FledgeCore
import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What the machine offers, as its operating system tells.
public struct Machine: Codable, Sendable, Equatable {
    /// The processor's name; "unknown" where the system does not tell.
    public let processor: String
    public let architecture: String
    /// Hardware threads this process may use.
    public let logicalCores: Int
    /// Vector instruction sets that matter here, weakest first: `avx2`, `fma`, `avx512f`, ...
    public let instructionSets: [String]
    /// Bytes.
    public let memory: UInt64?
    public let availableMemory: UInt64?
    /// The limit of the container or service this runs in, bytes; `nil` without one.
    public let memoryLimit: UInt64?
    public let system: String
    public let kernel: String

    enum CodingKeys: String, CodingKey {
        case processor, architecture, memory, system, kernel
        case logicalCores = "logical_cores"
        case instructionSets = "instruction_sets"
        case availableMemory = "available_memory"
        case memoryLimit = "memory_limit"
    }

    /// This machine, now.
    public static func current() -> Machine {
        let cpu = pairs(in: "/proc/cpuinfo", separator: ":")
        let memory = pairs(in: "/proc/meminfo", separator: ":")
        let release = pairs(in: "/etc/os-release", separator: "=")
        var names = utsname()
        uname(&names)
        let flags = Set((cpu["flags"] ?? cpu["Features"] ?? "").split(separator: " ").map(String.init))
        let wanted = [
            "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd",
            "bf16", "sve",
        ]
        return Machine(
            processor: cpu["model name"] ?? cpu["Model"] ?? "unknown",
            architecture: text(of: &names.machine),
            logicalCores: ProcessInfo.processInfo.activeProcessorCount,
            instructionSets: wanted.filter(flags.contains),
            memory: kilobytes(memory["MemTotal"]), availableMemory: kilobytes(memory["MemAvailable"]),
            memoryLimit: read("/sys/fs/cgroup/memory.max").flatMap {
                UInt64($0.trimmingCharacters(in: .whitespacesAndNewlines))
            },
            system: release["PRETTY_NAME"]?.trimmingCharacters(in: ["\""]) ?? text(of: &names.sysname),
            kernel: text(of: &names.release))
    }

    /// Free bytes for this user on the disk of `path`.
    public static func freeSpace(at path: String) throws(StorageError) -> UInt64 {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else {
            throw StorageError(action: "look at the disk", path: path, code: errno)
        }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }

    private static func read(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The first value of each key of a file of `key separator value` lines.
    private static func pairs(in path: String, separator: Character) -> [String: String] {
        var pairs: [String: String] = [:]
        for line in (read(path) ?? "").split(separator: "\n") {
            guard let middle = line.firstIndex(of: separator) else { continue }
            let key = line[..<middle].trimmingCharacters(in: .whitespaces)
            if pairs[key] == nil {
                pairs[key] = line[line.index(after: middle)...].trimmingCharacters(in: .whitespaces)
            }
        }
        return pairs
    }

    private static func kilobytes(_ text: String?) -> UInt64? {
        text?.split(separator: " ").first.flatMap { UInt64($0) }.map { $0 * 1024 }
    }

    private static func text<T>(of field: inout T) -> String {
        withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
