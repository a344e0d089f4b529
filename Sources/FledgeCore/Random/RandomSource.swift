import CFledgeKernels

/// A stream of random numbers that is a value: a key and a position.
///
/// Streams are split by name or by index, never shared, so that what one part of a program draws cannot shift what
/// another part sees. The data order of an epoch, the augmentation of one view of one sample and the initial weights
/// each have their own stream:
///
///     let root = RandomSource(seed: 7)
///     var view = root.stream("augment").at(epoch, sample, 1)
///     let flip = view.uniform() < 0.5
///
/// The state is two integers, so a checkpoint holds it exactly. Numbers come from Philox 4x32-10.
public struct RandomSource: RandomNumberGenerator, Codable, Sendable, Hashable {
    /// Identifies the stream.
    public let key: UInt64
    /// How many 64-bit words have been drawn.
    public private(set) var position: UInt64 = 0

    /// The root stream of a seed.
    public init(seed: UInt64) { key = seed }

    private init(key: UInt64) { self.key = key }

    /// The stream of that name below this one. Does not depend on how much was drawn from this one.
    public func stream(_ name: String) -> RandomSource {
        // FNV-1a, a fixed public hash: `Hasher` is seeded anew in every process.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return RandomSource(key: Self.derive(key, hash, salt: 1))
    }

    /// The stream at these indices below this one, such as (epoch, sample, view).
    public func at(_ indices: Int...) -> RandomSource {
        var derived = key
        for index in indices { derived = Self.derive(derived, UInt64(bitPattern: Int64(index)), salt: 2) }
        return RandomSource(key: derived)
    }

    /// A new key from a key and a word; names and indices use different salts so that they never meet.
    private static func derive(_ key: UInt64, _ word: UInt64, salt: UInt32) -> UInt64 {
        let w = Philox.block(
            counter: (UInt32(truncatingIfNeeded: word), UInt32(truncatingIfNeeded: word >> 32), salt, 0xF1ED_6E00),
            key: (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32)))
        return UInt64(w.0) | UInt64(w.1) << 32
    }

    /// The next 64 random bits.
    public mutating func next() -> UInt64 {
        let pair = Philox.words(index: position >> 1, key: key)
        defer { position &+= 1 }
        return position & 1 == 0 ? pair.0 : pair.1
    }

    /// A number of the half-open interval [0, 1), with 53 random bits.
    public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// A number of the half-open interval [low, high).
    public mutating func uniform(_ low: Double, _ high: Double) -> Double { low + (high - low) * uniform() }

    /// A whole number of 0..<count, each equally likely (Lemire's method with rejection). Stops for count < 1.
    public mutating func integer(below count: Int) -> Int {
        precondition(count > 0, "integer(below:) needs a positive count")
        return Int(next(upperBound: UInt64(count)))
    }

    /// A draw from the normal distribution of mean 0 and deviation 1 (Box and Muller; uses two words).
    public mutating func normal() -> Double {
        let u = 1 - uniform()
        let v = uniform()
        return (-2 * _log(u)).squareRoot() * _cos(2 * .pi * v)
    }

    /// `count` draws of `uniform(low, high)` into one of the arrays. For the engine's thread.
    mutating func fillUniform(
        _ low: Double, _ high: Double, _ floats: UnsafeMutablePointer<Float>?,
        _ doubles: UnsafeMutablePointer<Double>?, count: Int
    ) {
        fledge_fill_uniform(key, position, low, high - low, floats, doubles, Int64(count))
        position &+= UInt64(count)
    }

    /// `count` draws of mean + deviation * `normal()` into one of the arrays. For the engine's thread.
    mutating func fillNormal(
        _ mean: Double, _ deviation: Double, _ floats: UnsafeMutablePointer<Float>?,
        _ doubles: UnsafeMutablePointer<Double>?, count: Int
    ) {
        fledge_fill_normal(key, position, mean, deviation, floats, doubles, Int64(count))
        position &+= 2 * UInt64(count)
    }

    /// A draw from Gamma(shape, 1) (Marsaglia and Tsang 2000).
    public mutating func gamma(_ shape: Double) -> Double {
        if shape < 1 { return gamma(shape + 1) * _pow(1 - uniform(), 1 / shape) }
        let d = shape - 1.0 / 3
        let c = 1 / (9 * d).squareRoot()
        while true {
            let x = normal()
            let v = (1 + c * x) * (1 + c * x) * (1 + c * x)
            if v <= 0 { continue }
            if _log(1 - uniform()) < 0.5 * x * x + d - d * v + d * _log(v) { return d * v }
        }
    }

    /// A draw from Beta(a, b), as mixup uses it.
    public mutating func beta(_ a: Double, _ b: Double) -> Double {
        let x = gamma(a)
        let y = gamma(b)
        return x + y > 0 ? x / (x + y) : 0.5
    }

    /// The numbers 0..<count in random order (Fisher and Yates).
    public mutating func permutation(_ count: Int) -> [Int] {
        var order = Array(0..<count)
        for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, integer(below: i + 1)) }
        return order
    }
}
