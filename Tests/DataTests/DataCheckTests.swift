import FledgeCore
import FledgeTesting
import Foundation
import XCTest

@testable import FledgeData

final class DataCheckTests: XCTestCase {
    /// Every planted kind of damage is found and called by its name, and nothing sound is called damaged. With
    /// FLEDGE_PHOTOS set to folders of photographs (with colons between), their pictures take the place of the waves.
    func testPlantedDamageIsFound() throws {
        let photos = ProcessInfo.processInfo.environment["FLEDGE_PHOTOS"]
        let files = photos == nil ? 700 : 2000
        let pictures = try photos.map { try Self.photographs($0, count: files) } ?? PlantedDamage.waves(files)
        let planted = try PlantedDamage(pictures: pictures, files: files, each: photos == nil ? 3 : 6)
        XCTAssertGreaterThanOrEqual(PlantedDamage.kindCount, 20)
        let start = Date()
        let findings = try DataCheck.run(planted.folder.path)
        let seconds = Date().timeIntervalSince(start)

        var found: [String: Set<Finding.Kind>] = [:]
        for finding in findings.findings {
            for place in finding.places { found[place.id, default: []].insert(finding.kind) }
        }
        var missed: [String] = []
        for plant in planted.plants where found[plant.id]?.contains(plant.kind) != true {
            missed.append("\(plant.name): \(plant.id) is called \(found[plant.id]?.description ?? "nothing")")
        }
        XCTAssertEqual(missed, [])

        // A finding is a false alarm when nothing in it was planted.
        let ids = Set(planted.plants.map(\.id))
        let alarms = findings.findings.filter { finding in
            finding.kind.isProblem && !finding.places.contains { ids.contains($0.id) }
        }
        let wrong = Set(alarms.flatMap(\.places).map(\.id))
        XCTAssertLessThanOrEqual(Double(wrong.count), 0.005 * Double(planted.sound.count), "\(alarms)")
        print(
            "data check: \(planted.plants.count) of \(PlantedDamage.kindCount) kinds planted, \(missed.count) missed, "
                + "\(wrong.count) false alarms among \(planted.sound.count) sound files: \(wrong.sorted()), "
                + String(format: "%.1f s", seconds))
    }

    private static func photographs(_ folders: String, count: Int) throws -> [ImageBuffer] {
        var paths: [String] = []
        for folder in folders.split(separator: ":").map(String.init) {
            paths += try DataLocation.images(in: folder, root: folder).paths.map { folder + "/" + $0 }
        }
        let order = { () -> [Int] in
            var random = RandomSource(seed: 2)
            return random.permutation(paths.count)
        }()
        let pictures = try order.prefix(count).map { try ImageCodec.decode(FileBytes.read(paths[$0]), channels: 3) }
        XCTAssertEqual(pictures.count, count, "too few photographs")
        return pictures
    }

    func testSoundDataHaveNoProblem() throws {
        let folder = try TemporaryFolder()
        for (index, picture) in PlantedDamage.waves(60).enumerated() {
            try folder.write("\(index % 2)/\(index).png", try ImageCodec.png(picture))
        }
        let findings = try DataCheck.run(folder.path)
        XCTAssertEqual(findings.findings, [])
        XCTAssertTrue(findings.ok)
        XCTAssertEqual(findings.samples, 60)
    }

    /// Where many pictures look alike, likeness says nothing, and equal bytes still do.
    func testLikenessOfManyIsNoCopy() throws {
        let folder = try TemporaryFolder()
        var random = RandomSource(seed: 3)
        for (kind, picture) in PlantedDamage.waves(3).enumerated() {
            for index in 0..<20 {
                let pixels = picture.pixels.map { UInt8(max(0, min(255, Int($0) + random.integer(below: 7) - 3))) }
                let noisy = ImageBuffer(width: picture.width, height: picture.height, channels: 3, pixels: pixels)
                try folder.write("\(kind)/\(index).png", try ImageCodec.png(noisy))
            }
        }
        XCTAssertEqual(try DataCheck.run(folder.path).findings.map(\.kind), [.alike])
        try folder.write("0/copy.png", try FileBytes.read(folder.path + "/0/7.png"))
        let findings = try DataCheck.run(folder.path).findings
        XCTAssertEqual(findings.map(\.kind), [.duplicate, .alike])
        XCTAssertEqual(findings[0].places.map(\.id).sorted(), ["0/7.png", "0/copy.png"])
    }

    func testBundledDigits() throws {
        let findings = try DataCheck.run("digits")
        XCTAssertEqual(findings.samples, 5620)
        XCTAssertFalse(findings.findings.contains { $0.kind == .damaged || $0.kind == .blank })
    }

    func testTablesAreReadToTheEnd() throws {
        let folder = try TemporaryFolder()
        try folder.write("t.csv", "a,b,label\n1,2,x\n,2,x\n3,nan,y\n4,5\n6,oops,y\n7,8,y\n9,1e999,y\n5,5,x\n")
        let findings = try DataCheck.run(folder.path + "/t.csv")
        XCTAssertEqual(
            findings.findings.map { "\($0.kind.rawValue) \($0.places[0].id)" },
            [
                "missing t.csv, row 3, column 'a'", "missing t.csv, row 4, column 'b'",
                "missing t.csv, row 6, column 'b'", "missing t.csv, row 8, column 'b'", "ragged t.csv, row 5",
            ])
        XCTAssertFalse(findings.ok)
    }

    func testCopiesInTables() throws {
        let folder = try TemporaryFolder()
        try folder.write("t-train.csv", "a,b,c,label\n1,2,0,x\n3,4,0,y\n1,2,0,x\n5,6,0,x\n5,6,0,y\n7,8,0,x\n")
        try folder.write("t-test.csv", "a,b,c,label\n7,8,0,x\n9,9,0,y\n")
        let findings = try DataCheck.run(folder.path + "/t-train.csv").findings
        XCTAssertEqual(findings.map(\.kind), [.leak, .conflict, .duplicate, .constant])
        XCTAssertEqual(findings[0].places.map(\.id), ["5", "0"])
        XCTAssertEqual(findings[1].places.map(\.label), ["x", "y"])
    }
}
