/// The stream that random operations such as dropout draw from. The trainer sets it anew for every step from (seed,
/// step), so that no state has to be saved, and gradient checkpointing repeats the same draws.
public enum Randomness {
    public nonisolated(unsafe) static var current = RandomSource(seed: 0).stream("default")
}
