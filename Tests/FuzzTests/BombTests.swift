import FledgeCore
import FledgeData
import FledgeFuzzing
import FledgeTesting
import FledgeTrain
import Foundation
import XCTest

/// Small files that ask for much: each ends with a typed error, in 2 seconds and with 64 MB at most beside the file.
final class BombTests: XCTestCase {
    private func refused(
        _ name: String, allowing bytes: Int = 64 << 20, _ body: () throws -> Void, file: StaticString = #filePath,
        line: UInt = #line
    ) {
        let before = ResidentMemory.now
        ResidentMemory.resetPeak()
        let start = Date()
        do {
            try body()
            XCTFail("\(name): nothing was thrown", file: file, line: line)
        } catch {
            let isTyped =
                error is DataError || error is ImageError || error is ArrayFileError || error is SafetensorsError
                || error is SettingsError || error is ZlibError || error is FileError
            XCTAssertTrue(isTyped, "\(name): \(type(of: error)) \(error)", file: file, line: line)
        }
        XCTAssertLessThan(Date().timeIntervalSince(start), 2, name, file: file, line: line)
        XCTAssertLessThan(ResidentMemory.peak - before, bytes, "\(name) took memory", file: file, line: line)
    }

    private func big(_ value: Int, _ size: Int = 4) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * (size - 1 - $0))) }
    }

    private func little(_ value: Int, _ size: Int) -> [UInt8] { big(value, size).reversed() }

    private func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(name.utf8) + data
        return big(data.count) + body + big(Int(Zlib.crc32(body)))
    }

    private func png(_ width: Int, _ height: Int, _ data: [UInt8], extra: [UInt8] = []) -> [UInt8] {
        [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + chunk("IHDR", big(width) + big(height) + [8, 2, 0, 0, 0])
            + extra + chunk("IDAT", data) + chunk("IEND", [])
    }

    // MARK: Pictures

    func testPNG() throws {
        let zeros = try Zlib.deflate([UInt8](repeating: 0, count: 1 << 20), format: .zlib)
        refused("65,535 x 65,535") { _ = try ImageCodec.decode(png(65_535, 65_535, zeros)) }
        refused("2^31 x 2^31") { _ = try ImageCodec.decode(png(1 << 31 - 1, 1 << 31 - 1, zeros)) }
        refused("no pixels") { _ = try ImageCodec.decode(png(0, 5, zeros)) }
        refused("a size that the file cannot hold") { _ = try ImageCodec.decode(png(9_000, 9_000, [0])) }
        let text = chunk("zTXt", Array("a\0\0".utf8) + zeros)
        refused("a chunk of 2^31 bytes") {
            _ = try ImageCodec.decode(png(4, 4, zeros, extra: big(1 << 31 - 1) + Array("tEXt".utf8)))
        }
        // Compressed text beside the pixels is not inflated: no more than the pixels are ever made.
        let before = ResidentMemory.now
        ResidentMemory.resetPeak()
        let rows = try Zlib.deflate([UInt8](repeating: 0, count: 4 * 13), format: .zlib)
        _ = try? ImageCodec.decode(png(4, 4, rows, extra: (0..<2000).flatMap { _ in text }))
        XCTAssertLessThan(ResidentMemory.peak - before, 64 << 20)
    }

    func testJPEG() throws {
        let picture = ImageBuffer(width: 16, height: 16, channels: 3, pixels: (0..<768).map { UInt8($0 & 255) })
        let jpeg = try ImageCodec.jpeg(picture)
        let frame = jpeg.indices.first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 }!
        func sized(_ height: Int, _ width: Int) -> [UInt8] {
            var copy = jpeg
            copy.replaceSubrange((frame + 5)..<(frame + 9), with: big(height, 2) + big(width, 2))
            return copy
        }
        refused("65,500 x 65,500") { _ = try ImageCodec.decode(sized(65_500, 65_500)) }
        refused("9,000 x 9,000 in a file of a few hundred bytes") { _ = try ImageCodec.decode(sized(9_000, 9_000)) }
        refused("no height") { _ = try ImageCodec.decode(sized(0, 16)) }
        // The scans of a progressive picture, each of them a pass over all of it: the last one ten thousand times.
        let progressive = Seeds.progressive
        let scan = progressive.indices.last {
            $0 + 1 < progressive.count && progressive[$0] == 0xFF && progressive[$0 + 1] == 0xDA
        }!
        let end = progressive.count - 2
        let repeated = (0..<10_000).flatMap { _ in progressive[scan..<end] }
        refused("10,000 scans") { _ = try ImageCodec.decode(Array(progressive[..<end]) + repeated + [0xFF, 0xD9]) }
    }

    // MARK: Arrays

    func testSafetensors() throws {
        let folder = try TemporaryFolder()
        func file(_ length: Int, _ header: [UInt8]) throws -> String {
            try folder.write("x.safetensors", little(length, 8) + header)
            return folder.path + "/x.safetensors"
        }
        func refusedFile(_ name: String, _ length: Int, _ header: [UInt8], allowing bytes: Int = 64 << 20) throws {
            let path = try file(length, header)
            refused(name, allowing: bytes) { _ = try Safetensors.load(path) }
        }
        try refusedFile("a header of 100 MB that is not there", 100_000_000, Array("{}".utf8))
        try refusedFile("a header of 2^63 bytes", Int.max, Array("{}".utf8))
        let spaces = [UInt8](repeating: 0x20, count: 100_000_000)
        try refusedFile("a header of 100 MB of spaces", spaces.count, spaces, allowing: 128 << 20)
        let depth = [UInt8](repeating: UInt8(ascii: "["), count: 100_000)
        try refusedFile("nesting of 100,000", depth.count, depth)
        let object = (0..<100_000).flatMap { _ in Array("{\"a\":".utf8) }
        try refusedFile("objects of depth 100,000", object.count, object)
        let huge = Array(#"{"a":{"dtype":"F64","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#.utf8)
        try refusedFile("a shape that overflows", huge.count, huge + [UInt8](repeating: 0, count: 8))
        let hole = Array(#"{"a":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]}}"#.utf8)
        try refusedFile("a tensor of a terabyte", hole.count, hole)
        let axes = Array(
            (#"{"a":{"dtype":"U8","shape":["# + [String](repeating: "1", count: 100_000).joined(separator: ",")
                + #"],"data_offsets":[0,1]}}"#).utf8)
        try refusedFile("100,000 axes", axes.count, axes + [0])
        let member = #""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#
        let twice = Array("{\(member),\(member)}".utf8)
        try refusedFile("a name given twice", twice.count, twice + [0])
    }

    func testNpy() throws {
        func npy(_ header: String, length: Int? = nil, version: UInt8 = 2) -> [UInt8] {
            [0x93] + Array("NUMPY".utf8) + [version, 0] + little(length ?? header.utf8.count, 4) + Array(header.utf8)
        }
        refused("a header of 4 GB") { _ = try NpyArray(npy: npy("{}", length: 0xFFFF_FFFF)) }
        refused("a shape of 2^62") {
            _ = try NpyArray(npy: npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8), }"))
        }
        refused("a terabyte") {
            _ = try NpyArray(npy: npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,), }"))
        }
        refused("texts of 2^62 characters") {
            _ = try NpyArray(npy: npy("{'descr': '<U4611686018427387903', 'fortran_order': False, 'shape': (1,), }"))
        }
        refused("pickled code") {
            _ = try NpyArray(npy: npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"))
        }
        let nested = String(repeating: "(", count: 60_000)
        refused("nested brackets") { _ = try NpyArray(npy: npy(nested)) }
    }

    func testZip() throws {
        let zeros = NpyArray([UInt8](repeating: 0, count: 64 << 20), shape: [64 << 20])
        let bomb = try Npz.bytes([(name: "x", array: zeros)])
        XCTAssertLessThan(bomb.count, 80_000)
        refused("1000 to 1 above the limit") { _ = try Npz.read(bomb, limit: 16 << 20) }
        let small = NpyArray([Float(1)], shape: [1])
        let sound = try Npz.bytes([(name: "aa", array: small), (name: "ab", array: small)], compressed: false)
        func directory(_ bytes: [UInt8]) -> [Int] {
            bytes.indices.dropLast(3).filter { Array(bytes[$0..<($0 + 4)]) == [0x50, 0x4B, 1, 2] }
        }
        var duplicate = sound
        duplicate[directory(sound)[1] + 46 + 1] = UInt8(ascii: "a")
        refused("two members of one name") { _ = try Npz.read(duplicate) }
        var overlapping = sound
        overlapping.replaceSubrange((directory(sound)[1] + 42)..<(directory(sound)[1] + 46), with: [0, 0, 0, 0])
        refused("overlapping members") { _ = try Npz.read(overlapping) }
        var sized = sound
        sized.replaceSubrange((directory(sound)[0] + 24)..<(directory(sound)[0] + 28), with: [0xFE, 0xFF, 0xFF, 0xFF])
        refused("a size of 4 GB") { _ = try Npz.read(sized) }
        // A name that leads out of the folder is only a key: nothing is ever written.
        let outside = try Npz.read(Npz.bytes([(name: "../../etc/x", array: small)]))
        XCTAssertEqual(outside.map(\.name), ["../../etc/x"])
        let end: [UInt8] = [0x50, 0x4B, 5, 6, 0, 0, 0, 0] + little(0xFFFE, 2) + little(0xFFFE, 2)
        refused("a directory of 65,534 members that is not there") {
            _ = try Npz.read(end + little(0, 4) + little(0, 4) + little(0, 2))
        }
    }

    func testGzip() throws {
        let folder = try TemporaryFolder()
        let packed = try Zlib.deflate([UInt8](repeating: 0, count: 200 << 20), format: .gzip)
        try folder.write("train-images-idx3-ubyte.gz", packed)
        refused("gzip 1000 to 1", allowing: 256 << 20) { _ = try DataSource.open(folder.path) }
        let table = try TemporaryFolder()
        try table.write("t.csv.gz", packed)
        refused("a gzipped table 1000 to 1", allowing: 256 << 20) { _ = try DataSource.open(table.path) }
    }

    // MARK: Tables and texts

    func testIDXAndCIFAR() throws {
        let folder = try TemporaryFolder()
        try folder.write("a-idx3-ubyte", [0, 0, 8, 3] + [UInt8](repeating: 0xFF, count: 12))
        refused("an IDX shape that overflows") { _ = try DataSource.open(folder.path + "/a-idx3-ubyte") }
        try folder.write("b-idx3-ubyte", [0, 0, 8, 3] + big(1 << 30) + big(1 << 10) + big(1))
        refused("an IDX file of a terabyte") { _ = try DataSource.open(folder.path + "/b-idx3-ubyte") }
        try folder.write("c-idx3-ubyte", [0, 0, 8, 255] + [UInt8](repeating: 1, count: 1020))
        refused("an IDX file of 255 axes") { _ = try DataSource.open(folder.path + "/c-idx3-ubyte") }
        try sparse(folder.path + "/data_batch_1.bin", bytes: 1 << 40)
        refused("a CIFAR file of a terabyte") { _ = try DataSource.open(folder.path + "/data_batch_1.bin") }
    }

    func testCSV() throws {
        let folder = try TemporaryFolder()
        try sparse(folder.path + "/line.csv", bytes: 1 << 30)
        refused("a line of a gigabyte of zeros") { _ = try DataSource.open(folder.path + "/line.csv") }
        // Text without a line break, followed by a gigabyte that is not there on disk.
        try folder.write("quote.csv", Array("a,label\n\"".utf8) + [UInt8](repeating: 0x61, count: 17 << 20))
        try sparse(folder.path + "/quote.csv", bytes: 1 << 30)
        refused("a cell of a gigabyte", allowing: 128 << 20) { _ = try DataSource.open(folder.path + "/quote.csv") }
        try folder.write("cells.csv", [UInt8](repeating: UInt8(ascii: ","), count: 3_000_000))
        refused("three million cells", allowing: 256 << 20) { _ = try DataSource.open(folder.path + "/cells.csv") }
    }

    func testYAML() throws {
        func read(_ text: String) throws { _ = try TrainingSettings().applying(yaml: text) }
        let laughs =
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + zip("bcdefghij", "abcdefghi").map {
                "\($0): &\($0) [\([String](repeating: "*\($1)", count: 9).joined(separator: ","))]\n"
            }
            .joined()
        refused("a billion laughs") { try read(laughs) }
        refused("an alias in its own anchor") { try read("a: &a [*a]\n") }
        refused("lists of depth 100,000") { try read("steps: " + String(repeating: "[", count: 100_000)) }
        refused("maps of depth 100,000") { try read(String(repeating: "{a: ", count: 100_000)) }
        refused("dashes of depth 100,000") { try read(String(repeating: "- ", count: 100_000)) }
        refused("two megabytes") { try read("steps: " + String(repeating: "1", count: 2 << 20)) }
        refused("a map of 50,000 unknown names") {
            try read((0..<50_000).map { "name\($0): 1" }.joined(separator: "\n"))
        }
    }

    func testMetricsAndReports() throws {
        let start = Date()
        let deep = [UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)
        XCTAssertEqual(MetricsFile.parse(deep).broken, [1])
        let lines = Array(String(repeating: "{\n", count: 200_000).utf8)
        XCTAssertEqual(MetricsFile.parse(lines).broken.count, 200_000)
        XCTAssertLessThan(Date().timeIntervalSince(start), 2)
    }

    /// Makes a file as long as that without taking room on the disk.
    private func sparse(_ path: String, bytes: Int) throws {
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }
        try XCTUnwrap(FileHandle(forWritingAtPath: path)).truncate(atOffset: UInt64(bytes))
    }
}
