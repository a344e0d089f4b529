import ArgumentParser
import Fledge
import Foundation

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what this machine offers, and what is wrong with it.",
        discussion: "The exit status is 6 when something would keep a run from working.")

    @OptionGroup var output: OutputOptions

    func run() throws {
        let diagnosis = Diagnosis.make()
        if output.json {
            try output.print(json: diagnosis)
        } else {
            try output.print(diagnosis.text)
        }
        if !diagnosis.isHealthy { throw ExitCode(ExitStatus.outOfResources.rawValue) }
    }
}

/// All that `doctor` found. A room adds what it knows as one more function of findings in `make`.
private struct Diagnosis: Encodable {
    var findings: [Finding]
    var isHealthy: Bool { !findings.contains { $0.level == .bad } }

    static func make() -> Diagnosis {
        Diagnosis(
            findings: programFindings() + machineFindings(Machine.current()) + engineFindings() + storageFindings())
    }

    private enum CodingKeys: String, CodingKey {
        case findings
        case isHealthy = "ok"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(findings, forKey: .findings)
        try container.encode(isHealthy, forKey: .isHealthy)
    }

    var text: String {
        let width = findings.map(\.name.count).max() ?? 0
        let marks: [Finding.Level: String] = [.good: "  ", .poor: "! ", .bad: "x "]
        var lines: [String] = []
        for finding in findings {
            let name = finding.name.padding(toLength: width, withPad: " ", startingAt: 0)
            lines.append("\(marks[finding.level] ?? "")\(name)  \(finding.value)")
            if let next = finding.next { lines.append(String(repeating: " ", count: width + 4) + next) }
        }
        lines.append("")
        lines.append(
            isHealthy ? "This machine can run Fledge." : "Fledge cannot work here before the lines marked x are mended."
        )
        return lines.joined(separator: "\n")
    }
}

private struct Finding: Encodable {
    /// `poor` is slower or smaller than it could be; `bad` keeps Fledge from working.
    enum Level: String, Encodable { case good, poor, bad }

    var name: String
    var value: String
    var level = Level.good
    /// What to do about it.
    var next: String?
}

private func programFindings() -> [Finding] {
    [Finding(name: "fledge", value: "\(FledgeVersion.current), compiled by Swift \(FledgeVersion.swift)")]
}

private func machineFindings(_ machine: Machine) -> [Finding] {
    var findings = [
        Finding(name: "system", value: "\(machine.system), kernel \(machine.kernel)"),
        Finding(name: "processor", value: "\(machine.processor) (\(machine.architecture))"),
        Finding(name: "cores", value: "\(machine.logicalCores)"),
    ]
    let sets = machine.instructionSets.joined(separator: " ")
    let isSlow = machine.architecture == "x86_64" && !machine.instructionSets.contains("avx2")
    findings.append(
        Finding(
            name: "vector units", value: sets.isEmpty ? "none known" : sets, level: isSlow ? .poor : .good,
            next: isSlow ? "without avx2 everything runs several times slower; use a newer processor if you can" : nil))

    let most = [machine.memoryLimit, machine.memory].compactMap(\.self).min()
    let free = machine.availableMemory
    let small = UInt64(1) << 30
    let isShort = (free ?? .max) < small || (most ?? .max) < small
    findings.append(
        Finding(
            name: "memory", value: "\(gibibytes(most)), \(gibibytes(free)) free", level: isShort ? .poor : .good,
            next: isShort ? "close other programs, or train with small batches" : nil))
    return findings
}

private func engineFindings() -> [Finding] {
    [
        Finding(name: "engine", value: "kernels for \(Engine.instructionSet), \(Engine.threads) threads"),
        Finding(name: "oneDNN", value: "\(Engine.oneDNNVersion), using \(Engine.oneDNNInstructionSet)"),
        Finding(
            name: "bfloat16",
            value: Engine.hasBFloat16 ? "multiplied in hardware" : "not multiplied in hardware: train in float32"),
    ]
}

private func storageFindings() -> [Finding] {
    [("working folder", FileManager.default.currentDirectoryPath), ("temporary folder", NSTemporaryDirectory())]
        .map { name, path in
            do throws(StorageError) {
                let probe = (path as NSString).appendingPathComponent(".fledge-doctor-\(getpid())")
                try AtomicFile.write("probe", to: probe)
                try? FileManager.default.removeItem(atPath: probe)
                let free = try Machine.freeSpace(at: path)
                let isShort = free < UInt64(1) << 30
                return Finding(
                    name: name, value: "\(path), \(gibibytes(free)) free", level: isShort ? .poor : .good,
                    next: isShort ? "less than 1 GiB is little for checkpoints; free some space" : nil)
            } catch {
                return Finding(
                    name: name, value: "\(path): \(error.what), \(error.why ?? "")", level: .bad, next: error.next)
            }
        }
}

private func gibibytes(_ bytes: UInt64?) -> String {
    bytes.map { String(format: "%.1f GiB", Double($0) / 0x1p30) } ?? "unknown"
}
