import FledgeTesting
import Foundation
import XCTest

@testable import FledgeCore

final class SafetensorsTests: XCTestCase {
    private var folder = ""

    override func setUpWithError() throws {
        folder = NSTemporaryDirectory() + "fledge-safetensors-\(ProcessInfo.processInfo.globallyUniqueString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
    override func tearDownWithError() throws { try FileManager.default.removeItem(atPath: folder) }

    private func path(_ name: String = "x.safetensors") -> String { folder + "/" + name }

    /// A file of the format, by hand.
    private func fileBytes(_ header: String, data: [UInt8], length: UInt64? = nil) -> [UInt8] {
        let n = length ?? UInt64(header.utf8.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: n >> (8 * $0)) } + Array(header.utf8) + data
    }
    @discardableResult
    private func put(_ bytes: [UInt8], _ name: String = "x.safetensors") throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: path(name)))
        return path(name)
    }
    private func failure(_ body: () throws -> Void) -> SafetensorsError? {
        do {
            try body()
            return nil
        } catch { return error as? SafetensorsError }
    }
    private func failure(_ header: String, _ size: Int) throws -> SafetensorsError? {
        let file = try put(fileBytes(header, data: [UInt8](repeating: 0, count: size)))
        return failure { _ = try SafetensorsFile(file) }
    }

    func testRoundTripOfAllTypes() throws {
        let view = Tensor.arange(24).cast(to: .float32).reshaped([4, 6])
        let tensors: [String: Tensor] = [
            "float32": wave([3, 5]).cast(to: .float32), "float64": wave([2, 2, 2]),
            "bfloat16": wave([7]).cast(to: .bfloat16), "int32": Tensor([-1, .max, .min] as [Int32]),
            "int64": Tensor([Int.min, 0, Int.max]), "uint8": Tensor([0, 127, 255] as [UInt8]),
            "bool": Tensor([true, false, true]), "scalar": Tensor(2.5), "empty": Tensor.zeros([0, 3]),
            "transposed": view.transposed(), "slice": view[1..<3, 2...], "expanded": view[0].expanded(to: [2, 6]),
            "name \"with\" \\ é \u{1F600} and\nline": Tensor(1), "": Tensor(-1),
        ]
        let metadata = ["format": "fledge", "note": "quote \" and é"]
        try Safetensors.save(tensors, to: path(), metadata: metadata)
        let file = try SafetensorsFile(path())
        XCTAssertEqual(file.metadata, metadata)
        XCTAssertEqual(Set(file.names), Set(tensors.keys))
        XCTAssertEqual(file.names, file.names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        let loaded = try Safetensors.load(path(), device: .reference)
        XCTAssertEqual(loaded.count, tensors.count)
        for (name, tensor) in tensors {
            XCTAssertEqual(file.shape(of: name), tensor.shape)
            XCTAssertEqual(file.dtype(of: name), tensor.dtype)
            let found = try XCTUnwrap(loaded[name])
            XCTAssertEqual(found.shape, tensor.shape)
            XCTAssertEqual(found.dtype, tensor.dtype)
            XCTAssertEqual(found.withBytes { Array($0) }, tensor.withBytes { Array($0) }, name)
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        XCTAssertEqual(names, ["x.safetensors"], "no temporary file is left")
    }

    func testNoTensors() throws {
        try Safetensors.save([:], to: path())
        XCTAssertEqual(try Data(contentsOf: URL(fileURLWithPath: path())), Data(fileBytes("{}      ", data: [])))
        XCTAssertTrue(try Safetensors.load(path()).isEmpty)
    }

    /// The bytes the reference implementation writes for these tensors: wide types first, header padded to 8.
    func testBytesOnDisk() throws {
        let tensors = [
            "b": Tensor([1, 2] as [Float]), "a": Tensor([true]), "c": Tensor([3] as [Int]),
        ]
        try Safetensors.save(tensors, to: path())
        var header = #"{"c":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"#
        header += #""b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"#
        header += #""a":{"dtype":"BOOL","shape":[1],"data_offsets":[16,17]}}"#
        while header.utf8.count % 8 != 0 { header += " " }
        let data: [UInt8] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3F, 0, 0, 0, 0x40, 1]
        XCTAssertEqual(try Data(contentsOf: URL(fileURLWithPath: path())), Data(fileBytes(header, data: data)))
    }

    func testFileMadeElsewhere() throws {
        // Keys in another order, spaces, escapes, half precision, an unaligned tensor.
        let header = #"""
            {"__metadata__":{"format":"pt"}, "h\u00e9":{"shape":[5],"dtype":"F16","data_offsets":[1,11]},
            "flag" : {"data_offsets":[0,1],"dtype":"U8","shape":[1,1]}}
            """#
        // 1, -2, 65504, the smallest subnormal, infinity
        let halves: [UInt16] = [0x3C00, 0xC000, 0x7BFF, 0x0001, 0x7C00]
        var data: [UInt8] = [9]
        for half in halves { data += [UInt8(truncatingIfNeeded: half), UInt8(half >> 8)] }
        let file = try SafetensorsFile(put(fileBytes(header, data: data)))
        XCTAssertEqual(file.metadata, ["format": "pt"])
        XCTAssertEqual(file.names, ["flag", "hé"])
        XCTAssertEqual(file.dtype(of: "hé"), .float32)
        XCTAssertEqual(try file.tensor("hé").floats(), [1, -2, 65504, 0x1p-24, .infinity])
        XCTAssertEqual(try file.tensor("flag").ints(), [9])
        let missing = failure { _ = try file.tensor("other") }
        XCTAssertEqual(missing?.kind, .missing)
        XCTAssertEqual(missing?.tensor, "other")
        XCTAssertNil(file.shape(of: "other"))
    }

    func testUnreadTypesDoNotDisturbTheOthers() throws {
        var header = #"{"a":{"dtype":"I16","shape":[2],"data_offsets":[0,4]},"#
        header += #""b":{"dtype":"F32","shape":[],"data_offsets":[4,8]}}"#
        let file = try SafetensorsFile(put(fileBytes(header, data: [0, 0, 0, 0, 0, 0, 0x80, 0x3F])))
        XCTAssertEqual(try file.tensor("b").item(), 1)
        XCTAssertNil(file.dtype(of: "a"))
        XCTAssertEqual(failure { _ = try file.tensor("a") }?.kind, .unsupportedType)
    }

    func testMalformedHeaders() throws {
        func entry(_ name: String, _ type: String, _ shape: String, _ offsets: String) -> String {
            #""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}"#
        }
        let good = entry("a", "F32", "[2]", "[0,8]")
        XCTAssertNil(try failure("{\(good)}", 8))
        let deep = String(repeating: "[", count: 100)
        let cases: [(SafetensorsError.Kind, String, Int)] = [
            (.malformedHeader, "", 0), (.malformedHeader, " {\(good)}", 8), (.malformedHeader, "[1]", 0),
            (.malformedHeader, "{\(good)", 8), (.malformedHeader, "{\(good)}x", 8), (.malformedHeader, "{\(good),}", 8),
            (.malformedHeader, #"{"a":1}"#, 0), (.malformedHeader, #"{"a":\#(deep)}"#, 0),
            (.malformedHeader, #"{"__metadata__":{"a":1}}"#, 0), (.malformedHeader, #"{"__metadata__":"x"}"#, 0),
            (.malformedHeader, #"{"a\ud800":1}"#, 0), (.malformedHeader, #"{"a\q":1}"#, 0),
            (.malformedHeader, "{\"a\u{1}\":1}", 0), (.malformedHeader, #"{"a":01}"#, 0),
            (.malformedHeader, #"{"a":tru}"#, 0),
            (.malformedHeader, #"{"a":{"dtype":"F32","shape":[2]}}"#, 8),
            (.malformedHeader, #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":0}}"#, 8),
            (.duplicateName, "{\(good),\(good)}", 8), (.duplicateName, #"{"a":{"dtype":"F32","dtype":"F32"}}"#, 0),
            (.unsupportedType, "{\(entry("a", "F31", "[2]", "[0,8]"))}", 8),
            (.badShape, "{\(entry("a", "F32", "[3]", "[0,8]"))}", 8),
            (.badShape, "{\(entry("a", "F32", "[-2]", "[0,8]"))}", 8),
            (.badShape, "{\(entry("a", "F32", "[2.0]", "[0,8]"))}", 8),
            (.badShape, "{\(entry("a", "F32", "[4611686018427387904,4611686018427387904]", "[0,8]"))}", 8),
            (.badShape, "{\(entry("a", "F32", "[0,4611686018427387904,4]", "[0,0]"))}", 0),
            (.badShape, "{\(entry("a", "F32", "[99999999999999999999]", "[0,8]"))}", 8),
            (.limit, "{\(entry("a", "F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"))}", 8),
            (.limit, "{\(entry(String(repeating: "n", count: 1025), "F32", "[2]", "[0,8]"))}", 8),
            (.badOffsets, "{\(entry("a", "F32", "[2]", "[8,0]"))}", 8),
            (.badOffsets, "{\(entry("a", "F32", "[2]", "[0]"))}", 8),
            (.badOffsets, "{\(entry("a", "F32", "[2]", "[4,12]"))}", 12),
            (.badOffsets, "{\(good),\(entry("b", "F32", "[2]", "[12,20]"))}", 20),
            (.badOffsets, "{\(good),\(entry("b", "F32", "[2]", "[4,12]"))}", 12),
            (.badOffsets, "{\(good),\(entry("b", "F32", "[2]", "[0,8]"))}", 8),
            (.badOffsets, "{\(good)}", 9), (.truncated, "{\(good)}", 7),
        ]
        for (kind, header, size) in cases {
            let found = try failure(header, size)
            XCTAssertEqual(found?.kind, kind, "\(header.prefix(200)): \(found?.description ?? "accepted")")
        }
    }

    func testMalformedFiles() throws {
        func open(_ bytes: [UInt8]) throws -> SafetensorsError.Kind? {
            let file = try put(bytes)
            return failure { _ = try SafetensorsFile(file) }?.kind
        }
        XCTAssertEqual(try open([]), .truncated)
        XCTAssertEqual(try open([2, 0, 0]), .truncated)
        XCTAssertEqual(try open(fileBytes("{}", data: [], length: 3)), .truncated)
        XCTAssertEqual(try open(fileBytes("{}", data: [], length: 100_000_001)), .limit)
        XCTAssertEqual(try open(fileBytes("{}", data: [], length: .max)), .limit)
        XCTAssertEqual(try open(fileBytes("{\"", data: [0xFF, 0xFE, 0x22, 0x7D], length: 6)), .malformedHeader)
        XCTAssertEqual(failure { _ = try SafetensorsFile(path("absent.safetensors")) }?.kind, .unreadable)
        XCTAssertEqual(failure { _ = try SafetensorsFile(folder) }?.kind, .unreadable)
        let bools = try put(fileBytes(#"{"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}"#, data: [1, 2]))
        let found = failure { _ = try Safetensors.load(bools) }
        XCTAssertEqual(found?.kind, .badValue)
        XCTAssertEqual(found?.tensor, "a")
        XCTAssertTrue(found!.description.hasPrefix("\(bools): tensor \"a\": element 1 is 2"), found!.description)
    }

    /// Every cut and every changed byte of a good file is read or refused, and never stops the program.
    func testDamagedFiles() throws {
        try Safetensors.save(["a": wave([3]), "b": Tensor([true, false])], to: path("good.safetensors"))
        let good = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path("good.safetensors"))))
        for length in 0..<good.count {
            let file = try put(Array(good[..<length]))
            XCTAssertNotNil(failure { _ = try Safetensors.load(file) }, "cut to \(length)")
        }
        for place in good.indices {
            for bit in [0, 3, 7] {
                var bytes = good
                bytes[place] ^= 1 << UInt8(bit)
                let file = try put(bytes)
                do { _ = try Safetensors.load(file) } catch { XCTAssertTrue(error is SafetensorsError, "\(error)") }
            }
        }
    }

    func testSavingOverTheFileThatIsRead() throws {
        try Safetensors.save(["a": wave([1000]), "b": wave([1000], offset: 1)], to: path())
        let file = try SafetensorsFile(path())
        let a = try file.tensor("a", device: .reference)
        try Safetensors.save(["a": a * 2, "c": a], to: path())
        XCTAssertEqual(try file.tensor("b").doubles(), waves([1000], offset: 1), "the open file is still the old one")
        let again = try Safetensors.load(path())
        XCTAssertEqual(again["a"]!.doubles(), waves([1000], amplitude: 2))
        XCTAssertEqual(again["c"]!.doubles(), waves([1000]))
        XCTAssertNil(again["b"])
    }

    func testFailedSaveLeavesTheOldFile() throws {
        try Safetensors.save(["a": Tensor(1)], to: path())
        let tooDeep = Tensor.zeros([Int](repeating: 1, count: 9))
        XCTAssertEqual(failure { try Safetensors.save(["a": tooDeep], to: path()) }?.kind, .limit)
        let longName = String(repeating: "n", count: 1025)
        XCTAssertEqual(failure { try Safetensors.save([longName: Tensor(1)], to: path()) }?.kind, .limit)
        XCTAssertEqual(failure { try Safetensors.save(["__metadata__": Tensor(1)], to: path()) }?.kind, .limit)
        XCTAssertEqual(try Safetensors.load(path())["a"]!.item(), 1)
        XCTAssertEqual(
            failure { try Safetensors.save(["a": Tensor(1)], to: folder + "/no/x.safetensors") }?.kind, .unwritable)
        // A full disk.
        XCTAssertThrowsError(
            try AtomicFile.write(to: path()) { write in
                try [UInt8](repeating: 7, count: 10).withUnsafeBytes { try write($0) }
                throw StorageError(action: "write", path: "x", cause: .diskFull)
            })
        XCTAssertEqual(try Safetensors.load(path())["a"]!.item(), 1)
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: folder), ["x.safetensors"])
    }

    func testShards() throws {
        try Safetensors.save(["a": Tensor(1), "b": Tensor(2)], to: path("m-1-of-2.safetensors"), metadata: ["k": "v"])
        try Safetensors.save(["c": Tensor(3)], to: path("m-2-of-2.safetensors"))
        func index(_ map: String) throws -> String {
            try put(
                Array(#"{"metadata":{"total_size":12},"weight_map":{\#(map)}}"#.utf8), "model.safetensors.index.json")
        }
        let full = #""a":"m-1-of-2.safetensors","b":"m-1-of-2.safetensors","c":"m-2-of-2.safetensors""#
        let file = try SafetensorsFile(index(full))
        XCTAssertEqual(file.names, ["a", "b", "c"])
        XCTAssertEqual(file.metadata, ["k": "v"])
        XCTAssertEqual(try file.tensor("c").item(), 3)
        let cases: [(String, SafetensorsError.Kind, String?)] = [
            (full + #","d":"m-2-of-2.safetensors""#, .badIndex, "d"), (#""a":"m-1-of-2.safetensors""#, .badIndex, "b"),
            (#""a":"../m-1-of-2.safetensors""#, .badIndex, "a"), (#""a":1"#, .badIndex, "a"),
            (#""a":"m-3-of-2.safetensors""#, .unreadable, nil), (#""a""#, .badIndex, nil),
        ]
        for (map, kind, tensor) in cases {
            let path = try index(map)
            let found = failure { _ = try Safetensors.load(path) }
            XCTAssertEqual(found?.kind, kind, map)
            XCTAssertEqual(found?.tensor, tensor, map)
        }
        let empty = try put(Array("{}".utf8), "model.safetensors.index.json")
        XCTAssertEqual(failure { _ = try SafetensorsFile(empty) }?.kind, .badIndex)
    }
}
