import Foundation

/// Fledge itself.
public enum FledgeVersion {
    public static let current = "0.1.0"

    /// The release of Swift that compiled this program, to the minor number: there is no way to ask for the patch.
    public static var swift: String {
        #if compiler(>=6.5)
            "6.5 or newer"
        #elseif compiler(>=6.4)
            "6.4"
        #elseif compiler(>=6.3)
            "6.3"
        #else
            "6.2"
        #endif
    }
}

/// What a run was made with: `environment.json`. Two runs with the same settings, seed, threads and instruction set
/// give the same bytes; this file says whether they had the same.
public struct RunEnvironment: Codable, Sendable, Equatable {
    public let fledge: String
    public let swift: String
    /// The version of the library below the engine.
    public let oneDNN: String
    /// The instruction set the kernels chose.
    public let instructionSet: String
    public let threads: Int
    public let processor: String
    public let logicalCores: Int
    public let memory: UInt64?
    public let system: String
    public let kernel: String
    /// When the run began, UTC, ISO 8601.
    public let date: String

    enum CodingKeys: String, CodingKey {
        case fledge, swift, threads, processor, memory, system, kernel, date
        case oneDNN = "onednn"
        case instructionSet = "instruction_set"
        case logicalCores = "logical_cores"
    }

    /// The environment of this process; what only the engine knows is passed in.
    public init(instructionSet: String, threads: Int, oneDNN: String, date: Date = Date()) {
        let machine = Machine.current()
        fledge = FledgeVersion.current
        swift = FledgeVersion.swift
        self.oneDNN = oneDNN
        self.instructionSet = instructionSet
        self.threads = threads
        processor = machine.processor
        logicalCores = machine.logicalCores
        memory = machine.memory
        system = machine.system
        kernel = machine.kernel
        self.date = date.formatted(.iso8601)
    }
}
