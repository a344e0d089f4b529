import FledgeCore
import FledgeData
import FledgeTesting
import XCTest

final class ReaderTests: XCTestCase {
    private func image(_ salt: Int = 0, _ width: Int = 8, _ height: Int = 8, channels: Int = 3) throws -> [UInt8] {
        try ImageCodec.png(pattern(width, height, channels: channels, salt: salt))
    }

    // MARK: Images

    func testClassFolders() throws {
        let folder = try TemporaryFolder()
        for (salt, name) in ["10", "9", "2"].enumerated() {
            try folder.write("train/\(name)/b.png", image(salt))
            try folder.write("train/\(name)/a.png", image(salt + 10))
            try folder.write("test/\(name)/c.png", image(salt + 20))
        }
        try folder.write("train/9/readme.txt", "not an image")
        try folder.write("unlabelled/u.png", image(40))
        try folder.folder("originals")
        let data = try DataSource.open(folder.path)
        XCTAssertEqual(data.format, .classFolders)
        XCTAssertTrue(data.reason.contains("train/ has 3 folders of images"), data.reason)
        // Names that are numbers are in the order of numbers.
        XCTAssertEqual(data.classNames, ["2", "9", "10"])
        XCTAssertEqual(data.train.count, 7)
        XCTAssertEqual(data.train.labels, [2, 2, 0, 0, 1, 1, nil])
        XCTAssertEqual(data.train.id(of: 0), "train/10/a.png")
        XCTAssertEqual(data.test?.labels, [2, 0, 1])
        XCTAssertTrue(data.notes.contains { $0.contains("originals/") })
        let images = try XCTUnwrap(data.train as? ImageDataset)
        XCTAssertEqual(try images.image(1), pattern(8, 8, channels: 3, salt: 0))
        XCTAssertEqual(images.uniformSize?.width, 8)
    }

    func testGreyAndColourBecomeColour() throws {
        let folder = try TemporaryFolder()
        try folder.write("a/1.png", image(channels: 1))
        try folder.write("b/1.jpg", ImageCodec.jpeg(pattern(12, 8, channels: 3)))
        let data = try DataSource.open(folder.path)
        let images = try XCTUnwrap(data.train as? ImageDataset)
        XCTAssertEqual(images.channels, 3)
        XCTAssertNil(images.uniformSize)
        let gray = pattern(8, 8, channels: 1).pixels
        XCTAssertEqual(try images.image(0).pixels, gray.flatMap { [$0, $0, $0] })
        XCTAssertNil(data.test)
        XCTAssertEqual(dataError(try data.requireTest()), .noTestSplit(path: folder.path))
        let summary = DataSummary(data)
        XCTAssertEqual(summary.sideRange, [8, 12])
        XCTAssertEqual(try JSONDecoder().decode(DataSummary.self, from: JSONEncoder().encode(summary)), summary)
    }

    func testTestClassThatIsNotTrained() throws {
        let folder = try TemporaryFolder()
        for name in ["train/a/1", "train/b/1", "test/c/1"] { try folder.write(name + ".png", image()) }
        guard case .labelOutOfRange(_, 0, "'c'", _)? = dataError(try DataSource.open(folder.path)) else {
            return XCTFail("class c is not in the training split")
        }
    }

    func testEmptyOneClassAndUnknown() throws {
        let folder = try TemporaryFolder()
        XCTAssertEqual(dataError(try DataSource.open(folder.path)), .emptyFolder(path: folder.path))
        try folder.folder("train/a")
        XCTAssertEqual(
            dataError(try DataSource.open(folder.path + "/train")), .emptyFolder(path: folder.path + "/train"))
        try folder.write("train/a/1.png", image())
        XCTAssertEqual(dataError(try DataSource.open(folder.path)), .oneClass(path: folder.path, name: "a"))
        let other = try TemporaryFolder()
        try other.write("notes.txt", "hello")
        guard case .unknownFormat? = dataError(try DataSource.open(other.path)) else { return XCTFail("a text file") }
        guard case .unreadable? = dataError(try DataSource.open(other.path + "/nothing")) else {
            return XCTFail("a missing path")
        }
    }

    func testDamagedFilesAreNamedOrListed() throws {
        let folder = try TemporaryFolder()
        for i in 0..<20 {
            try folder.write("a/\(i).png", image(i))
            try folder.write("b/\(i).png", image(i + 20))
        }
        let jpeg = try ImageCodec.jpeg(pattern(8, 8, channels: 3))
        try folder.write("b/x.jpg", Array(jpeg.prefix(jpeg.count - 40)))
        guard case .undecodable(let path, _)? = dataError(try DataSource.open(folder.path)) else {
            return XCTFail("one truncated JPEG of 41 is above 1 %")
        }
        XCTAssertTrue(path.hasSuffix("b/x.jpg"))
        try folder.write("b/y.png", [])
        guard case .tooManyDamaged(_, let damaged, 42, 0.01)? = dataError(try DataSource.open(folder.path)) else {
            return XCTFail("two of 42")
        }
        XCTAssertEqual(damaged.map(\.id), ["b/x.jpg", "b/y.png"])
        var options = DataOptions()
        options.maximumDamaged = 0.1
        let data = try DataSource.open(folder.path, options: options)
        XCTAssertEqual(data.train.count, 40)
        XCTAssertEqual(data.damaged, damaged)
        XCTAssertTrue("\(DataSummary(data))".contains("b/x.jpg"))
    }

    func testImagesWithTable() throws {
        let folder = try TemporaryFolder()
        for i in 0..<4 { try folder.write("images/\(i).png", image(i)) }
        try folder.write(
            "labels.csv",
            "file,label,split\r\n0.png,cat,train\r\n2.png,\"dog, big\",train\r\n3.png,,train\r\n1.png,cat,test\r\n")
        let data = try DataSource.open(folder.path)
        XCTAssertEqual(data.format, .imagesWithTable)
        XCTAssertEqual(data.classNames, ["cat", "dog, big"])
        XCTAssertEqual(data.train.labels, [0, 1, nil])
        XCTAssertEqual(data.test?.labels, [0])
        XCTAssertEqual(data.train.id(of: 1), "images/2.png")
        XCTAssertEqual(try DataSource.open(folder.path + "/labels.csv").train.count, 3)
        try folder.write("labels.csv", "file,label\n0.png,cat\n9.png,dog\n")
        guard case .mismatch(_, let reason)? = dataError(try DataSource.open(folder.path)) else {
            return XCTFail("9.png")
        }
        XCTAssertTrue(reason.contains("row 3") && reason.contains("9.png"), reason)
        try folder.write("labels.csv", "file,label\n../0.png,cat\n1.png,dog\n")
        guard case .malformed? = dataError(try DataSource.open(folder.path)) else { return XCTFail("leads out") }
    }

    func testFolderWithoutLabels() throws {
        let folder = try TemporaryFolder()
        for i in 0..<3 { try folder.write("\(i).png", image(i)) }
        let data = try DataSource.open(folder.path)
        XCTAssertEqual(data.format, .imageFolder)
        XCTAssertEqual(data.train.labels, [nil, nil, nil])
        XCTAssertEqual(
            dataError(try data.train.labelledSplit(perClass: 1, seed: 0)), .noLabels(path: "the training split"))
    }

    // MARK: IDX and CIFAR

    func testIDXPlainAndGzipped() throws {
        let folder = try TemporaryFolder()
        let pixels = (0..<24).map { UInt8($0) }
        try folder.write("train-images-idx3-ubyte.gz", Zlib.deflate(idx([4, 2, 3], pixels), format: .gzip))
        try folder.write("train-labels-idx1-ubyte", idx([4], [1, 0, 2, 1]))
        try folder.write("t10k-images-idx3-ubyte", idx([1, 2, 3], Array(pixels.prefix(6))))
        try folder.write("t10k-labels-idx1-ubyte", idx([1], [2]))
        let data = try DataSource.open(folder.path)
        XCTAssertEqual(data.format, .idx)
        XCTAssertEqual(data.train.labels, [1, 0, 2, 1])
        XCTAssertEqual(data.classNames, ["0", "1", "2"])
        XCTAssertEqual(data.test?.labels, [2])
        let images = try XCTUnwrap(data.train as? ImageDataset)
        XCTAssertEqual(
            try images.image(1), ImageBuffer(width: 3, height: 2, channels: 1, pixels: Array(pixels[6..<12])))

        try folder.write("t10k-labels-idx1-ubyte", idx([1], [7]))
        guard case .labelOutOfRange(_, 0, "7", _)? = dataError(try DataSource.open(folder.path)) else {
            return XCTFail("7")
        }
        try folder.write("train-labels-idx1-ubyte", idx([4], [1, 0, 200, 1]))
        guard case .labelOutOfRange(_, 2, "200", _)? = dataError(try DataSource.open(folder.path)) else {
            return XCTFail("200")
        }
        try folder.write("train-labels-idx1-ubyte", idx([3], [1, 0, 1]))
        guard case .mismatch? = dataError(try DataSource.open(folder.path)) else {
            return XCTFail("3 labels, 4 images")
        }
    }

    func testBadIDX() throws {
        let folder = try TemporaryFolder()
        func open(_ bytes: [UInt8]) throws -> DataError? {
            try folder.write("train-images-idx3-ubyte", bytes)
            return dataError(try DataSource.open(folder.path))
        }
        guard case .wrongMagic(_, let expected, "00 00 0d 03")? = try open(idx([1, 1, 1], [0], type: 13)) else {
            return XCTFail("float IDX")
        }
        XCTAssertTrue(expected.contains("00 00 08 03"))
        guard case .wrongMagic? = try open(Array("PNG and more".utf8)) else { return XCTFail("text") }
        guard case .truncated? = try open(idx([2, 2, 2], [1, 2, 3])) else { return XCTFail("3 of 8 bytes") }
        guard case .truncated? = try open([0, 0, 8, 3, 0]) else { return XCTFail("half a header") }
        guard case .malformed? = try open(idx([1, 1, 1], [1, 2])) else { return XCTFail("a byte too many") }
        guard case .malformed? = try open([0, 0, 8, 3] + [UInt8](repeating: 255, count: 12)) else {
            return XCTFail("a shape that overflows")
        }
        let packed = try Zlib.deflate(idx([2, 2, 2], [UInt8](0..<8)), format: .gzip)
        try FileManager.default.removeItem(atPath: folder.path + "/train-images-idx3-ubyte")
        try folder.write("train-images-idx3-ubyte.gz", Array(packed.dropLast(6)))
        guard case .truncated? = dataError(try DataSource.open(folder.path)) else { return XCTFail("cut gzip") }
    }

    func testCIFAR() throws {
        let folder = try TemporaryFolder()
        func record(_ label: UInt8) -> [UInt8] {
            [label] + [UInt8](repeating: 10, count: 1024) + [UInt8](repeating: 20, count: 1024)
                + [UInt8](repeating: 30 + label, count: 1024)
        }
        try folder.write("data_batch_1.bin", record(1) + record(0))
        try folder.write("data_batch_2.bin", record(2))
        try folder.write("test_batch.bin", record(2))
        try folder.write("batches.meta.txt", "plane\ncar\nbird\n\n")
        let data = try DataSource.open(folder.path)
        XCTAssertEqual(data.format, .cifar)
        XCTAssertEqual(data.classNames, ["plane", "car", "bird"])
        XCTAssertEqual(data.train.labels, [1, 0, 2])
        XCTAssertEqual(data.test?.labels, [2])
        let images = try XCTUnwrap(data.train as? ImageDataset)
        XCTAssertEqual(Array(try images.image(2)[31, 31]), [10, 20, 32])
        try folder.write("data_batch_2.bin", record(3))
        guard case .labelOutOfRange(_, 2, "3", _)? = dataError(try DataSource.open(folder.path)) else {
            return XCTFail("3")
        }
        try folder.write("data_batch_2.bin", Array(record(2).dropLast()))
        guard case .truncated? = dataError(try DataSource.open(folder.path)) else {
            return XCTFail("a record too short")
        }
    }

    // MARK: NumPy arrays

    func testNpz() throws {
        let folder = try TemporaryFolder()
        let x = NpyArray((0..<24).map { UInt8($0) }, shape: [2, 3, 4])
        try folder.write(
            "d.npz",
            Npz.bytes([
                ("x_train", x), ("y_train", NpyArray([1, 0] as [Int64], shape: [2, 1])), ("x_test", x),
                ("y_test", NpyArray([0, -1] as [Int64], shape: [2])),
            ]))
        let data = try DataSource.open(folder.path)
        XCTAssertEqual(data.format, .npz)
        XCTAssertEqual(data.train.labels, [1, 0])
        XCTAssertEqual(data.test?.labels, [0, nil])
        XCTAssertEqual(try (data.train as? ImageDataset)?.image(1).pixels, Array(12..<24))
    }

    func testNpyFeaturesChannelsFirstAndNaN() throws {
        let folder = try TemporaryFolder()
        try folder.write("x.npy", NpyArray((0..<12).map { UInt8($0) }, shape: [1, 3, 2, 2]).npyBytes())
        var data = try DataSource.open(folder.path)
        XCTAssertEqual(try (data.train as? ImageDataset)?.image(0).pixels, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
        // Four channels, last and first; what could be three channels or a width of four is taken for three channels.
        for (shape, found) in [
            ([1, 2, 2, 4], [2, 2, 4]), ([1, 4, 2, 3], [4, 2, 3]), ([1, 4, 2, 2], [2, 2, 4]),
            ([1, 3, 2, 4], [2, 4, 3]),
            ([1, 4, 4, 4], [4, 4, 4]),
        ] {
            let count = shape.reduce(1, *)
            try folder.write("x.npy", NpyArray((0..<count).map { UInt8($0) }, shape: shape).npyBytes())
            let images = try XCTUnwrap(try DataSource.open(folder.path).train as? ImageDataset)
            XCTAssertEqual(images.sampleShape(after: .none()), found, "\(shape)")
            let second = shape == [1, 4, 2, 2] ? 4 : shape == [1, 3, 2, 4] ? 8 : 1
            XCTAssertEqual(try images.image(0).pixels[1], UInt8(second), "\(shape)")
        }
        try folder.write("x.npy", NpyArray((0..<20).map { UInt8($0) }, shape: [1, 2, 2, 5]).npyBytes())
        guard case .malformed? = dataError(try DataSource.open(folder.path)) else { return XCTFail("5 channels") }
        try folder.write("x.npy", NpyArray([1, 2, 3, 4] as [Float], shape: [2, 2]).npyBytes())
        try folder.write("y.npy", NpyArray([2, 1] as [Int64], shape: [2]).npyBytes())
        data = try DataSource.open(folder.path)
        XCTAssertEqual((data.train as? FeatureDataset)?.features, [1, 2, 3, 4])
        XCTAssertEqual(data.train.labels, [1, 0])
        XCTAssertEqual(data.classNames, ["1", "2"])
        try folder.write("x.npy", NpyArray([1, 2, .nan, 4] as [Float], shape: [2, 2]).npyBytes())
        guard case .notANumber(_, 2, "0", _)? = dataError(try DataSource.open(folder.path)) else {
            return XCTFail("NaN")
        }
        try folder.write("x.npy", Array("nothing".utf8))
        guard case .wrongMagic? = dataError(try DataSource.open(folder.path)) else { return XCTFail("magic") }
    }

    // MARK: Bundled and shared

    func testDigits() throws {
        let data = try DataSource.open("digits")
        XCTAssertEqual(data.train.count, 3823)
        XCTAssertEqual(data.test?.count, 1797)
        XCTAssertEqual(data.train.classCounts, [376, 389, 380, 389, 387, 376, 377, 387, 380, 382])
        XCTAssertEqual(data.test?.classCounts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
        let images = try XCTUnwrap(data.train as? ImageDataset)
        XCTAssertEqual(images.whiteLevel, 16)
        XCTAssertEqual(Array(try images.image(0).pixels.prefix(8)), [0, 1, 6, 15, 12, 1, 0, 0])
        let batch = try Loader(data.train, batchSize: 8, seed: 1).batch(at: 0)
        XCTAssertEqual(batch.views[0].max(), 1)
    }

    func testSharedSets() throws {
        var expected: [(String, DataFormat, train: Int, test: Int?, classes: Int)] = [
            ("cifar10", .cifar, 4000, 1000, 10), ("usps", .idx, 7291, 2007, 10),
            ("clothing-photos", .classFolders, 1000, 372, 10), ("tabular/wine.csv", .table, 178, nil, 3),
            ("tabular/zoo.csv", .table, 101, nil, 7), ("tabular/breast-cancer-wdbc.csv", .table, 569, nil, 2),
            ("tabular/optdigits-train.csv", .table, 3823, 1797, 10),
            ("uci-multifeature/mfeat-mor.csv", .table, 2000, nil, 10),
            ("time-series/libras", .table, 360, nil, 15),
        ]
        expected.append(("tabular/anuran-mfcc.csv", .table, 7195, nil, 10))
        for (name, format, train, test, classes) in expected {
            let data = try DataSource.open(sharedData(name))
            XCTAssertEqual(data.format, format, name)
            XCTAssertEqual(data.train.count, train, name)
            XCTAssertEqual(data.test?.count, test, name)
            XCTAssertEqual(data.classNames.count, classes, name)
            XCTAssertEqual(data.damaged, [], name)
        }
    }
}
