import FledgeNN

extension Module {
    /// Runs `body` with batch normalisation using the batch's statistics and leaving the running ones alone: for passes
    /// over samples that do not look like those that will be classified one day.
    func withoutStatistics<Result>(_ body: () throws -> Result) rethrows -> Result {
        let norms = modules().compactMap { $0.item as? BatchNorm }
        let before = norms.map(\.updatesStatistics)
        for norm in norms { norm.updatesStatistics = false }
        defer { for (norm, updates) in zip(norms, before) { norm.updatesStatistics = updates } }
        return try body()
    }
}
