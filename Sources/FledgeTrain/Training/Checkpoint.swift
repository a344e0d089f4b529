import FledgeCore
import Foundation

extension RunFolder {
    /// Writes all that `Trainer.load` needs to continue into `checkpoints/STAGE-STEP.safetensors`, and removes all but
    /// the last two of that stage.
    public func saveCheckpoint(of trainer: Trainer, stage: String) throws {
        let number = String(trainer.step)
        let padded = String(repeating: "0", count: max(0, 8 - number.count)) + number
        try Safetensors.save(trainer.state(), to: "\(checkpointsPath)/\(stage)-\(padded).safetensors")
        for old in try checkpoints(stage: stage).dropLast(2) { try FileManager.default.removeItem(atPath: old) }
    }

    /// The checkpoints of a stage, the oldest first.
    public func checkpoints(stage: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: checkpointsPath)
            .filter { $0.hasPrefix(stage + "-") && $0.hasSuffix(".safetensors") }
            .sorted().map { "\(checkpointsPath)/\($0)" }
    }
}
