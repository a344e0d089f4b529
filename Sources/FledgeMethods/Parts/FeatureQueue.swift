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
        let head = Swift.min(size, capacity - start)
        vectors.value = noGradient {
            let all = vectors.value
            let kept: [Tensor] =
                head == size
                ? [all[0..<start], some, all[(start + size)...]]
                : [some[head...], all[(size - head)..<start], some[0..<head]]
            return concatenate(kept.filter { $0.shape[0] > 0 })
        }
        next.value = Tensor([(start + size) % capacity], shape: [])
        filled.value = Tensor([Swift.min(count + size, capacity)], shape: [])
    }
}
