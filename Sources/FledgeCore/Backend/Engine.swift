import CFledgeKernels

/// Facts about the engine of this process.
public enum Engine {
    /// How many threads compute. Some results depend on it in the last bit.
    public static var threads: Int {
        get { CPUBackend.threads }
        set { CPUBackend.threads = newValue }
    }
    /// The instruction set of the kernels: "base", "avx2" or "avx512".
    public static var instructionSet: String { String(cString: fledge_isa_name()) }
    /// The version of oneDNN that was loaded.
    public static var oneDNNVersion: String { OneDNN.version }
    /// The widest instruction set that oneDNN uses here.
    public static var oneDNNInstructionSet: String { OneDNN.maxISA }
    /// Whether products of bfloat16 run on native instructions.
    public static var hasBFloat16: Bool { OneDNN.hasBFloat16 }

    /// The precision of products now.
    public private(set) nonisolated(unsafe) static var precision = Precision.float32

    /// Whether the product [m, k] · [k, n] of `cpu` rounds its factors now. That is a pass over both, which smaller
    /// products do not win back.
    static func roundsProduct(_ m: Int, _ n: Int, _ k: Int) -> Bool {
        precision == .bfloat16 && hasBFloat16 && min(m, n, k) >= 32 && m * n * k >= 1 << 19
    }

    /// Runs `body`, and the backward pass if it is inside, with products of this precision on the device `cpu`. Where
    /// the processor lacks bfloat16 (`hasBFloat16`), products stay in float32.
    public static func withPrecision<R>(_ precision: Precision, _ body: () throws -> R) rethrows -> R {
        let before = self.precision
        self.precision = precision
        defer { self.precision = before }
        return try body()
    }
}

/// What the factors of large products and of direct convolutions are rounded to before they are multiplied. Sums are in
/// float32 either way, and so are weights, activations, norms and losses: mixed precision (Micikevicius et al. 2018),
/// without a factor for the loss, since bfloat16 has float32's range. What the gradients of linear layers, of layer norm and
/// of gelu keep of the forward pass is rounded as well.
public enum Precision: String, Codable, Sendable, CaseIterable { case float32, bfloat16 }
