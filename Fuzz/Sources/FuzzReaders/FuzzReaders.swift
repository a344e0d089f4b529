import FledgeFuzzing
import Foundation

/// The reader that the variable FUZZ_READER names.
private let reader: FuzzReader = {
    let name = ProcessInfo.processInfo.environment["FUZZ_READER"] ?? ""
    guard let reader = FuzzReader.all.first(where: { $0.name == name }) else {
        print("FUZZ_READER must be one of: \(FuzzReader.all.map(\.name).joined(separator: " "))")
        exit(2)
    }
    return reader
}()

/// Called once by the fuzzer. With FUZZ_SEEDS it only writes the reader's sound inputs into that folder.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(_ count: UnsafePointer<Int32>?, _ arguments: UnsafeRawPointer?) -> Int32 {
    guard let folder = ProcessInfo.processInfo.environment["FUZZ_SEEDS"] else { return 0 }
    do {
        for (index, seed) in try reader.seeds().enumerated() {
            try Data(seed).write(to: URL(fileURLWithPath: "\(folder)/seed-\(index)"))
        }
        exit(0)
    } catch {
        print("\(error)")
        exit(1)
    }
}

/// Called by the fuzzer with every input.
@_cdecl("LLVMFuzzerTestOneInput")
public func test(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    reader.read(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}
