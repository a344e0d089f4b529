import Foundation

/// The sets that come with Fledge.
enum BundledReader {
    /// `digits`: the UCI optical digits, 3,823 + 1,797 grey 8 x 8 images with values 0...16. See Digits/README.md.
    static func open(_ name: String, options: DataOptions) throws -> OpenedData {
        let folder = Bundle.module.bundlePath + "/Digits"
        let location = try DataLocation(folder)
        var data = try IDXReader.open(
            location, folder: folder, files: location.files, train: "train-images-idx3-ubyte.gz",
            test: "test-images-idx3-ubyte.gz", validation: nil, options, whiteLevel: 16)
        data.source = name
        data.reason =
            "'digits' is the name of a bundled set: UCI optical recognition of handwritten digits"
            + " (E. Alpaydin and C. Kaynak, CC BY 4.0)"
        return data
    }
}
