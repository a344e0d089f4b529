import FledgeCore
import FledgeNN
import FledgeTesting
import XCTest

private final class TwoTensors: Module {
    let weight = Parameter(wave([3, 4]))
    let bias = Parameter(wave([4], offset: 1.1))

    func setGradients(_ step: Int) {
        let amplitude = 0.5 + 0.1 * Double(step)
        for (parameter, offset) in [(weight, 0.5), (bias, 2.0)] {
            let gradient = wave(parameter.shape, offset: offset + Double(step), amplitude: amplitude)
            parameter.gradient = gradient.cast(to: parameter.value.dtype).to(parameter.value.device)
        }
    }
}

final class OptimizerTests: XCTestCase {
    private struct File: Decodable {
        let trajectories: [String: [[String: [Double]]]]
        let schedules: [String: [Double]]
    }

    private let cases: [(name: String, rule: any UpdateRule, rate: Double, decay: Double)] = [
        ("sgd", SGD(), 0.1, 0),
        ("sgd decay", SGD(), 0.1, 0.1),
        ("sgd momentum", SGD(momentum: 0.9), 0.1, 0.01),
        ("sgd dampening", SGD(momentum: 0.8, dampening: 0.4), 0.1, 0),
        ("sgd nesterov", SGD(momentum: 0.9, nesterov: true), 0.1, 0.05),
        ("rmsprop", RMSprop(), 0.02, 0.1),
        ("rmsprop centred", RMSprop(smoothing: 0.9, epsilon: 1e-3, momentum: 0.7, centred: true), 0.02, 0),
        ("adam", Adam(), 0.05, 0),
        ("adam decay", Adam(beta1: 0.8, beta2: 0.95, epsilon: 1e-4), 0.05, 0.1),
        ("adamw", AdamW(), 0.05, 0.1),
        ("lars", LARS(trust: 0.02), 2, 0.1),
        ("lars vectors", LARS(trust: 0.02, scalesVectors: true), 2, 0),
        ("lamb", LAMB(), 0.05, 0.1),
        ("lamb vectors", LAMB(scalesVectors: true), 0.05, 0.1),
    ]

    private func rate(_ base: Double, _ step: Int) -> Double { step < 3 ? base : 0.3 * base }

    func testTrajectoriesFollowPyTorch() throws {
        let file: File = try golden("optimizers")
        XCTAssertEqual(Set(file.trajectories.keys), Set(cases.map(\.name)))
        for (name, rule, base, decay) in cases {
            for (device, dtype, tolerance) in [(Device.reference, DType.float64, 1e-12), (.cpu, .float32, 2e-5)] {
                let model = TwoTensors()
                model.convert(to: dtype, device: device)
                let optimizer = Optimizer(rule, for: model, learningRate: base, weightDecay: decay)
                for (step, expected) in file.trajectories[name]!.enumerated() {
                    optimizer.learningRate = rate(base, step)
                    model.setGradients(step)
                    optimizer.step()
                    for parameter in model.parameters() {
                        let wanted = Tensor(float64: expected[parameter.name]!, shape: parameter.item.shape)
                        XCTAssertLessThan(
                            largestDifference(parameter.item.value, wanted)!, tolerance,
                            "\(name), \(parameter.name), step \(step), \(dtype) on \(device)")
                    }
                }
            }
        }
    }

    func testStateContinuesExactly() throws {
        for (name, rule, base, decay) in cases {
            for (device, dtype) in [(Device.reference, DType.float64), (.cpu, .float32)] {
                func make() -> (TwoTensors, Optimizer) {
                    let model = TwoTensors()
                    model.convert(to: dtype, device: device)
                    return (model, Optimizer(rule, for: model, learningRate: base, weightDecay: decay))
                }
                func run(_ pair: (TwoTensors, Optimizer), _ steps: Range<Int>) {
                    for step in steps {
                        pair.0.setGradients(step)
                        pair.1.step()
                    }
                }
                let whole = make()
                run(whole, 0..<6)
                let first = make()
                run(first, 0..<3)
                let saved = (first.0.state(), first.1.state())
                run(first, 3..<4)  // must not reach what was saved
                let second = make()
                try second.0.load(saved.0)
                try second.1.load(saved.1)
                run(second, 3..<6)
                XCTAssertEqual(second.0.weight.value.doubles(), whole.0.weight.value.doubles(), "\(name) \(dtype)")
                XCTAssertEqual(second.0.bias.value.doubles(), whole.0.bias.value.doubles(), "\(name) \(dtype)")
            }
        }
    }

    func testLoadingStateNamesWhatIsWrong() {
        let model = TwoTensors()
        let optimizer = Optimizer(Adam(), for: model, learningRate: 0.1)
        model.setGradients(0)
        optimizer.step()
        let before = optimizer.state().mapValues { $0.doubles() }
        var state = optimizer.state()
        XCTAssertEqual(
            Set(state.keys),
            [
                "weight.mean", "weight.square_mean", "weight.updates", "bias.mean", "bias.square_mean", "bias.updates",
            ])
        state["weight.mean"] = nil
        state["bias.mean"] = .zeros([5])
        state["bias.momentum"] = .zeros([4])
        XCTAssertThrowsError(try optimizer.load(state)) { error in
            let mismatch = error as! StateMismatch
            XCTAssertEqual(mismatch.missing, ["weight.mean"])
            XCTAssertEqual(mismatch.misshapen.map(\.name), ["bias.mean"])
            XCTAssertEqual(mismatch.unexpected, ["bias.momentum"])
        }
        XCTAssertEqual(optimizer.state().mapValues { $0.doubles() }, before)
    }

    func testStepsWriteInPlaceWhenNobodyLooks() {
        var random = RandomSource(seed: 1)
        let model = Linear(64, 64, random: &random)
        let optimizer = Optimizer(AdamW(), for: model, learningRate: 0.1)
        func step() {
            model.weight.gradient = .ones([64, 64])
            optimizer.step()
            model.clearGradients()
        }
        step()
        func address() -> UInt { model.weight.value.withBytes { UInt(bitPattern: $0.baseAddress) } }
        let before = address()
        step()
        XCTAssertEqual(address(), before, "the same memory, as nothing else holds it")
        let snapshot = model.weight.value
        let values = snapshot.floats()
        step()
        XCTAssertNotEqual(address(), before)
        XCTAssertEqual(snapshot.floats(), values)
    }

    func testGroups() {
        let model = TwoTensors()
        let groups = ParameterGroup.decaying(model.parameters(), weightDecay: 0.5, rateMultiplier: 0.1)
        XCTAssertEqual(groups.map { $0.parameters.map(\.name) }, [["weight"], ["bias"]])
        let optimizer = Optimizer(SGD(), groups: groups, learningRate: 1)
        let before = (model.weight.value.doubles(), model.bias.value.doubles())
        model.weight.gradient = .zeros(like: model.weight.value.detached())
        model.bias.gradient = .zeros(like: model.bias.value.detached())
        optimizer.step()
        for (after, start) in zip(model.weight.value.doubles(), before.0) {
            XCTAssertEqual(after, start * (1 - 0.1 * 0.5), accuracy: 1e-12)
        }
        XCTAssertEqual(model.bias.value.doubles(), before.1)
    }

    /// A group that is not scheduled moves at its own rate when the schedule has come to nothing.
    func testUnscheduledGroup() {
        let model = TwoTensors()
        let (weight, bias) = (model.parameters()[0], model.parameters()[1])
        let optimizer = Optimizer(
            SGD(),
            groups: [ParameterGroup([weight]), ParameterGroup([bias], rateMultiplier: 0.5, isScheduled: false)],
            learningRate: 0.2)
        let before = (model.weight.value.doubles(), model.bias.value.doubles())
        model.setGradients(0)
        let gradient = model.bias.gradient!.doubles()
        optimizer.learningRate = 0
        optimizer.step()
        XCTAssertEqual(model.weight.value.doubles(), before.0)
        for (after, (start, g)) in zip(model.bias.value.doubles(), zip(before.1, gradient)) {
            XCTAssertEqual(after, start - 0.1 * g, accuracy: 1e-6)
        }
        optimizer.constantRate = 0
        let rested = model.bias.value.doubles()
        optimizer.step()
        XCTAssertEqual(model.bias.value.doubles(), rested)
    }

    func testClipping() {
        let model = TwoTensors()
        model.setGradients(0)
        let parameters = model.parameters()
        let gradients = parameters.map { $0.item.gradient!.doubles() }
        let norm = gradients.joined().reduce(0) { $0 + $1 * $1 }.squareRoot()
        XCTAssertEqual(clipGradients(of: parameters, norm: 100), norm, accuracy: 1e-12)
        XCTAssertEqual(parameters.map { $0.item.gradient!.doubles() }, gradients, "below the limit nothing changes")
        XCTAssertEqual(clipGradients(of: parameters, norm: 0.5), norm, accuracy: 1e-12)
        XCTAssertEqual(gradientNorm(of: parameters), 0.5, accuracy: 1e-6)
        XCTAssertEqual(model.weight.gradient!.doubles()[3] / gradients[0][3], 0.5 / (norm + 1e-6), accuracy: 1e-12)
        model.setGradients(0)
        XCTAssertEqual(clipGradients(of: parameters, value: 0.3), norm, accuracy: 1e-12)
        XCTAssertEqual(
            model.weight.gradient!.doubles(), gradients[0].map { Swift.min(Swift.max($0, -0.3), 0.3) })
        model.bias.gradient = .full([4], .nan, dtype: .float64, device: .reference)
        XCTAssertTrue(clipGradients(of: parameters, norm: 1).isNaN)
    }

    func testExponentialMovingAverage() throws {
        for dtype in [DType.float32, .float64] {
            let model = Sequential(BatchNorm(2))
            model.convert(to: dtype, device: dtype == .float32 ? .cpu : .reference)
            let norm = model[0] as! BatchNorm
            let average = ExponentialMovingAverage(of: model, decay: 0.9)
            for value in [2.0, 3] {
                norm.weight!.value = norm.weight!.value.detached() * 0 + value
                norm.runningMean.value = norm.runningMean.value * 0 + value
                average.update()
            }
            // From 1 over 2 and 3 with decay 0.9.
            XCTAssertEqual(average.state()["0.weight"]!.doubles()[0], 1.29, accuracy: 1e-6)
            XCTAssertEqual(average.state()["0.running_mean"]!.doubles(), [3, 3])
            XCTAssertEqual(average.state()["updates"]!.ints(), [2])
            let seen = average.withAverages { norm.weight!.value.doubles()[1] }
            XCTAssertEqual(seen, 1.29, accuracy: 1e-6)
            XCTAssertEqual(norm.weight!.value.doubles(), [3, 3])

            let saved = average.state()
            let other = ExponentialMovingAverage(of: model, decay: 0.9)
            try other.load(saved)
            average.update()
            other.update()
            XCTAssertEqual(other.state()["0.weight"]!.doubles(), average.state()["0.weight"]!.doubles())
            XCTAssertEqual(saved["0.weight"]!.doubles()[0], 1.29, accuracy: 1e-6)
            XCTAssertThrowsError(try other.load(["0.weight": .zeros([3])]))

            let teacher = Sequential(BatchNorm(2))
            teacher.convert(to: dtype, device: dtype == .float32 ? .cpu : .reference)
            teacher.follow(model, decay: 0.75)
            XCTAssertEqual(teacher.state()["0.weight"]!.doubles(), [1.5, 1.5])
            XCTAssertEqual(teacher.state()["0.running_mean"]!.doubles(), [0, 0], "statistics are its own")
        }
        let warming = Sequential(BatchNorm(1))
        let average = ExponentialMovingAverage(of: warming, decay: 0.99, warmsUp: true)
        (warming[0] as! BatchNorm).weight!.value = Tensor([2] as [Float])
        average.update()
        XCTAssertEqual(average.state()["0.weight"]!.item(), 0.1 * 1 + 0.9 * 2, accuracy: 1e-6)
    }

    func testSchedulesFollowPyTorch() throws {
        let schedules: [String: Schedule] = [
            "constant": .constant(0.3),
            "step": .step(0.3, every: 3, factor: 0.5),
            "multiStep": .multiStep(0.3, milestones: [2, 5], factor: 0.1),
            "cosine": .cosine(0.3, to: 0.02, steps: 10),
            "polynomial": .polynomial(0.3, power: 2, steps: 8),
            "linear": .polynomial(0.3, steps: 8),
            "oneCycle": .oneCycle(peak: 0.5, steps: 20),
            "oneCycle other": .oneCycle(peak: 0.5, steps: 13, warm: 0.5, startDivisor: 10, endDivisor: 100),
            "warmUp cosine": .warmUp(steps: 4, start: 0.1, then: .cosine(0.3, steps: 6)),
        ]
        let file: File = try golden("optimizers")
        XCTAssertEqual(Set(file.schedules.keys), Set(schedules.keys))
        for (name, schedule) in schedules {
            for (step, expected) in file.schedules[name]!.enumerated() {
                XCTAssertEqual(schedule(step), expected, accuracy: 1e-12, "\(name) at \(step)")
            }
            XCTAssertEqual(try JSONDecoder().decode(Schedule.self, from: JSONEncoder().encode(schedule)), schedule)
        }
        XCTAssertEqual(Schedule.cosine(1, to: 0.1, steps: 10)(50), 0.1)
        XCTAssertEqual(
            Schedule.fixMatchCosine(0.03, steps: 100)(100), 0.03 * cos(7 * Double.pi / 16), accuracy: 1e-15)
    }

    func testTrainingKeepsNothingAlive() {
        var random = RandomSource(seed: 1)
        let model = Sequential(Linear(3, 8, random: &random), BatchNorm(8), ReLU(), Linear(8, 2, random: &random))
        let optimizer = Optimizer(SGD(momentum: 0.9), for: model, learningRate: 0.01)
        let average = ExponentialMovingAverage(of: model, decay: 0.9)
        let x = Tensor.normal([6, 3], random: &random)
        func step() {
            model(x).square().mean().backward()
            clipGradients(of: optimizer.parameters, norm: 1)
            optimizer.step()
            optimizer.clearGradients()
            average.update()
        }
        for _ in 0..<3 { step() }
        let before = (Autograd.liveNodeCount, Storage.liveCount)
        for _ in 0..<100 { step() }
        XCTAssertEqual(Autograd.liveNodeCount, before.0)
        XCTAssertEqual(Storage.liveCount, before.1)
    }
}
