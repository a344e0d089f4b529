import FledgeCore
import FledgeModels
import FledgeNN
import Foundation

extension LearningContext {
    /// A network like the backbone, with its present weights: a teacher or momentum encoder.
    /// - Throws: `ModelError` when the backbone is not of the registry.
    func makeTwin() throws -> any Backbone {
        var random = random("twin")
        let twin = try Models.make(modelName, inputShape: input.shape, random: &random)
        do {
            try twin.load(backbone.state())
        } catch {
            throw MethodError.notTheRegisteredNetwork(modelName)
        }
        // It follows; it is not trained.
        twin.freeze()
        return twin
    }
}

/// A backbone and what stands on it, such as a projector: the two halves of a momentum encoder in one.
final class Encoder: Layer {
    let backbone: any Backbone
    let projector: Sequential

    init(_ backbone: any Backbone, _ projector: Sequential) {
        self.backbone = backbone
        self.projector = projector
    }

    func callAsFunction(_ x: Tensor) -> Tensor { projector(backbone(x)) }

    /// An encoder that follows this one: the same weights now, moved by `follow` and never trained.
    /// - Parameter projector: of the same shapes; its weights are replaced.
    func makeTeacher(_ context: LearningContext, projector: Sequential) throws -> Encoder {
        let teacher = Encoder(try context.makeTwin(), projector)
        teacher.follow(self, decay: 0)
        teacher.freeze()
        return teacher
    }
}

extension Classifier {
    /// A classifier that follows this one: the same weights now, moved by `follow` and never trained.
    func makeTeacher(_ context: LearningContext) throws -> Classifier {
        var random = context.random("teacher")
        let teacher = Classifier(try context.makeTwin(), classes: head.weight.shape[0], random: &random)
        teacher.follow(self, decay: 0)
        teacher.freeze()
        return teacher
    }
}

extension Encoder {
    /// How far a teacher's weights are from this one's, relative to these: |teacher - this| / |this|. 0 means that the
    /// teacher says nothing new; one that grows without end does not follow.
    func distance(to teacher: Encoder) -> Double {
        noGradient {
            var (apart, own) = (0.0, 0.0)
            for (mine, theirs) in zip(parameters(), teacher.parameters()) {
                apart += (mine.item.value - theirs.item.value).square().sum().item()
                own += mine.item.value.square().sum().item()
            }
            return own > 0 ? (apart / own).squareRoot() : 0
        }
    }
}

/// BYOL's momentum, which rises from `base` to 1 along a cosine (Grill et al. 2020, section 3.2):
/// 1 - (1 - base) (cos(pi progress) + 1) / 2.
func risingMomentum(_ base: Double, progress: Double) -> Double {
    1 - (1 - base) * (cos(.pi * progress) + 1) / 2
}
