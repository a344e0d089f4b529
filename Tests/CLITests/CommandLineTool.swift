import Foundation
import XCTest

/// Runs the built `fledge` command as a person or a script would.
struct CommandLineTool {
    struct Result {
        var status: Int32
        var output: String
        var error: String
    }

    /// Next to the bundle of these tests.
    static var path: String {
        let bundle = Bundle(for: Marker.self).bundleURL
        let folder = bundle.pathExtension == "xctest" ? bundle.deletingLastPathComponent() : bundle
        return folder.appendingPathComponent("fledge").path
    }

    /// - Parameters:
    ///   - folder: where it runs; the tests' own folder when `nil`.
    ///   - outputFile: where standard output goes instead of `Result.output`.
    static func run(
        _ arguments: String..., in folder: String? = nil, environment: [String: String] = [:], outputFile: String? = nil
    ) throws -> Result {
        try run(arguments, in: folder, environment: environment, outputFile: outputFile)
    }

    /// - Parameter shell: commands of a shell to run before `fledge` in the same process, such as `ulimit -f 100`.
    static func run(
        _ arguments: [String], in folder: String? = nil, environment: [String: String] = [:],
        outputFile: String? = nil, shell: String? = nil
    ) throws -> Result {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: shell == nil ? path : "/bin/bash")
        process.arguments = shell.map { ["-c", $0 + "; exec \"$@\"", "bash", path] + arguments } ?? arguments
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        process.environment = ProcessInfo.processInfo.environment
            .merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }.merging(environment) { $1 }
        // Files rather than pipes: nothing can block, however much is written.
        let base = NSTemporaryDirectory() + "fledge-cli-\(UUID().uuidString)"
        defer { for name in ["out", "err"] { try? FileManager.default.removeItem(atPath: "\(base).\(name)") } }
        let handles = try ["\(base).out", "\(base).err"].enumerated().map { index, path in
            let target = index == 0 ? outputFile ?? path : path
            if target == path { _ = FileManager.default.createFile(atPath: path, contents: nil) }
            return try XCTUnwrap(FileHandle(forWritingAtPath: target))
        }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = handles[0]
        process.standardError = handles[1]
        try process.run()
        process.waitUntilExit()
        func read(_ name: String) -> String { (try? String(contentsOfFile: "\(base).\(name)", encoding: .utf8)) ?? "" }
        return Result(status: process.terminationStatus, output: read("out"), error: read("err"))
    }

    private final class Marker {}
}

extension CommandLineTool.Result {
    /// The one document on standard output; fails the test where there is more or less.
    func json(file: StaticString = #filePath, line: UInt = #line) throws -> [String: Any] {
        let object = try? JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
        return try XCTUnwrap(object, "not one JSON object: \(output)", file: file, line: line)
    }
}
