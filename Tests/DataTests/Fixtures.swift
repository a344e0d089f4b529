import FledgeCore
import FledgeData
import Foundation
import XCTest

/// An image whose bytes depend on every coordinate and on `salt`.
func pattern(_ width: Int, _ height: Int, channels: Int, salt: Int = 0) -> ImageBuffer {
    var pixels: [UInt8] = []
    for y in 0..<height {
        for x in 0..<width {
            for c in 0..<channels { pixels.append(UInt8((x * 37 + y * 11 + c * 53 + salt * 29) % 256)) }
        }
    }
    return ImageBuffer(width: width, height: height, channels: channels, pixels: pixels)
}

/// The bytes of an IDX file of unsigned bytes.
func idx(_ shape: [Int], _ data: [UInt8], type: UInt8 = 8) -> [UInt8] {
    [0, 0, type, UInt8(shape.count)]
        + shape.flatMap { [UInt8($0 >> 24 & 255), UInt8($0 >> 16 & 255), UInt8($0 >> 8 & 255), UInt8($0 & 255)] } + data
}

/// The `DataError` that a closure throws; fails the test when it throws nothing or something else.
func dataError(
    _ body: @autoclosure () throws -> Any, file: StaticString = #filePath, line: UInt = #line
) -> DataError? {
    do {
        _ = try body()
        XCTFail("nothing was thrown", file: file, line: line)
    } catch let error as DataError {
        XCTAssertFalse(error.what.isEmpty, file: file, line: line)
        XCTAssertFalse(error.advice.isEmpty, file: file, line: line)
        return error
    } catch {
        XCTFail("\(error) is not a DataError", file: file, line: line)
    }
    return nil
}

/// The folder of shared data beside the package, or a skipped test.
func sharedData(_ name: String) throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
    let path = root.appendingPathComponent("shared/data/\(name)").path
    guard FileManager.default.fileExists(atPath: path) else { throw XCTSkip("\(name) is not there") }
    return path
}
