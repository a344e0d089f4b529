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

    static let all: [BenchWorkload] = training + rounded + inference + operations + withGradients

    /// Trainings once more, with products of bfloat16.
    private static let rounded = training.filter {
        ["resnet18-train", "transformer-train", "vit-train"].contains($0.name)
    }
    .map { workload in
        BenchWorkload("\(workload.name)-bf16", "\(workload.summary); products in bfloat16") {
            let step = workload.prepare()
            return { Engine.withPrecision(.bfloat16, step) }
        }
    }

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
        BenchWorkload(
            "simclr-train", "SimCLR: small-conv and a projection, two views of 256 images of 32 pixels, AdamW"
        ) {
            var random = RandomSource(seed: 0)
            let network = SmallConv(random: &random)
            let projection = Sequential(
                Linear(network.featureCount, 256, random: &random), ReLU(), Linear(256, 128, random: &random))
            let views = Tensor.normal([512, 32, 32, 3], random: &random)
            let optimizer = Optimizer(
                AdamW(), for: Sequential(network, projection), learningRate: 1e-3, weightDecay: 0.01)
            return {
                train(optimizer) {
                    let z = projection(network(views))
                    return ntXent(z[0..<256], z[256...], temperature: 0.5)
                }
            }
        },
        BenchWorkload("vit-train", "ViT-tiny, 64 images of 32 pixels in patches of 4, AdamW") {
            var random = RandomSource(seed: 0)
            let network = VisionTransformer(.tiny, image: (32, 32), patch: 4, classes: 10, random: &random)
            let images = Tensor.normal([64, 32, 32, 3], random: &random)
            let labels = Tensor((0..<64).map { $0 % 10 }, shape: [64])
            let optimizer = Optimizer(AdamW(), for: network, learningRate: 1e-3, weightDecay: 0.05)
            return { train(optimizer) { crossEntropy(network.head!(network(images)), labels) } }
        },
        BenchWorkload(
            "mae-train", "masked autoencoder: ViT-tiny on a quarter of 64 patches, two decoder blocks; 64 images, AdamW"
        ) {
            var random = RandomSource(seed: 0)
            let network = VisionTransformer(.tiny, image: (32, 32), patch: 4, random: &random)
            let decoder = PatchDecoder(
                network.featureCount, width: 96, blocks: 2, grid: (8, 8), outputs: 48, random: &random)
            let images = Tensor.normal([64, 32, 32, 3], random: &random)
            let parameters = network.parameters() + decoder.parameters().map { Named("decoder." + $0.name, $0.item) }
            let optimizer = Optimizer(
                AdamW(), groups: ParameterGroup.decaying(parameters, weightDecay: 0.05), learningRate: 1e-3)
            var masks = random.stream("mask")
            return {
                train(optimizer) {
                    let mask = PatchMask(batch: 64, patches: 64, ratio: 0.75, random: &masks)
                    let predicted = decoder(network.tokens(images, visible: mask.visible), mask)
                    return maskedPatchLoss(predicted, patches(of: images, side: 4), mask: mask.mask, normalized: true)
                }
            }
        },
        BenchWorkload(
            "gru-train", "a gated recurrent unit of width 256, 32 sequences of 64 steps of 128 numbers, AdamW"
        ) {
            var random = RandomSource(seed: 0)
            let network = GRU(RecurrentSize(128, hidden: 256), random: &random)
            let x = Tensor.normal([32, 64, 128], random: &random)
            let optimizer = Optimizer(AdamW(), for: network, learningRate: 1e-3, weightDecay: 0.01)
            return { train(optimizer) { network(x).output.square().mean() } }
        },
        BenchWorkload(
            "capsule-routing", "64 samples of 288 capsules of 8 numbers to 10 of 16, routed three times, SGD"
        ) {
            var random = RandomSource(seed: 0)
            let weight = Parameter(.normal([288, 8, 160], deviation: 0.05, random: &random))
            let x = Tensor.normal([288, 64, 8], random: &random)
            let optimizer = Optimizer(
                SGD(), groups: [ParameterGroup([Named("weight", weight)])], learningRate: 0.01)
            return {
                train(optimizer) {
                    let votes = x.matmul(weight.value).reshaped([288, 64, 10, 16]).permuted([1, 0, 2, 3])
                    let capsules = dynamicRouting(votes)
                    return capsules.square().sum(axis: 2).mean()
                }
            }
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

    private static let inference = [1, 32].map { batch in
        BenchWorkload("resnet50-infer-\(batch)", "ResNet-50 on \(batch) of 224 pixels, without gradients") {
            var random = RandomSource(seed: 0)
            let network = ResNet(.layers50, stem: .large, classes: 1000, random: &random)
            network.eval()
            let images = Tensor.normal([batch, 224, 224, 3], random: &random)
            return { noGradient { _ = network.fc!(network(images)) } }
        }
    }

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
        operation("gelu", "GELU of [4096, 1024]", [4096, 1024]) { x, _ in x.gelu() },
        operation("softmax", "softmax of [4096, 1024] along rows", [4096, 1024]) { x, _ in x.softmax() },
        operation("layer-norm", "layer norm of [4096, 1024] along rows", [4096, 1024]) { x, _ in x.layerNorm() },
        operation("sum", "sum of [4096, 1024] over rows", [4096, 1024]) { x, _ in x.sum(axis: 0) },
        operation("max", "maximum of [4096, 1024] along rows", [4096, 1024]) { x, _ in x.max(axis: 1) },
        BenchWorkload("gather", "16,384 of 32,768 rows of 256 numbers") {
            var random = RandomSource(seed: 0)
            let x = Tensor.normal([32768, 256], random: &random)
            let rows = Tensor((0..<16384).map { $0 * 7919 % 32768 }, shape: [16384])
            return { noGradient { _ = x.indexSelect(axis: 0, rows) } }
        },
        BenchWorkload("scatter", "16,384 rows of 256 numbers added into 32,768") {
            var random = RandomSource(seed: 0)
            let x = Tensor.normal([16384, 256], random: &random)
            let rows = Tensor((0..<16384).map { $0 * 7919 % 32768 }, shape: [16384])
            return { noGradient { _ = x.indexAdd(axis: 0, rows, count: 32768) } }
        },
        BenchWorkload("adamw", "an update of 12 million parameters") {
            var random = RandomSource(seed: 0)
            let parameters = (0..<12).map { Parameter(.normal([1024, 1024 + $0], random: &random)) }
            for parameter in parameters { parameter.gradient = .normal(parameter.value.shape, random: &random) }
            let group = ParameterGroup(parameters.enumerated().map { Named("\($0)", $1) })
            let optimizer = Optimizer(AdamW(), groups: [group], learningRate: 1e-4)
            return { optimizer.step() }
        },
    ]

    private static let withGradients = [
        gradient("batch-norm", "batch norm with ReLU of 64 x 32 x 32 x 64 and its gradients", [64, 32, 32, 64], [64]) {
            $0.batchNorm(weight: $1, bias: $1, relu: true).y.sum()
        },
        gradient("cross-entropy", "cross-entropy of 4,096 samples of 1,000 classes and its gradient", [4096, 1000]) {
            crossEntropy($0, $1)
        },
    ]

    /// One operation and the gradients of its inputs, the second one being labels where it has no shape.
    private static func gradient(
        _ name: String, _ summary: String, _ a: [Int], _ b: [Int]? = nil,
        _ body: @escaping @Sendable (Tensor, Tensor) -> Tensor
    ) -> BenchWorkload {
        BenchWorkload(name, summary) {
            var random = RandomSource(seed: 0)
            let x = Tensor.normal(a, random: &random).requiringGradient()
            let labels = Tensor((0..<a[0]).map { $0 % a[1] }, shape: [a[0]])
            let other = b.map { Tensor.normal($0, random: &random).requiringGradient() }
            return { _ = gradients(of: body(x, other ?? labels), for: [x] + (other.map { [$0] } ?? [])) }
        }
    }

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
