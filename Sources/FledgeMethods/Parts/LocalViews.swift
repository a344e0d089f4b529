import FledgeData

extension LearningContext {
    /// The small crops of multi-crop (Caron et al. 2020, section 3.2), scaled to the network's input so that every
    /// network takes them. Rows of numbers get larger holes instead.
    /// - Parameter scale: the largest share of the area that a crop keeps.
    func localViews(_ settings: ViewSettings, count: Int, scale: Double) -> [Augmentation] {
        guard count > 0 else { return [] }
        guard input.isImage else { return Array(repeating: strongView(cutout: 1), count: count) }
        var view = randomViews(settings)[0]
        view.steps = view.steps.map { step in
            guard case .randomResizedCrop(let width, let height, _, let ratio) = step else { return step }
            let least = min(settings.cropScale, scale) / 2
            return .randomResizedCrop(width: width, height: height, scale: least...scale, ratio: ratio)
        }
        return Array(repeating: view, count: count)
    }
}
