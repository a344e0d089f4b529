import ArgumentParser
import Fledge
import Foundation
import XCTest

@testable import FledgeCLI

/// What the documents say exists, exists: links, paths, make targets, commands, programs.
final class DocumentationTests: XCTestCase {
    private static let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../..").standardizedFileURL

    private struct Document {
        let name: String
        let text: String

        init(_ name: String) throws {
            self.name = name
            text = try String(contentsOf: DocumentationTests.root.appendingPathComponent(name), encoding: .utf8)
        }

        /// The text outside of fenced blocks.
        var prose: String { pieces.enumerated().filter { $0.offset % 2 == 0 }.map(\.element).joined() }

        /// The fenced blocks in that language.
        func blocks(_ language: String) -> [String] {
            pieces.enumerated().filter { $0.offset % 2 == 1 && $0.element.hasPrefix(language + "\n") }
                .map { String($0.element.dropFirst(language.count + 1)) }
        }

        private var pieces: [String] { text.components(separatedBy: "```") }

        /// The first group of each match.
        static func matches(_ pattern: String, in text: String) throws -> [String] {
            let pattern = try NSRegularExpression(pattern: pattern, options: .anchorsMatchLines)
            return pattern.matches(in: text, range: NSRange(text.startIndex..., in: text)).compactMap {
                Range($0.range(at: 1), in: text).map { String(text[$0]) }
            }
        }

        /// The names by which GitHub links to the headings.
        var anchors: Set<String> {
            get throws {
                Set(
                    try Self.matches("^#+ (.+)$", in: prose).map { heading in
                        let kept = heading.lowercased().filter { $0.isLetter || $0.isNumber || " -_".contains($0) }
                        return kept.replacingOccurrences(of: " ", with: "-")
                    })
            }
        }
    }

    private func documents() throws -> [Document] {
        let top = try FileManager.default.contentsOfDirectory(atPath: Self.root.path)
        let docs = try FileManager.default.subpathsOfDirectory(atPath: Self.root.path + "/Docs").map { "Docs/" + $0 }
        return try (top + docs).filter { $0.hasSuffix(".md") }.sorted().map(Document.init)
    }

    private func exists(_ path: String, beside document: String = "") -> Bool {
        let folder = Self.root.appendingPathComponent(document).deletingLastPathComponent()
        let place = document.isEmpty ? Self.root : folder
        return FileManager.default.fileExists(atPath: place.appendingPathComponent(path).path)
    }

    func testLinksLead() throws {
        let documents = try documents()
        XCTAssertGreaterThan(documents.count, 5)
        for document in documents {
            for link in try Document.matches(#"\]\(([^)\s]+)\)"#, in: document.prose) where !link.contains("://") {
                let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                if !parts[0].isEmpty {
                    XCTAssertTrue(exists(parts[0], beside: document.name), "\(document.name) links to \(link)")
                }
                if parts.count == 2, parts[0].isEmpty {
                    XCTAssertTrue(try document.anchors.contains(parts[1]), "\(document.name) links to \(link)")
                }
            }
        }
    }

    /// Names in backticks that begin with a folder of the repository.
    func testPathsExist() throws {
        let pattern = #"`((?:Sources|Tests|Docs|Scripts|Golden|Examples|Benchmarks|\.ci)/[^`\s<*{]*)`"#
        var count = 0
        for document in try documents() {
            for path in try Document.matches(pattern, in: document.prose) {
                count += 1
                XCTAssertTrue(exists(path), "\(document.name) names \(path)")
            }
        }
        XCTAssertGreaterThan(count, 20)
    }

    func testMakeTargetsExist() throws {
        let makefile = try String(contentsOf: Self.root.appendingPathComponent("Makefile"), encoding: .utf8)
        let targets = Set(try Document.matches("^([a-z0-9-]+):", in: makefile))
        var count = 0
        for document in try documents() {
            let named =
                try Document.matches("`make ([a-z0-9-]+)", in: document.prose)
                + document.blocks("sh").flatMap { try Document.matches("^make ([a-z0-9-]+)", in: $0) }
            count += named.count
            for target in named { XCTAssertTrue(targets.contains(target), "\(document.name) names make \(target)") }
        }
        XCTAssertGreaterThan(count, 8)
    }

    /// Every command line of the documents is one that the parser takes.
    func testCommandsParse() throws {
        var count = 0
        for document in try documents() {
            let lines =
                try document.blocks("sh").flatMap { try Document.matches(#"^(?:\S*/)?fledge +([^#|>\n]+)"#, in: $0) }
                + Document.matches("`fledge ([a-z][^`]*)`", in: document.prose)
            for line in lines where !line.contains("...") {
                count += 1
                let arguments = line.split(separator: " ").map { $0.trimmingCharacters(in: ["'", "\""]) }
                do {
                    try UnknownSubcommand.check(arguments, under: FledgeCommand.self)
                    _ = try FledgeCommand.parseAsRoot(arguments)
                } catch {
                    XCTFail("\(document.name): fledge \(line): \(FledgeCommand.message(for: error))")
                }
            }
        }
        XCTAssertGreaterThan(count, 10)
    }

    /// Every method has its row in the README or on its family's page, with the family and what it needs; every network
    /// has one in the README.
    func testTablesAreComplete() throws {
        let readme = try Document("README.md").text
        let pages = try documents().map(\.text).joined(separator: "\n")
        for info in Methods.all.map(\.info) {
            let row = try XCTUnwrap(
                pages.split(separator: "\n").first { $0.hasPrefix("| `\(info.name)` |") }, "no row for \(info.name)")
            for cell in [info.family.rawValue, info.needs.map(\.rawValue).joined(separator: ", ")] {
                XCTAssertTrue(row.contains("| \(cell) |"), "\(info.name): \(cell)")
            }
        }
        for model in Models.all { XCTAssertTrue(readme.contains("`\(model.name)`"), "no row for \(model.name)") }
    }

    func testQuickStartIsTheProgram() throws {
        let program = try String(
            contentsOf: Self.root.appendingPathComponent("Examples/Quickstart/main.swift"), encoding: .utf8)
        XCTAssertTrue(try Document("README.md").blocks("swift").contains(program))
    }

    /// The Fledge column of the cheat-sheet stands word for word in `CheatSheetTests.swift`, which compiles and runs it.
    func testCheatSheetIsCompiled() throws {
        let tests = try String(
            contentsOf: Self.root.appendingPathComponent("Tests/CLITests/CheatSheetTests.swift"), encoding: .utf8)
        let section = try XCTUnwrap(
            Document("README.md").text.components(separatedBy: "## Cheat-sheet").last?.components(separatedBy: "\n## ")
                .first)
        let rows = section.split(separator: "\n").filter { $0.hasPrefix("|") }.dropFirst(2)
        XCTAssertGreaterThan(rows.count, 40)
        for row in rows {
            let cell = try XCTUnwrap(row.components(separatedBy: " | ").last)
            for code in try Document.matches("`([^`]+)`", in: cell) where !code.contains("...") {
                XCTAssertTrue(tests.contains(code), "the cheat-sheet's \(code) is not in CheatSheetTests.swift")
            }
        }
    }
}
