// swift-tools-version: 6.2
import PackageDescription

// The readers of the package above as one libFuzzer program; see Scripts/fuzz.sh. A package of its own, because it
// links only where the fuzzer is asked for (-sanitize=fuzzer).
let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "Fledge", path: "..")],
    targets: [
        .systemLibrary(name: "CFuzzer"),
        .executableTarget(
            name: "FuzzReaders", dependencies: ["CFuzzer", .product(name: "FledgeFuzzing", package: "Fledge")]),
    ],
    swiftLanguageModes: [.v6]
)
