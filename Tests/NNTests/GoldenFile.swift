import FledgeCore
import Foundation
import XCTest

/// Reads a file of Tests/NNTests/Golden; the scripts in Golden/ make them.
func golden<T: Decodable>(_ name: String, as type: T.Type = T.self) throws -> T {
    let file = try XCTUnwrap(Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Golden"))
    return try JSONDecoder().decode(T.self, from: Data(contentsOf: file))
}

struct GoldenTensor: Decodable {
    let shape: [Int]
    let values: [Double]
    var tensor: Tensor { Tensor(float64: values, shape: shape, device: .reference) }
}
