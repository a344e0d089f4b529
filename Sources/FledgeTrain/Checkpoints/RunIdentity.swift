import Crypto
import FledgeCore
import FledgeData
import Foundation

/// What decides the bytes of a run's results. A run that is continued must have the same.
public struct RunIdentity: Codable, Sendable, Equatable {
    public var fledge: String
    public var threads: Int
    /// Of the kernels, and of oneDNN.
    public var instructionSet: String
    public var oneDNNInstructionSet: String
    public var oneDNN: String
    /// SHA-256 over the samples; see `TrainingData.fingerprint`.
    public var data: String
    /// All settings of `run.yaml` by full name, as text.
    public var settings: [String: String]

    /// That of this process.
    public init(data: String, settings: [String: String]) {
        fledge = FledgeVersion.current
        threads = Engine.threads
        instructionSet = Engine.instructionSet
        oneDNNInstructionSet = Engine.oneDNNInstructionSet
        oneDNN = Engine.oneDNNVersion
        self.data = data
        self.settings = settings
    }

    /// How `now` differs from this, one phrase for each difference that can change results. Empty where a run may go on.
    public func differences(now: RunIdentity) -> [String] {
        var found: [String] = []
        func compare(_ name: String, _ before: String, _ after: String) {
            if before != after { found.append("\(name) was \(before), is \(after)") }
        }
        compare("the version of Fledge", fledge, now.fledge)
        compare("the number of threads (OMP_NUM_THREADS)", "\(threads)", "\(now.threads)")
        compare("the instruction set (FLEDGE_ISA)", instructionSet, now.instructionSet)
        compare(
            "oneDNN's instruction set (ONEDNN_MAX_CPU_ISA)", oneDNNInstructionSet, now.oneDNNInstructionSet)
        compare("the version of oneDNN", oneDNN, now.oneDNN)
        if data != now.data { found.append("the data are not the same samples with the same labels") }
        return found + Self.differences(from: settings, to: now.settings)
    }

    /// The settings that differ and matter.
    static func differences(from before: [String: String], to after: [String: String]) -> [String] {
        Set(before.keys).union(after.keys).sorted().filter { !isIndifferent($0) && before[$0] != after[$0] }
            .map { "\($0) was \(before[$0] ?? "not there"), is \(after[$0] ?? "not there")" }
    }

    /// Settings that do not change results: how many threads load, where the run was started, when it is saved.
    private static func isIndifferent(_ name: String) -> Bool {
        ["workers", "workingFolder"].contains(name) || name.hasSuffix(".workers")
            || ["steps", "minutes", "keep", "onFullDisk"].contains { name.hasSuffix(".checkpoints.\($0)") }
    }
}

/// A run that would go on with something else than it began with.
public struct ChangedRun: ExplainedError, Equatable {
    public let run: String
    public let differences: [String]

    public var what: String { "the run cannot go on as it began" }
    public var place: String? { run }
    public var why: String? { differences.joined(separator: "\n       ") }
    public var next: String? {
        "bring back what it was; or add --allow-changed, and the run is marked as changed from here on"
    }
}

extension TrainingData {
    /// SHA-256 over the number of samples, their labels, which of them are used, the names of the classes, and the
    /// values of up to 32 samples spread over the set.
    /// - Throws: `DataError` when a sample cannot be read.
    public func fingerprint() throws -> String {
        var hash = SHA256()
        func add(_ numbers: [Int]) { numbers.withUnsafeBytes { hash.update(bufferPointer: $0) } }
        add([dataset.count, labelled.count, classNames.count] + input.shape)
        add(labelled)
        add(labels)
        add(validation)
        for name in classNames { hash.update(data: Data((name + "\n").utf8)) }
        let some = Array(stride(from: 0, to: dataset.count, by: Swift.max(1, dataset.count / 32)))
        let loader = Loader(
            dataset, indices: some, batchSize: 1, views: [input.plainView], seed: 0, shuffle: false, remainder: .keep,
            workers: 0)
        for step in some.indices {
            try loader.batch(at: step).views[0].withUnsafeBytes { hash.update(bufferPointer: $0) }
        }
        return hash.finalize().hexadecimal
    }
}
