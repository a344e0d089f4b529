import FledgeCore
import XCTest

final class ArrayFileTests: XCTestCase {
    func testNpyRoundTrip() throws {
        let array = NpyArray([1.5, -2, 3, 4, 5, 6] as [Float], shape: [2, 3])
        let bytes = array.npyBytes()
        XCTAssertEqual(bytes.count, 128 + 24)
        let read = try NpyArray(npy: bytes)
        XCTAssertEqual(read, array)
        XCTAssertEqual(try read.floats(), [1.5, -2, 3, 4, 5, 6])
    }

    /// Bytes written by NumPy 2: `np.save` of np.array([[1,2,3],[4,5,6]], '>i2', order='F').
    func testNumPyBigEndianFortran() throws {
        let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }"
        let padded = header + String(repeating: " ", count: 117 - header.count) + "\n"
        let bytes =
            [0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0] + Array(padded.utf8) + [0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6]
        let array = try NpyArray(npy: bytes)
        XCTAssertEqual(array.shape, [2, 3])
        XCTAssertEqual(try array.integers(), [1, 2, 3, 4, 5, 6])
    }

    func testTypes() throws {
        XCTAssertEqual(try NpyArray([-1, 1 << 40] as [Int64], shape: [2]).integers(), [-1, 1 << 40])
        XCTAssertEqual(try NpyArray(["a", "Äpfel", ""]).strings(), ["a", "Äpfel", ""])
        XCTAssertEqual(try NpyArray(dtype: "|b1", shape: [2], data: [0, 1]).floats(), [0, 1])
        XCTAssertEqual(
            try NpyArray(dtype: "<f2", shape: [4], data: [0, 0x3C, 0, 0xC0, 1, 0, 0, 0x7C]).floats(),
            [1, -2, 0x1p-24, .infinity])
        XCTAssertEqual(try NpyArray(dtype: "|i1", shape: [2], data: [255, 127]).integers(), [-1, 127])
        XCTAssertEqual(try NpyArray([0.25] as [Double], shape: []).floats(), [0.25])
        XCTAssertThrowsError(try NpyArray([0.25] as [Double], shape: [1]).integers())
    }

    func testBadHeaders() throws {
        func kind(_ header: String, data: [UInt8] = []) -> ArrayFileError.Kind? {
            let bytes = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0] + Array(header.utf8) + data
            do {
                _ = try NpyArray(npy: bytes)
                return nil
            } catch { return (error as? ArrayFileError)?.kind }
        }
        let shape = "'fortran_order': False, 'shape': "
        XCTAssertEqual(kind("{'descr': '|O', \(shape)(1,)}"), .unsupported)
        XCTAssertEqual(kind("{'descr': [('a', '<f4')], \(shape)(1,)}"), .unsupported)
        XCTAssertEqual(kind("{'descr': '<f4', \(shape)(4611686018427387904, 4)}"), .tooLarge)
        XCTAssertEqual(kind("{'descr': '<f4', \(shape)(2,)}", data: [0, 0, 0, 0]), .truncated)
        XCTAssertEqual(kind("{'descr': '<f4', \(shape)(-2,)}"), .malformed)
        XCTAssertEqual(kind("{'descr': '<f4'}"), .malformed)
        XCTAssertEqual(kind("__import__('os')"), .malformed)
        XCTAssertNil(kind("{'descr': '<f4', \(shape)(0, 3)}"))
        XCTAssertThrowsError(try NpyArray(npy: [1, 2, 3]))
    }

    func testNpzStoredAndDeflated() throws {
        let x = NpyArray((0..<600).map { Float($0) }, shape: [20, 30])
        let y = NpyArray((0..<20).map { Int64($0 % 3) }, shape: [20])
        for compressed in [false, true] {
            let bytes = try Npz.bytes([("x", x), ("y", y)], compressed: compressed)
            let read = try Npz.read(bytes)
            XCTAssertEqual(read.map(\.name), ["x", "y"])
            XCTAssertEqual(read.map(\.array), [x, y])
            XCTAssertEqual(bytes, try Npz.bytes([("x", x), ("y", y)], compressed: compressed))
            XCTAssertThrowsError(try Npz.read(bytes, limit: 1000))
            for cut in stride(from: 0, to: bytes.count - 1, by: 7) {
                XCTAssertThrowsError(try Npz.read(Array(bytes.prefix(cut))))
            }
        }
    }

    func testNpzChecksumIsChecked() throws {
        var bytes = try Npz.bytes([("x", NpyArray([1, 2, 3] as [Float], shape: [3]))], compressed: false)
        bytes[30 + 5 + 128 + 1] ^= 1
        XCTAssertThrowsError(try Npz.read(bytes)) { XCTAssertEqual(($0 as? ArrayFileError)?.kind, .malformed) }
    }

    func testGzipMembersAreJoinedAndLimited() throws {
        let bytes =
            try Zlib.deflate(Array("hello ".utf8), format: .gzip) + Zlib.deflate(Array("world".utf8), format: .gzip)
        XCTAssertEqual(try Zlib.inflate(bytes, format: .gzip, limit: 11), Array("hello world".utf8))
        XCTAssertThrowsError(try Zlib.inflate(bytes, format: .gzip, limit: 10)) {
            XCTAssertEqual($0 as? ZlibError, .tooLarge(limit: 10))
        }
        XCTAssertThrowsError(try Zlib.inflate(bytes.dropLast(), format: .gzip, limit: 100)) {
            XCTAssertEqual($0 as? ZlibError, .truncated)
        }
        XCTAssertEqual(Zlib.crc32(Array("123456789".utf8)), 0xCBF4_3926)
    }
}
