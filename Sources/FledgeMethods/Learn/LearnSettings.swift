import FledgeTrain

/// The settings of `fledge learn`. Zeros and `auto` mean: chosen from the data, and said in the recipe.
public struct LearnSettings: Settings {
    public enum Choice: String, Codable, Sendable, CaseIterable { case auto, yes, no }
    public enum Subject: String, Codable, Sendable, CaseIterable { case auto, things, signs, other }

    public var labelsPerClass: Int?
    public var seed = 0
    public var minutes = 0.0
    public var model = "auto"
    public var imageSize = 0
    public var flip = Choice.auto
    public var subject = Subject.auto
    public var workers = 1
    public var supervised = Supervised.Config()
    public var pretraining = SimCLR.Config()
    public var learning = FixMatch.Config()

    public init() {
        // Sized from the data unless set; see `Recipe`.
        (supervised.training.steps, supervised.training.epochs) = (0, 0)
        (pretraining.training.steps, pretraining.training.epochs) = (0, 0)
        (learning.training.steps, learning.training.epochs) = (0, 0)
        // Half the batch and a sharper comparison reach the same features in half the time on a CPU.
        pretraining.batchSize = 128
        pretraining.temperature = 0.2
        // What was learned before is to be refined, not undone.
        learning.training.learningRate = 1e-3
    }

    public static let meanings = [
        "labelsPerClass": "how many labels of each class of the training split are used; none means all that there are",
        "seed": "decides which labels, the starting weights, the order of the data and the augmentation",
        "minutes":
            "time for all training together; 0 takes the steps that suit the data. Results then depend on the machine's speed",
        "model": "the network, of `fledge models`, or auto",
        "imageSize": "side that pictures are brought to; 0: their own up to 64 pixels",
        "flip": "whether a mirrored picture keeps its class; auto: yes for colour, no for grey pictures",
        "subject":
            "what grey pictures show, or colour ones that are not mirrored: the views suit things or signs, or are left as they are set (other); auto: things where mirrored pictures look like others",
        "workers": "threads that prepare each stream of batches",
    ]

    public static let ranges: [String: SettingRange] = [
        "labelsPerClass": .atLeast(1), "seed": .atLeast(0), "minutes": .atLeast(0), "imageSize": .within(0...1024),
        "workers": .within(0...64),
    ]
}
