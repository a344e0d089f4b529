// swift-tools-version: 6.2
import PackageDescription

// The readers of the package above as one libFuzzer program; see Scripts/fuzz.sh. A package of its own, because the
// program has no main function: the fuzzer's library brings it.
let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "Fledge", path: "..")],
    targets: [
        .executableTarget(
            name: "FuzzReaders", dependencies: [.product(name: "FledgeFuzzing", package: "Fledge")])
    ],
    swiftLanguageModes: [.v6]
)
