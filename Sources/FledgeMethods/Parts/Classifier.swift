import FledgeCore
import FledgeData
import FledgeModels
import FledgeNN
import FledgeTrain

extension LearningContext {
    /// The backbone with a linear layer from its features to the classes: `head`, or a fresh one.
    func makeClassifier() -> Classifier {
        if let head { return Classifier(backbone, head: head) }
        var random = random("head")
        return Classifier(backbone, classes: classes, random: &random)
    }
}

extension Classifier {
    /// Parameters as a task sees them that holds this as `classifier`: the head at the full rate, the backbone at
    /// `backboneRate` of it, and each block below the backbone's last slower by `layerDecay`. Matrices decay, biases and
    /// norms do not.
    func groups(settings: TrainingSettings, backboneRate: Double = 1, layerDecay: Double = 1) -> [ParameterGroup] {
        // Blocks are the backbone's direct children, in order of declaration.
        func block(_ parameter: Named<Parameter>) -> String { String(parameter.name.prefix { $0 != "." }) }
        let body = backbone.parameters()
        var blocks: [String] = []
        for parameter in body where blocks.last != block(parameter) { blocks.append(block(parameter)) }
        var groups: [ParameterGroup] = []
        var rate = backboneRate
        for name in blocks.reversed() {
            let members = body.filter { block($0) == name }.map { Named("classifier.backbone.\($0.name)", $0.item) }
            groups += ParameterGroup.decaying(members, weightDecay: settings.weightDecay, rateMultiplier: rate)
            rate *= layerDecay
        }
        let top = head.parameters().map { Named("classifier.head.\($0.name)", $0.item) }
        return groups + ParameterGroup.decaying(top, weightDecay: settings.weightDecay)
    }
}

extension Trainer {
    /// Puts the averaged weights, where there are some, in the place of the last ones.
    func useAverage() throws {
        if let average { try task.trained.load(average.moduleState()) }
    }

    /// The trained classifier with its averaged weights, ready for evaluation.
    func finished(
        _ classifier: Classifier, _ context: LearningContext, method: String, curves: [Report.Curve],
        warnings: [String] = []
    ) throws -> LearningResult {
        try useAverage()
        classifier.eval()
        let model = FittedModel(
            backbone: classifier.backbone, head: classifier.head, modelName: context.modelName, method: method,
            classNames: context.data.classNames, input: context.input)
        return LearningResult(model: model, curves: curves, steps: step, warnings: warnings)
    }
}

/// The share of rows whose largest logit is at the label.
func batchAccuracy(_ logits: Tensor, _ labels: Tensor) -> Double {
    (logits.detached().argmax() .== labels).cast(to: .float32).mean().item()
}
