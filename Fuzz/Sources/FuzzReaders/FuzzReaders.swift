import CFuzzer
import FledgeFuzzing
import Foundation

/// The reader that the variable FUZZ_READER names; without one the program lists them.
private let reader: FuzzReader = {
    let name = ProcessInfo.processInfo.environment["FUZZ_READER"] ?? ""
    guard let reader = FuzzReader.all.first(where: { $0.name == name }) else {
        print(FuzzReader.all.map(\.name).joined(separator: " "))
        exit(name.isEmpty ? 0 : 2)
    }
    return reader
}()

/// Takes libFuzzer's arguments. With FUZZ_SEEDS it only writes the reader's sound inputs into that folder.
@main
struct FuzzReaders {
    static func main() throws {
        if let folder = ProcessInfo.processInfo.environment["FUZZ_SEEDS"] {
            for (index, seed) in try reader.seeds().enumerated() {
                try Data(seed).write(to: URL(fileURLWithPath: "\(folder)/seed-\(index)"))
            }
            return
        }
        _ = reader
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        exit(
            LLVMFuzzerRunDriver(&count, &arguments) { bytes, count in
                reader.read(Array(UnsafeBufferPointer(start: bytes, count: count)))
                return 0
            })
    }
}
