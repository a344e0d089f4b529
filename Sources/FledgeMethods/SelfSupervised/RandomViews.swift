import FledgeCore
import FledgeData
import FledgeTrain

/// How the random views are made that a method compares.
public struct ViewSettings: Settings {
    public var cropScale = 0.2
    public var jitter = 0.5
    public var solarize = 0.0
    public var rotation = 0.0
    public var shear = 0.0

    public init() {}

    public static let meanings = [
        "cropScale": "smallest share of the area that a random crop keeps",
        "jitter": "strength of the colour jitter",
        "solarize":
            "share of the second of two views, or of the only one, whose bright levels are inverted, as in BYOL",
        "rotation": "largest turn of a view, in degrees; not in the papers, and good for letters and digits",
        "shear": "largest slant of a view, in degrees; likewise",
    ]

    public static let ranges: [String: SettingRange] = [
        "cropScale": .above(0, upTo: 1), "jitter": .within(0...1), "solarize": .within(0...1),
        "rotation": .within(0...180), "shear": .within(0...60),
    ]
}

extension LearningContext {
    /// Two random views of each sample, normalised. Rows of numbers get noise and holes in the place of crops and
    /// colours.
    func randomViews(_ settings: ViewSettings) -> [Augmentation] {
        guard input.isImage else { return [strongView, strongView] }
        var view = Augmentation.simclr(
            size: input.size, strength: settings.jitter, scale: settings.cropScale...1, flip: flip,
            grayscale: input.isColour)
        if settings.rotation > 0 { view.steps.append(.rotation(degrees: settings.rotation)) }
        if settings.shear > 0 { view.steps.append(.shear(degrees: settings.shear)) }
        var second = view
        if settings.solarize > 0 { second.steps.append(.solarize(probability: settings.solarize)) }
        return [input.normalized(view), input.normalized(second)]
    }

    /// The random view of methods that see one of each sample.
    func randomView(_ settings: ViewSettings) -> Augmentation { randomViews(settings)[1] }

    /// What cannot act in these views, for people.
    func deadAugmentations(_ views: [Augmentation]) -> [String] {
        let dead = input.isImage ? views.flatMap { $0.inactiveSteps(channels: input.channels) } : []
        return Set(dead).sorted().map { "the augmentation \($0) cannot change one-channel pictures" }
    }
}
