import FledgeCore
import FledgeNN

/// Weights from safetensors files, as PyTorch, torchvision, timm and Hugging Face name them.
public enum PretrainedWeights {
    /// What torchvision's and timm's classifiers are called.
    static let classifierPrefixes = ["fc.", "head."]

    /// Reads a file, or the index of a sharded one, into a module. Numbers of another precision are converted.
    ///
    /// Names and shapes must agree exactly, but for `num_batches_tracked` of batch norms, a counter that files may
    /// leave out and networks may lack.
    ///
    /// - Parameter withClassifier: whether the classifier, `fc.*` or `head.*`, counts too. When not, the file's is not
    ///   read and the module's keeps its values: for features only, or to learn other classes.
    /// - Throws: `ModelError.weights` with the full name of every missing, unexpected and misshapen tensor, and
    ///   `SafetensorsError` for a file that cannot be read. Then nothing was changed.
    public static func load(_ path: String, into module: some Module, withClassifier: Bool = true) throws {
        let file = try SafetensorsFile(path)
        let current = module.state()
        func isClassifier(_ name: String) -> Bool { classifierPrefixes.contains { name.hasPrefix($0) } }
        func isCounter(_ name: String) -> Bool { name.split(separator: ".").last == "num_batches_tracked" }

        var state: [String: Tensor] = [:]
        for name in file.names {
            if !withClassifier && isClassifier(name) || isCounter(name) && current[name] == nil { continue }
            state[name] = try file.tensor(name)
        }
        for (name, tensor) in current where state[name] == nil {
            if !withClassifier && isClassifier(name) || isCounter(name) { state[name] = tensor }
        }
        do {
            try module.load(state)
        } catch {
            throw ModelError.weights(file: path, mismatch: error)
        }
    }
}
