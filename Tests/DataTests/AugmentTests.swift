import FledgeCore
import FledgeData
import XCTest

final class AugmentTests: XCTestCase {
    private let random = RandomSource(seed: 5)
    private let image = pattern(9, 7, channels: 3)
    private var plain: [Float] { image.pixels.map { Float($0) * (1 / 255) } }

    private func view(_ steps: [Augmentation.Step], of image: ImageBuffer? = nil) -> [Float] {
        Augmentation(steps).view(of: image ?? self.image, random: random).pixels
    }

    private func equal(
        _ a: [Float], _ b: [Float], _ tolerance: Float = 1e-6, file: StaticString = #filePath, line: UInt = #line
    ) {
        XCTAssertEqual(a.count, b.count, file: file, line: line)
        let worst = zip(a, b).map { abs($0 - $1) }.max() ?? 0
        XCTAssertLessThanOrEqual(worst, tolerance, file: file, line: line)
    }

    // MARK: Steps that change nothing

    func testIdentities() {
        XCTAssertEqual(view([]), plain)
        XCTAssertEqual(view([.resize(width: 9, height: 7)]), plain)
        XCTAssertEqual(view([.horizontalFlip(probability: 1), .horizontalFlip(probability: 1)]), plain)
        XCTAssertEqual(view([.horizontalFlip(probability: 0)]), plain)
        XCTAssertEqual(view([.rotation(degrees: 0)]), plain)
        XCTAssertEqual(view([.shear(degrees: 0)]), plain)
        XCTAssertEqual(view([.shift(maximum: 0)]), plain)
        XCTAssertEqual(view([.invert(), .invert()]).map { ($0 * 255).rounded() }, image.pixels.map(Float.init))
        equal(view([.colorJitter(brightness: 0, contrast: 0, saturation: 0, hue: 0)]), plain)
        equal(view([.sharpness(factor: 1...1)]), plain)
        equal(view([.posterize(bits: 8)]), plain)
        XCTAssertEqual(view([.solarize(threshold: 1.01)]), plain)
        XCTAssertEqual(view([.cutout(size: 0)]), plain)
        XCTAssertEqual(
            view([.randAugment(count: 3, magnitude: 0, operations: [.rotate, .shearX, .translateY])]), plain)
    }

    func testCropOfTheWholeIsAResize() {
        let square = pattern(12, 12, channels: 3)
        let crop = view([.randomResizedCrop(width: 7, height: 7, scale: 1...1, ratio: 1...1)], of: square)
        XCTAssertEqual(crop, view([.resize(width: 7, height: 7)], of: square))
        XCTAssertEqual(crop, view([.centerCrop(width: 7, height: 7)], of: square))
    }

    // MARK: Geometry

    func testFlip() {
        let gray = ImageBuffer(width: 3, height: 2, channels: 1, pixels: [0, 51, 102, 153, 204, 255])
        equal(view([.horizontalFlip(probability: 1)], of: gray), [0.4, 0.2, 0, 1, 0.8, 0.6])
        // A flip after a turn is the same as one that needs a pass of its own.
        let turned = view([.rotation(degrees: 30), .horizontalFlip(probability: 1)])
        let rows = stride(from: 0, to: turned.count, by: 27).map { Array(turned[$0..<($0 + 27)]) }
        let mirrored = rows.flatMap { row in (0..<9).reversed().flatMap { Array(row[($0 * 3)..<($0 * 3 + 3)]) } }
        equal(mirrored, view([.rotation(degrees: 30)]), 2e-4)
    }

    func testResizeHasTheValuesOfPillow() {
        // Pillow's antialiased bilinear filter for 6 -> 2: the triangle of half width 3 around 1 and 4.
        let row = ImageBuffer(width: 6, height: 1, channels: 1, pixels: [0, 60, 120, 180, 240, 255])
        let small = view([.resize(width: 2, height: 1)], of: row).map { $0 * 255 }
        // Weights 2/3 1 2/3 1/3 (of 8/3) around 1, and 1/3 2/3 1 2/3 around 4.
        equal(small, [75, (120.0 / 3 + 360.0 / 3 + 240 + 510.0 / 3) * 3 / 8], 1e-3)
        // Growing interpolates between pixel centres and repeats the outermost pixels.
        let pair = ImageBuffer(width: 2, height: 1, channels: 1, pixels: [0, 200])
        equal(view([.resize(width: 4, height: 1)], of: pair).map { $0 * 255 }, [0, 50, 150, 200], 1e-3)
    }

    func testShiftAndBorders() throws {
        let row = ImageBuffer(width: 4, height: 1, channels: 1, pixels: [10, 20, 30, 40])
        // Every shift of up to two pixels comes up, and each is one of these.
        func all(_ border: Augmentation.Border) -> Set<[Float]> {
            Set(
                (0..<200).map { seed in
                    Augmentation([.shift(maximum: 2, border: border)])
                        .view(of: row, random: RandomSource(seed: UInt64(seed))).pixels.map { ($0 * 255).rounded() }
                })
        }
        let fill = all(.constant(1))
        XCTAssertTrue(fill.isSuperset(of: [[10, 20, 30, 40], [255, 10, 20, 30], [30, 40, 255, 255]]))
        XCTAssertTrue(all(.edge).isSuperset(of: [[10, 10, 20, 30], [30, 40, 40, 40]]))
        XCTAssertTrue(all(.reflect).isSuperset(of: [[20, 10, 20, 30], [30, 40, 30, 20], [30, 20, 10, 20]]))
    }

    func testQuarterTurn() {
        // Angles are drawn evenly: of 400 views one is near a quarter turn.
        let square = ImageBuffer(width: 2, height: 2, channels: 1, pixels: [0, 51, 102, 153])
        let views = (0..<400).map { seed in
            Augmentation([.rotation(degrees: 180)]).view(of: square, random: RandomSource(seed: UInt64(seed))).pixels
        }
        // Counterclockwise by 90 degrees the top right pixel comes to the top left.
        let nearest =
            views.map { view in
                zip(view, [0.2, 0.6, 0, 0.4] as [Float]).map { abs($0 - $1) }.max() ?? 1
            }.min() ?? 1
        XCTAssertLessThan(nearest, 0.03)
    }

    // MARK: Levels

    func testGreyAndHue() {
        let red = ImageBuffer(width: 1, height: 1, channels: 3, pixels: [255, 0, 0])
        equal(view([.grayscale(probability: 1)], of: red), [0.299, 0.299, 0.299])
        // Turning the hue keeps the greatest and the least channel of every pixel.
        let turned = view([.colorJitter(brightness: 0, contrast: 0, saturation: 0, hue: 0.5)])
        XCTAssertNotEqual(turned, plain)
        for i in stride(from: 0, to: plain.count, by: 3) {
            XCTAssertEqual(turned[i..<(i + 3)].max() ?? 0, plain[i..<(i + 3)].max() ?? 1, accuracy: 1e-5)
            XCTAssertEqual(turned[i..<(i + 3)].min() ?? 0, plain[i..<(i + 3)].min() ?? 1, accuracy: 1e-5)
        }
    }

    func testLevelOperations() {
        let gray = ImageBuffer(width: 4, height: 1, channels: 1, pixels: [51, 102, 204, 102])
        equal(view([.invert()], of: gray), [0.8, 0.6, 0.2, 0.6])
        equal(view([.solarize(threshold: 0.5)], of: gray), [0.2, 0.4, 0.2, 0.4])
        equal(view([.autocontrast()], of: gray), [0, 1.0 / 3, 1, 1.0 / 3])
        equal(view([.posterize(bits: 2)], of: gray).map { $0 * 255 }, [0, 64, 192, 64], 1e-3)
        equal(view([.normalize(mean: [0.2], deviation: [0.4])], of: gray), [0, 0.5, 1.5, 0.5])
    }

    func testEqualizeSpreadsTheHistogram() {
        let ramp = ImageBuffer(width: 256, height: 2, channels: 1, pixels: (0..<512).map { UInt8(100 + $0 % 256 / 8) })
        let spread = view([.equalize()], of: ramp)
        equal(Array(Set(spread)).sorted(), (0..<32).map { Float($0) / 31 })
    }

    func testBlurKeepsTheMeanAndSpreadsAPoint() {
        var pixels = [UInt8](repeating: 0, count: 15 * 15)
        pixels[7 * 15 + 7] = 255
        let point = ImageBuffer(width: 15, height: 15, channels: 1, pixels: pixels)
        let blurred = view([.gaussianBlur(sigma: 1...1, probability: 1)], of: point)
        XCTAssertEqual(blurred.reduce(0, +), 1, accuracy: 1e-4)
        // The peak of a sampled Gaussian of deviation 1 is 0.3994 along each axis.
        XCTAssertEqual(blurred[7 * 15 + 7], 0.1593, accuracy: 1e-3)
        XCTAssertEqual(blurred[7 * 15 + 8] / blurred[7 * 15 + 7], 0.60653, accuracy: 1e-4)
    }

    func testCutout() {
        let white = ImageBuffer(width: 16, height: 16, channels: 1, pixels: [UInt8](repeating: 255, count: 256))
        let holes = (0..<50).map { seed in
            Augmentation([.cutout(size: 0.5, fill: 0)]).view(of: white, random: RandomSource(seed: seed)).pixels
                .filter { $0 == 0 }.count
        }
        XCTAssertEqual(holes.max(), 64)
        XCTAssertGreaterThanOrEqual(holes.min() ?? 0, 16)
    }

    // MARK: Recipes

    func testRoughViewsLeaveBlackGround() throws {
        let black = ImageBuffer(width: 20, height: 20, channels: 1, pixels: [UInt8](repeating: 0, count: 400))
        for recolour in [false, true] {
            let recipe = Augmentation.strong(size: 16, recolour: recolour, fill: 0)
            for i in 0..<50 {
                XCTAssertEqual(recipe.view(of: black, random: random.at(i)).pixels.max(), 0, "view \(i)")
            }
        }
    }

    func testRoughViewsInvertLevelsWhereTheyMay() throws {
        let grey = ImageBuffer(width: 20, height: 20, channels: 1, pixels: [UInt8](repeating: 200, count: 400))
        func darkest(recolour: Bool) -> Float {
            let recipe = Augmentation.strong(size: 16, recolour: recolour, magnitude: 0.5, cutout: 0, fill: 1)
            return (0..<2000).map { recipe.view(of: grey, random: random.at($0)).pixels.min()! }.min()!
        }
        // Two operations leave more than half of the level each; solarized it is 55/255 before the other one.
        XCTAssertGreaterThanOrEqual(darkest(recolour: false), 200 / 255 / 4)
        XCTAssertLessThan(darkest(recolour: true), 200 / 255 / 4)
    }

    func testViewsDependOnTheSourceOnly() throws {
        let photo = pattern(50, 40, channels: 3)
        let recipes: [Augmentation] = [
            .none(size: 16), .weak(size: 16), .strong(size: 16),
            .strong(size: 16, flip: false, recolour: false, fill: 0),
            .simclr(size: 16, strength: 1), .simclr(size: 96),
            Augmentation([
                .randomErasing(probability: 1), .gaussianNoise(deviation: 0.1), .mask(probability: 0.5),
                .equalize(), .sharpness(factor: 0...2),
            ]),
        ]
        for recipe in recipes {
            let first = recipe.view(of: photo, random: random.at(1, 2, 0))
            XCTAssertEqual(first.pixels, recipe.view(of: photo, random: random.at(1, 2, 0)).pixels, "\(recipe)")
            XCTAssertTrue(first.pixels.allSatisfy { $0.isFinite }, "\(recipe)")
            let others = (0..<8).map { recipe.view(of: photo, random: random.at(1, 3, $0)).pixels }
            if recipe != .none(size: 16) { XCTAssertGreaterThan(Set(others).count, 4, "\(recipe)") }
            let copy = try JSONDecoder().decode(Augmentation.self, from: JSONEncoder().encode(recipe))
            XCTAssertEqual(copy, recipe)
        }
        XCTAssertEqual(Augmentation.simclr(size: 96).outputSize(from: nil)?.width, 96)
        XCTAssertNil(Augmentation([.invert()]).outputSize(from: nil))
        XCTAssertEqual(Augmentation.simclr(size: 16).inactiveSteps(channels: 1), ["grayscale(p 0.2)"])
    }

    /// With a fourth channel what is about colour does to the first three what it does to a picture that has no other,
    /// and leaves the fourth.
    func testAFourthChannelTakesNoPartInColour() {
        let photo = pattern(9, 7, channels: 4)
        let pixels = photo.pixels.indices.filter { $0 % 4 < 3 }.map { photo.pixels[$0] }
        let colours = ImageBuffer(width: 9, height: 7, channels: 3, pixels: pixels)
        for step: Augmentation.Step in [
            .colorJitter(brightness: 0, contrast: 0, saturation: 0.5, hue: 0),
            .colorJitter(brightness: 0, contrast: 0, saturation: 0, hue: 0.3), .grayscale(probability: 1),
        ] {
            let recipe = Augmentation([step])
            let four = recipe.view(of: photo, random: random.at(4)).pixels
            XCTAssertEqual(
                four.indices.filter { $0 % 4 < 3 }.map { four[$0] },
                recipe.view(of: colours, random: random.at(4)).pixels, "\(step)")
            XCTAssertEqual(
                four.indices.filter { $0 % 4 == 3 }.map { four[$0] },
                photo.pixels.indices.filter { $0 % 4 == 3 }.map { Float(photo.pixels[$0]) * (1 / 255) }, "\(step)")
            XCTAssertEqual(recipe.inactiveSteps(channels: 4), [])
        }
        // The grey that contrast leads to is that of the colours.
        let flat = Augmentation([.colorJitter(brightness: 0, contrast: 1, saturation: 0, hue: 0)])
        let four = flat.view(of: photo, random: random.at(5)).pixels
        let three = flat.view(of: colours, random: random.at(5)).pixels
        for (a, b) in zip(four.indices.filter { $0 % 4 < 3 }.map { four[$0] }, three) {
            XCTAssertEqual(a, b, accuracy: 1e-6)
        }
    }

    func testEveryRandAugmentOperationActs() {
        let full = pattern(20, 20, channels: 3)
        let photo = ImageBuffer(width: 20, height: 20, channels: 3, pixels: full.pixels.map { 40 + $0 / 2 })
        for operation in RandAugment.Operation.allCases where operation != .identity {
            let recipe = Augmentation([.randAugment(count: 1, magnitude: 1, operations: [operation])])
            let views = (0..<6).map { recipe.view(of: photo, random: random.at($0)).pixels }
            XCTAssertTrue(views.contains { $0 != photo.pixels.map { Float($0) * (1 / 255) } }, "\(operation)")
            XCTAssertTrue(views.joined().allSatisfy { $0 >= -1e-6 && $0 <= 1 + 1e-6 }, "\(operation)")
        }
    }

    // MARK: Mixing

    func testMixupAlgebra() {
        // MixMatch: a weight of 0.3 is turned round to 0.7; partners 2, 0, 1; x = 1, 2, 3.
        var x: [Float] = [1, 2, 3]
        let plan = MixPlan(weights: [0.7, 0.7, 0.7], partners: [2, 0, 1])
        plan.mix(&x)
        equal(x, [1.6, 1.7, 2.7])
        var targets = MixPlan.oneHot([0, 1, -1], classes: 2)
        XCTAssertEqual(targets, [1, 0, 0, 1, 0, 0])
        plan.mix(&targets)
        equal(targets, [0.7, 0, 0.3, 0.7, 0, 0.3])
    }

    func testMixupPlans() {
        let shared = MixPlan.mixup(count: 50, alpha: 0.75, largerStays: true, random: random)
        XCTAssertEqual(Set(shared.weights).count, 1)
        XCTAssertGreaterThanOrEqual(shared.weights[0], 0.5)
        XCTAssertEqual(shared.partners.sorted(), Array(0..<50))
        let own = MixPlan.mixup(count: 50, alpha: 1, perSample: true, random: random)
        XCTAssertGreaterThan(Set(own.weights).count, 40)
        XCTAssertTrue(own.weights.allSatisfy { (0...1).contains($0) })
        XCTAssertEqual(MixPlan.mixup(count: 3, alpha: 0, random: random).weights, [1, 1, 1])
    }

    func testCutMixWeightIsTheAreaLeft() {
        for seed in 0..<30 {
            var pixels = (0..<4).flatMap { [Float](repeating: Float($0), count: 8 * 6 * 3) }
            let plan = MixPlan.cutmix(
                &pixels, width: 8, height: 6, channels: 3, alpha: 1, random: RandomSource(seed: UInt64(seed)))
            for i in 0..<4 where plan.partners[i] != i {
                let own = pixels[(i * 144)..<(i * 144 + 144)].filter { $0 == Float(i) }.count
                XCTAssertEqual(Float(own) / 144, plan.weights[i], accuracy: 1e-6)
            }
        }
    }
}
