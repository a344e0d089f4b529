import Fledge

let data = try DataSource.open("digits")
var random = RandomSource(seed: 0)
let model = Sequential(
    Conv2d(1, 32, kernel: 3, padding: 1, random: &random), BatchNorm(32), ReLU(), MaxPool(2),
    Conv2d(32, 64, kernel: 3, padding: 1, random: &random), BatchNorm(64), ReLU(), Flatten(),
    Linear(64 * 4 * 4, 10, random: &random))
let optimizer = Optimizer(AdamW(), for: model, learningRate: 1e-3, weightDecay: 0.01)
let loader = Loader(data.train, batchSize: 64, views: [Augmentation([.shift(maximum: 1)])], seed: 0)

for epoch in 0..<5 {
    let batches = loader.epoch(epoch)
    while let batch = try batches.next() {
        let loss = crossEntropy(model(batch.tensor()), batch.labelTensor())
        loss.backward()
        optimizer.step()
        optimizer.clearGradients()
    }
}

model.eval()
let test = try data.requireTest()
let exam = try Loader(test, batchSize: test.count, seed: 0, shuffle: false).batch(at: 0)
let correct = noGradient { model(exam.tensor()).argmax() .== exam.labelTensor() }
print("accuracy on \(test.count) unseen digits:", correct.cast(to: .float32).mean().item())
try Safetensors.save(model.state(), to: "digits.safetensors")
