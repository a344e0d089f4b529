import FledgeCore
import Foundation

/// What `Golden/models.py` wrote: three networks as torchvision and timm have them, and what they make of two pictures.
struct GoldenModels: Decodable {
    struct Network: Decodable {
        let name: String
        /// Every tensor of PyTorch's state, in its order.
        let tensors: [NamedShape]
        /// One row for each input.
        let features, logits: [[Double]]
    }

    struct NamedShape: Decodable {
        let name: String
        let shape: [Int]
    }

    let inputs: [String]
    let models: [Network]

    static func read() throws -> GoldenModels {
        try JSONDecoder().decode(GoldenModels.self, from: Data(contentsOf: fixture("models.json")))
    }

    static func fixture(_ name: String) -> URL {
        Bundle.module.bundleURL.appendingPathComponent("Fixtures").appendingPathComponent(name)
    }

    func network(_ name: String) -> Network? { models.first { $0.name == name } }
}

extension GoldenModels.Network {
    /// The weights that PyTorch computed with, made by the same formula.
    func state() -> [String: Tensor] {
        Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, formulaWeights($0.name, $0.shape)) })
    }
}

/// The twin of `value` in `Golden/models.py`: numbers from the name of a tensor and the index, at a scale that suits.
func formulaWeights(_ name: String, _ shape: [Int]) -> Tensor {
    if name.hasSuffix("num_batches_tracked") { return Tensor([1000], shape: []) }
    let (offset, scale): (Double, Double)
    if name.hasSuffix("running_var") {
        (offset, scale) = (1, 0.5)
    } else if name.hasSuffix("running_mean") {
        (offset, scale) = (0, 0.2)
    } else if name == "cls_token" || name == "pos_embed" {
        (offset, scale) = (0, 0.5)
    } else if shape.count == 1 {
        (offset, scale) = name.hasSuffix("weight") ? (1, 0.3) : (0, 0.1)
    } else {
        (offset, scale) = (0, (6 / Double(shape.dropFirst().reduce(1, *))).squareRoot())
    }
    // FNV-1a of the name, a Weyl sequence, and the finaliser of MurmurHash3.
    let seed = name.utf8.reduce(UInt32(0x811C_9DC5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
    let count = shape.reduce(1, *)
    let values = [Float](unsafeUninitializedCapacity: count) { buffer, filled in
        for i in 0..<count {
            var x = UInt32(truncatingIfNeeded: i) &* 0x9E37_79B9 &+ seed
            x ^= x >> 16
            x &*= 0x85EB_CA6B
            x ^= x >> 13
            x &*= 0xC2B2_AE35
            x ^= x >> 16
            buffer[i] = Float(offset + scale * (Double(x) / 0x1p31 - 1))
        }
        filled = count
    }
    return Tensor(values, shape: shape)
}
