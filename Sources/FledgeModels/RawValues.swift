import FledgeCore
import FledgeNN

/// No network: the features of a sample are its own values. With it, label spreading and probes work on pixels or on
/// the columns of a table.
public final class RawValues: Backbone {
    public let featureCount: Int

    /// - Parameter inputs: how many values a sample has.
    public init(_ inputs: Int) { featureCount = inputs }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.reshaped([x.shape[0], featureCount]) }
}
