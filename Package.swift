// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "Fledge",
    products: [
        .library(name: "Fledge", targets: ["Fledge"]),
        .executable(name: "fledge", targets: ["FledgeCLI"]),
        // For the fuzzing program in Fuzz/, which is a package of its own.
        .library(name: "FledgeFuzzing", targets: ["FledgeFuzzing"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
    ],
    targets: [
        // C below the engine. The system libraries come from Debian packages; see `make setup`.
        .systemLibrary(name: "COneDNN", providers: [.apt(["libdnnl-dev"])]),
        .systemLibrary(name: "CLapack", providers: [.apt(["liblapacke-dev"])]),
        .target(name: "CFledgeKernels", linkerSettings: [.linkedLibrary("m"), .linkedLibrary("dl")]),
        .target(name: "CFledgeZlib", linkerSettings: [.linkedLibrary("z")]),
        .target(
            name: "CFledgeImage",
            linkerSettings: [.linkedLibrary("turbojpeg"), .linkedLibrary("png16")]),

        // The rooms of the house; arrows point down only.
        .target(name: "FledgeCore", dependencies: ["CFledgeKernels", "CFledgeZlib", "COneDNN", "CLapack"]),
        .target(name: "FledgeNN", dependencies: ["FledgeCore"]),
        .target(
            name: "FledgeData", dependencies: ["FledgeCore", "CFledgeImage"],
            resources: [.copy("Digits")]),
        .target(
            name: "FledgeTrain",
            dependencies: [
                "FledgeCore", "FledgeNN", "FledgeData", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Yams", package: "Yams"),
            ]),
        .target(name: "FledgeModels", dependencies: ["FledgeCore", "FledgeNN"]),
        .target(
            name: "FledgeMethods",
            dependencies: ["FledgeCore", "FledgeNN", "FledgeData", "FledgeTrain", "FledgeModels"]),
        .target(
            name: "Fledge",
            dependencies: ["FledgeCore", "FledgeNN", "FledgeData", "FledgeTrain", "FledgeModels", "FledgeMethods"]),
        .target(
            name: "FledgeTrack",
            dependencies: [
                "FledgeCore", "FledgeData", "FledgeTrain", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ]),
        .target(
            name: "FledgeServe",
            dependencies: [
                "FledgeCore", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "FlyingFox", package: "FlyingFox"),
            ]),
        .executableTarget(
            name: "FledgeCLI",
            dependencies: [
                "Fledge", "FledgeTrack", "FledgeServe",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            resources: [
                .embedInCode("Label/Page/label.html"), .embedInCode("Label/Page/label.css"),
                .embedInCode("Label/Page/label.js"),
            ]),

        // The program of the README.
        .executableTarget(name: "Quickstart", dependencies: ["Fledge"], path: "Examples/Quickstart"),

        // Tests. FledgeTesting is the shared library of checks.
        .target(name: "FledgeTesting", dependencies: ["FledgeCore", "FledgeNN"]),
        .target(name: "FledgeFuzzing", dependencies: ["FledgeCore", "FledgeData", "FledgeTrain"]),
        .testTarget(
            name: "CoreTests", dependencies: ["FledgeCore", "FledgeTesting", "CFledgeKernels"],
            resources: [.copy("Golden")]),
        .testTarget(
            name: "NNTests", dependencies: ["FledgeNN", "FledgeTesting"],
            resources: [.copy("Golden")]),
        .testTarget(name: "DataTests", dependencies: ["FledgeData", "FledgeTesting"]),
        .testTarget(name: "TrainTests", dependencies: ["FledgeTrain", "FledgeTesting"]),
        .testTarget(
            name: "ModelTests", dependencies: ["FledgeModels", "FledgeData", "FledgeTesting"],
            resources: [.copy("Fixtures")]),
        .testTarget(
            name: "TrackTests",
            dependencies: [
                "FledgeTrack", "FledgeData", "FledgeTesting", .product(name: "GRDB", package: "GRDB.swift"),
            ],
            resources: [.copy("Golden")]),
        .testTarget(
            name: "FuzzTests", dependencies: ["FledgeFuzzing", "FledgeTesting"],
            resources: [.copy("Corpus")]),
        .testTarget(name: "MethodTests", dependencies: ["Fledge", "FledgeTesting"]),
        .testTarget(name: "CLITests", dependencies: ["Fledge", "FledgeTrack", "FledgeCLI", "FledgeTesting"]),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu11,
    cxxLanguageStandard: .gnucxx17
)
