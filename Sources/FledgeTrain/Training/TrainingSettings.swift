import FledgeCore
import FledgeNN

/// How weights are moved: what every trained method has in common.
public struct TrainingSettings: Settings {
    public enum OptimizerName: String, Codable, Sendable, CaseIterable { case sgd, adam, adamw, lars, lamb, rmsprop }
    public enum ScheduleName: String, Codable, Sendable, CaseIterable {
        case constant, cosine, step, polynomial, oneCycle = "one-cycle"
    }

    /// What happens when a loss or a gradient is no number. Nothing is ever updated with it.
    public enum NumericPolicy: String, Codable, Sendable, CaseIterable {
        case stop, skip, rollBack = "roll-back"
    }

    /// 0: as many as `epochs` make.
    public var steps = 0
    public var epochs = 10.0
    public var minutes = 0.0
    public var optimizer = OptimizerName.adamw
    public var learningRate = 1e-3
    public var momentum = 0.9
    public var weightDecay = 1e-4
    public var schedule = ScheduleName.cosine
    public var warmup = 0.0
    public var clipNorm = 0.0
    public var accumulation = 1
    public var precision = Precision.float32
    public var averaging = 0.0
    public var validationInterval = 0
    public var onNumericFailure = NumericPolicy.stop
    public var checkpoints = CheckpointSettings()

    public init() {}

    public static let meanings = [
        "steps": "updates of the weights; 0 means as many as `epochs` make",
        "epochs": "passes over the data, of the feed that has most of it, when `steps` is 0",
        "minutes":
            "stops after so many minutes, with the schedule fitted to them; 0 means no limit. Results then depend on the machine's speed",
        "optimizer": "how gradients become updates",
        "learningRate": "size of the updates at the top of the schedule",
        "momentum": "share of the last update that is kept (sgd, lars, rmsprop)",
        "weightDecay": "pull of the weights to zero; biases and norms are left out",
        "schedule": "how the learning rate falls",
        "warmup": "share of the steps in which the learning rate rises from zero",
        "clipNorm": "largest norm of the whole gradient; 0 means any",
        "accumulation": "batches whose gradients are averaged for one update",
        "precision":
            "what large products are computed in: float32, or bfloat16, which transformers train faster with on processors that have it",
        "averaging": "decay of the moving average of the weights that evaluation uses; 0 means none",
        "validationInterval":
            "updates between two looks at the validation samples, where there are any; 0 means a twentieth of the training",
        "onNumericFailure":
            "what happens when a loss or a gradient is no number: stop, skip the batch, or roll back to the last checkpoint and go on at half the learning rate",
    ]

    public static let ranges: [String: SettingRange] = [
        "steps": .atLeast(0), "epochs": .atLeast(0), "minutes": .atLeast(0), "learningRate": .atLeast(0),
        "momentum": .within(0..<1), "weightDecay": .atLeast(0), "warmup": .within(0..<1), "clipNorm": .atLeast(0),
        "accumulation": .atLeast(1), "averaging": .within(0..<1),
        "validationInterval": .atLeast(0),
    ]
}

/// When training is saved, and what is kept of it.
public struct CheckpointSettings: Settings {
    public enum Weights: String, Codable, Sendable, CaseIterable { case last, best }
    public enum FullDisk: String, Codable, Sendable, CaseIterable { case stop, pause }

    public var steps = 0
    public var minutes = 10.0
    public var keep = 2
    public var weights = Weights.last
    public var onFullDisk = FullDisk.stop

    public init() {}

    public static let meanings = [
        "steps": "saves after every so many updates; 0 saves by time only",
        "minutes": "saves after so many minutes; 0 saves by updates only. The end of a stage is always saved",
        "keep": "how many checkpoints of a stage are kept",
        "weights":
            "which weights a stage ends with: the last, or those of the saved step with the lowest loss: on the validation samples, or without any the mean training loss before it",
        "onFullDisk": "what happens when the disk is full: stop, or wait until there is space",
    ]

    public static let ranges: [String: SettingRange] = [
        "steps": .atLeast(0), "minutes": .atLeast(0), "keep": .within(2...1000),
    ]
}
