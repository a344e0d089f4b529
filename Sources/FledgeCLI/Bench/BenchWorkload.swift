import Fledge

/// Something to time. The same table, name by name, is in `Benchmarks/pytorch.py`.
struct BenchWorkload: Sendable {
    let name: String
    let summary: String
    /// Makes networks and inputs, and returns the step that is timed.
    let prepare: @Sendable () -> () -> Void

    init(_ name: String, _ summary: String, prepare: @escaping @Sendable () -> () -> Void) {
        self.name = name
        self.summary = summary
        self.prepare = prepare
    }

    static let all: [BenchWorkload] = training + operations

    private static let training = [
        BenchWorkload("resnet18-train", "ResNet-18, 64 images of 32 pixels, SGD with momentum") {
            var random = RandomSource(seed: 0)
            let network = ResNet(.layers18, stem: .small, classes: 10, random: &random)
            let images = Tensor.normal([64, 32, 32, 3], random: &random)
            let labels = Tensor((0..<64).map { $0 % 10 }, shape: [64])
            let optimizer = Optimizer(SGD(momentum: 0.9), for: network, learningRate: 0.01)
            return {
                train(optimizer) { crossEntropy(network.fc!(network(images)), labels) }
            }
        },
        BenchWorkload(
            "transformer-train", "4 encoder layers of width 256, 4 heads, 1024 hidden; 32 x 128 positions, AdamW"
        ) {
            var random = RandomSource(seed: 0)
            let layers = Sequential(
                (0..<4).map { _ in
                    TransformerEncoderLayer(256, heads: 4, hidden: 1024, dropout: 0, activation: .gelu, random: &random)
                })
            let x = Tensor.normal([32, 128, 256], random: &random)
            let optimizer = Optimizer(AdamW(), for: layers, learningRate: 1e-4, weightDecay: 0.01)
            return { train(optimizer) { layers(x).square().mean() } }
        },
        BenchWorkload("small-conv-train", "the small-conv network, 256 images of 32 pixels, AdamW") {
            var random = RandomSource(seed: 0)
            let network = SmallConv(random: &random)
            let head = Linear(network.featureCount, 10, random: &random)
            let images = Tensor.normal([256, 32, 32, 3], random: &random)
            let labels = Tensor((0..<256).map { $0 % 10 }, shape: [256])
            let optimizer = Optimizer(AdamW(), for: Sequential(network, head), learningRate: 1e-3, weightDecay: 0.01)
            return { train(optimizer) { crossEntropy(head(network(images)), labels) } }
        },
        BenchWorkload("mlp-train", "64-128-10 perceptron, 32 samples, SGD: the cost of a small step") {
            var random = RandomSource(seed: 0)
            let (first, second) = (Linear(64, 128, random: &random), Linear(128, 10, random: &random))
            let x = Tensor.normal([32, 64], random: &random)
            let labels = Tensor((0..<32).map { $0 % 10 }, shape: [32])
            let optimizer = Optimizer(SGD(), for: Sequential(first, second), learningRate: 0.1)
            return { train(optimizer) { crossEntropy(second(first(x).relu()), labels) } }
        },
    ]

    private static func train(_ optimizer: Optimizer, _ loss: () -> Tensor) {
        loss().backward()
        optimizer.step()
        optimizer.clearGradients()
    }

    private static let operations = [
        operation("matmul", "[1024, 1024] times [1024, 1024]", [1024, 1024], [1024, 1024]) { $0.matmul($1) },
        operation("conv3x3", "3x3 convolution of 64 x 32 x 32 x 64 to 64 channels", [64, 32, 32, 64], [64, 64, 3, 3]) {
            $0.convolution2D($1, padding: (1, 1))
        },
        operation("add", "sum of two [4096, 1024]", [4096, 1024], [4096, 1024]) { $0 + $1 },
        operation("exp", "exponential of [4096, 1024]", [4096, 1024]) { x, _ in x.exp() },
        operation("softmax", "softmax of [4096, 1024] along rows", [4096, 1024]) { x, _ in x.softmax() },
        operation("layer-norm", "layer norm of [4096, 1024] along rows", [4096, 1024]) { x, _ in x.layerNorm() },
        operation("sum", "sum of [4096, 1024] over rows", [4096, 1024]) { x, _ in x.sum(axis: 0) },
    ]

    /// One operation without gradients on normal inputs; the second one is empty where it needs only one.
    private static func operation(
        _ name: String, _ summary: String, _ a: [Int], _ b: [Int] = [0],
        _ body: @escaping @Sendable (Tensor, Tensor) -> Tensor
    ) -> BenchWorkload {
        BenchWorkload(name, summary) {
            var random = RandomSource(seed: 0)
            let (a, b) = (Tensor.normal(a, random: &random), Tensor.normal(b, random: &random))
            return { noGradient { _ = body(a, b) } }
        }
    }
}
