import FledgeCore
import FledgeNN

/// The newest vectors of past batches, first in, first out: the negatives of MoCo, more samples for SwAV's codes. A part
/// of the state: a checkpoint holds it.
final class FeatureQueue: Module {
    /// [capacity, D]; zero where nothing was put yet.
    private let vectors: Buffer
    /// int64 scalars: where the next vector goes, and how many there are.
    private let next: Buffer
    private let filled: Buffer

    init(capacity: Int, width: Int) {
        vectors = Buffer(.zeros([capacity, width]))
        next = Buffer(Tensor([0], shape: []))
        filled = Buffer(Tensor([0], shape: []))
    }

    var capacity: Int { vectors.shape[0] }
    var count: Int { Int(filled.value.item()) }
    /// [count, D]. Any order.
    var contents: Tensor { vectors.value[0..<count] }

    /// Takes [B, D] in, in the place of the oldest. Of more than `capacity`, only the last are kept.
    func enqueue(_ batch: Tensor) {
        let batch = batch.detached()
        let some = batch.shape[0] > capacity ? batch[(batch.shape[0] - capacity)...] : batch
        let start = Int(next.value.item()), size = some.shape[0]
        vectors.setRows(at: (start..<start + size).map { $0 % capacity }, to: some)
        next.value = Tensor([(start + size) % capacity], shape: [])
        filled.value = Tensor([Swift.min(count + size, capacity)], shape: [])
    }
}
