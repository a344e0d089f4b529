import FledgeCore

/// `metrics.jsonl` read back: one flat JSON object a line, of numbers, with `step` and perhaps `stage`.
public enum MetricsFile {
    /// One number at one step.
    public struct Entry: Codable, Equatable, Sendable {
        public var stage: String
        public var step: Int
        public var name: String
        /// nil where it was not finite.
        public var value: Double?
    }

    /// The numbers of all lines that are sound, and which lines (from 1) are not. The last line of a run that was
    /// killed may be cut.
    public static func parse(_ bytes: [UInt8]) -> (entries: [Entry], broken: [Int]) {
        var entries: [Entry] = []
        var broken: [Int] = []
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x0D }) { continue }
            guard let object = try? StrictJSON.parse(Array(line)), let members = object.members,
                let step = object["step"]?.double.flatMap({ Int(exactly: $0) })
            else {
                broken.append(index + 1)
                continue
            }
            let stage = object["stage"]?.text ?? ""
            for member in members where member.key != "step" && member.key != "stage" {
                let value = member.value.double
                guard value != nil || member.value == .null else { continue }
                entries.append(Entry(stage: stage, step: step, name: member.key, value: value))
            }
        }
        return (entries, broken)
    }
}
