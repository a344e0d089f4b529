import FledgeCore
import FledgeData
import FledgeNN

/// The look at labelled samples that training does not see. Changes nothing: interrupted and done again, it says the
/// same.
struct Validation {
    private let task: any ClassifyingTask
    private let loader: Loader

    /// - Parameter data: at least one sample in `validation`.
    init(_ task: any ClassifyingTask, _ data: TrainingData, batchSize: Int, workers: Int) {
        self.task = task
        loader = Loader(
            data.dataset, indices: data.validation, batchSize: min(batchSize, data.validation.count),
            views: [data.input.plainView], seed: 0, shuffle: false, remainder: .keep, workers: workers)
    }

    /// Mean cross-entropy and accuracy, as the numbers of a step.
    /// - Throws: what reading samples throws.
    func measure() throws -> [(String, Double)] {
        task.eval()
        defer { task.train() }
        var loss = 0.0, right = 0.0, count = 0.0
        let stream = loader.epoch(0)
        while let batch = try stream.next().map(TrainingBatch.init) {
            let size = Double(batch.indices.count)
            noGradient {
                let logits = task.logits(batch.views[0])
                loss += crossEntropy(logits, batch.labels).item() * size
                right += (logits.argmax() .== batch.labels).cast(to: .float32).sum().item()
            }
            count += size
        }
        return [("validation loss", loss / count), ("validation accuracy", right / count)]
    }
}
