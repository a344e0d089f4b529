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
}
