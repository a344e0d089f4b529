import FledgeTesting
import Foundation
import XCTest

@testable import FledgeCore

final class TensorFilesTests: XCTestCase {
    private var folder = ""

    override func setUpWithError() throws {
        folder = NSTemporaryDirectory() + "fledge-tensors-\(ProcessInfo.processInfo.globallyUniqueString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
    override func tearDownWithError() throws { try FileManager.default.removeItem(atPath: folder) }

    func testRoundTripOfAllTypes() throws {
        let tensors: [String: Tensor] = [
            "float32": wave([3, 4]).cast(to: .float32).transposed(), "float64": wave([2, 2]),
            "int32": Tensor([-1, .max] as [Int32]), "int64": Tensor([Int.min, Int.max]),
            "uint8": Tensor([0, 255] as [UInt8]), "bool": Tensor([true, false]), "scalar": Tensor(1.5),
            "empty": Tensor.zeros([0, 2]),
        ]
        for compressed in [true, false] {
            let path = folder + "/x.npz"
            try Npz.save(tensors, to: path, compressed: compressed)
            let loaded = try Npz.load(path)
            XCTAssertEqual(Set(loaded.keys), Set(tensors.keys))
            for (name, tensor) in tensors {
                XCTAssertEqual(loaded[name]?.dtype, tensor.dtype, name)
                XCTAssertEqual(loaded[name]?.shape, tensor.shape, name)
                XCTAssertEqual(loaded[name]?.withBytes { Array($0) }, tensor.withBytes { Array($0) }, name)
            }
        }
        try Npz.save(["half": Tensor([1, 2.5] as [Float]).cast(to: .bfloat16)], to: folder + "/b.npz")
        let widened = try Npz.load(folder + "/b.npz")["half"]!
        XCTAssertEqual(widened.floats(), [1, 2.5])
        XCTAssertEqual(widened.dtype, .float32)
    }

    func testOtherTypesAndOrders() throws {
        func tensor(_ type: String, _ shape: [Int], _ data: [UInt8], fortran: Bool = false) throws -> Tensor {
            try NpyArray(dtype: type, shape: shape, fortranOrder: fortran, data: data).tensor()
        }
        let fortran = try tensor("|u1", [2, 3], [1, 4, 2, 5, 3, 6], fortran: true)
        XCTAssertEqual(fortran.ints(), [1, 2, 3, 4, 5, 6])
        XCTAssertEqual(fortran.dtype, .uint8)
        let cases: [(String, [UInt8], DType, [Double])] = [
            (">i2", [0xFF, 0xFE], .int32, [-2]), ("<u2", [0xFF, 0xFF], .int32, [65535]),
            ("|i1", [0x80], .int32, [-128]),
            ("<u4", [0, 0, 0, 0x80], .int64, [2_147_483_648]), ("<u8", [7, 0, 0, 0, 0, 0, 0, 0], .int64, [7]),
            ("<f2", [0x00, 0x3E], .float32, [1.5]), (">f4", [0x3F, 0x80, 0, 0], .float32, [1]),
            (">f8", [0x3F, 0xF0, 0, 0, 0, 0, 0, 0], .float64, [1]), ("|b1", [1], .bool, [1]),
        ]
        for (type, data, dtype, values) in cases {
            let found = try tensor(type, [1], data)
            XCTAssertEqual(found.dtype, dtype, type)
            XCTAssertEqual(found.doubles(), values, type)
        }
        let exact = try tensor("<u8", [1], [1, 0, 0, 0, 0, 0, 0, 0x7F])
        XCTAssertEqual(exact.ints(), [0x7F00_0000_0000_0001])
        XCTAssertThrowsError(try tensor("<u8", [1], [UInt8](repeating: 0xFF, count: 8)))
        XCTAssertThrowsError(try tensor("|b1", [1], [2]))
        XCTAssertThrowsError(try tensor("<U1", [1], [65, 0, 0, 0]))
        XCTAssertThrowsError(try tensor("|S8", [1], [UInt8](repeating: 65, count: 8)))
    }

    func testErrorsNameFileAndArray() throws {
        let path = folder + "/text.npz"
        let text = NpyArray(dtype: "<U1", shape: [1], data: [65, 0, 0, 0])
        try AtomicFile.write(try Npz.bytes([("words", text)]), to: path)
        XCTAssertThrowsError(try Npz.load(path)) { error in
            XCTAssertTrue("\(error)".hasPrefix("\(path): 'words': "), "\(error)")
        }
        XCTAssertThrowsError(try Npz.load(folder + "/absent.npz")) { XCTAssertTrue($0 is FileError) }
        XCTAssertThrowsError(try Npz.save([:], to: folder + "/no/x.npz")) { XCTAssertTrue($0 is StorageError) }
        try AtomicFile.write(NpyArray(wave([3])).npyBytes(), to: folder + "/x.npy")
        XCTAssertEqual(try NpyArray.load(folder + "/x.npy").doubles(), waves([3]))
    }
}
