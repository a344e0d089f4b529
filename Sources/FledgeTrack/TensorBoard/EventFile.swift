import Foundation

/// The bytes of a TensorBoard event file: TFRecord frames (length, masked CRC-32C of it, content, masked CRC-32C of
/// that) around `tensorflow.Event` messages, written by hand; field numbers from tensorboard's `event.proto`,
/// `summary.proto` and `tensor.proto`.
public struct EventFile {
    public private(set) var bytes: [UInt8] = []

    /// Begins a file, with the event that tells its version.
    /// - Parameter time: seconds since 1970.
    public init(time: Double) {
        var event = ProtocolBuffer()
        event.double(1, time)
        event.text(3, "brain.Event:2")
        append(event)
    }

    /// A number at a step.
    public mutating func addScalar(_ tag: String, _ value: Float, step: Int, time: Double) {
        addValue(step: step, time: time) { summary in
            summary.text(1, tag)
            summary.float(2, value)
        }
    }

    /// A text at a step, shown as Markdown.
    public mutating func addText(_ tag: String, _ text: String, step: Int, time: Double) {
        addValue(step: step, time: time) { summary in
            summary.text(1, tag)
            summary.message(8) { tensor in
                tensor.integer(1, 7)  // DT_STRING
                tensor.message(2) { shape in shape.message(2) { $0.integer(1, 1) } }
                tensor.text(8, text)
            }
            summary.message(9) { metadata in
                metadata.message(1) { $0.text(1, "text") }
                metadata.integer(4, 2)  // DATA_CLASS_TENSOR
            }
        }
    }

    private mutating func addValue(step: Int, time: Double, _ fill: (inout ProtocolBuffer) -> Void) {
        var event = ProtocolBuffer()
        event.double(1, time)
        if step != 0 { event.integer(2, step) }
        event.message(5) { summary in summary.message(1, fill) }
        append(event)
    }

    private mutating func append(_ event: ProtocolBuffer) {
        let length = withUnsafeBytes(of: UInt64(event.bytes.count).littleEndian) { Array($0) }
        bytes += length
        appendChecksum(of: length)
        bytes += event.bytes
        appendChecksum(of: event.bytes)
    }

    private mutating func appendChecksum(of content: [UInt8]) {
        withUnsafeBytes(of: CRC32C.masked(content).littleEndian) { bytes.append(contentsOf: $0) }
    }
}
