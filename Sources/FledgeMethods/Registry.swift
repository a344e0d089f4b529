import FledgeCore
import FledgeTrain

/// All methods. A new one is one file and one line here.
public enum Methods {
    public static let all: [MethodEntry] = [
        MethodEntry(Supervised.self),

        MethodEntry(SimCLR.self),
        MethodEntry(MoCo.self),
        MethodEntry(MoCoV3.self),
        MethodEntry(BYOL.self),
        MethodEntry(SimSiam.self),
        MethodEntry(BarlowTwins.self),
        MethodEntry(VICReg.self),
        MethodEntry(SupCon.self),
        MethodEntry(NPID.self),
        MethodEntry(CPC.self),
        MethodEntry(TransitiveInvariance.self),

        MethodEntry(SwAV.self),
        MethodEntry(DINO.self),
        MethodEntry(DeepCluster.self),
        MethodEntry(SeLa.self),
        MethodEntry(IIC.self),

        MethodEntry(Autoencoder.self),
        MethodEntry(VAE.self),
        MethodEntry(MAE.self),
        MethodEntry(ContextEncoder.self),
        MethodEntry(Colorization.self),
        MethodEntry(Neighbor2Neighbor.self),
        MethodEntry(RBM.self),

        MethodEntry(Rotation.self),
        MethodEntry(RelativePatch.self),
        MethodEntry(Jigsaw.self),
        MethodEntry(Exemplar.self),
        MethodEntry(Counting.self),

        MethodEntry(PseudoLabel.self),
        MethodEntry(PiModel.self),
        MethodEntry(TemporalEnsembling.self),
        MethodEntry(MeanTeacher.self),
        MethodEntry(VAT.self),
        MethodEntry(UDA.self),
        MethodEntry(MixMatch.self),
        MethodEntry(FixMatch.self),
        MethodEntry(S4L.self),
        MethodEntry(M2.self),

        MethodEntry(NoisyStudent.self),
        MethodEntry(BillionScale.self),
        MethodEntry(Distillation.self),
        MethodEntry(CoTraining.self),
        MethodEntry(DeepCoTraining.self),
        MethodEntry(TriTraining.self),
        MethodEntry(AutoSSL.self),
        MethodEntry(LabelSpreading.self),

        MethodEntry(NNPU.self),
        MethodEntry(ElkanNoto.self),
        MethodEntry(TwoStep.self),
        MethodEntry(WeakLabels.self),
        MethodEntry(Hashtags.self),
    ]

    /// - Throws: `MethodError.unknown` with the nearest names.
    public static func entry(named name: String) throws(MethodError) -> MethodEntry {
        if let entry = all.first(where: { $0.info.name == name }) { return entry }
        throw .unknown(name, nearest: Suggestion.nearest(to: name, among: all.map(\.info.name)))
    }
}

/// A method as the command line sees it: its description, its settings, and how to make it from them.
public struct MethodEntry: Sendable {
    public let info: MethodInfo
    /// The settings with types, defaults and meanings.
    public let fields: @Sendable () throws -> [SettingField]
    /// What is wrong with the declaration of the settings; empty for sound ones.
    public let settingProblems: @Sendable () throws -> [String]
    /// Makes the method from a YAML file (nil: defaults) and then `name=value` overrides; returns the resolved settings
    /// beside it. Throws `SettingsError`.
    public let make:
        @Sendable (_ yaml: String?, _ overrides: [String]) throws -> (method: any Method, settings: PlainValue)

    public init<M: Method>(_ type: M.Type) where M: SendableMetatype {
        info = M.info
        fields = { try M.Config.fields() }
        settingProblems = { try M.Config.problems() }
        make = { yaml, overrides in
            var config = M.Config()
            if let yaml { config = try config.applying(yamlFile: yaml, section: "settings") }
            config = try config.applying(overrides)
            return (M(config), try PlainValue(encoding: config))
        }
    }
}
