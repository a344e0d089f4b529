import FledgeCore
import FledgeData

// What happens to damaged samples: they are left out, never altered, and named in three places: on the screen, in
// `quarantine.jsonl` of the run's folder, and in the report. Opening the data already failed if they were too many.

extension RunFolder {
    /// One JSON object a line, `{"id": ..., "reason": ...}`, for each sample that was left out; absent when none was.
    public var quarantinePath: String { path + "/quarantine.jsonl" }

    /// Lists the samples that a run leaves out. Writes nothing when there are none.
    public func writeQuarantine(_ damaged: [DamagedSample]) throws {
        guard !damaged.isEmpty, !isReadOnly else { return }
        let lines = try damaged.map { try CanonicalJSON($0, pretty: false).text + "\n" }
        try AtomicFile.write(lines.joined(), to: quarantinePath, on: disk)
    }
}

extension Report {
    /// Names the samples that were left out, with a warning that counts them.
    public mutating func setAside(_ damaged: [DamagedSample]) {
        self.damaged = damaged
        guard !damaged.isEmpty else { return }
        let count = damaged.count == 1 ? "1 damaged sample was" : "\(damaged.count) damaged samples were"
        warnings.append("\(count) left out; quarantine.jsonl names each with the reason")
    }
}
