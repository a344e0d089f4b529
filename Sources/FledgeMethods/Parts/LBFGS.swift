/// Limited-memory BFGS (Nocedal 1980): minimises a smooth function of many variables from its value and gradient.
///
/// Deterministic and parameter-free, which is why probes use it: what a linear probe reports does not hang on a
/// learning rate.
public enum LBFGS {
    /// - Parameters:
    ///   - start: where to begin.
    ///   - memory: how many past steps shape the next direction.
    ///   - tolerance: stops when no entry of the gradient is larger than this times max(1, largest entry of x).
    ///   - function: value and gradient at a point.
    /// - Returns: the best point found, its value, and the number of steps.
    public static func minimize(
        from start: [Double], memory: Int = 10, maximumSteps: Int = 200, tolerance: Double = 1e-5,
        _ function: ([Double]) -> (value: Double, gradient: [Double])
    ) -> (point: [Double], value: Double, steps: Int) {
        var x = start
        var (value, gradient) = function(x)
        var history: [(s: [Double], y: [Double], rho: Double)] = []
        for step in 0..<maximumSteps {
            let scale = max(1, x.lazy.map(abs).max() ?? 1)
            if (gradient.lazy.map(abs).max() ?? 0) <= tolerance * scale { return (x, value, step) }

            // Two-loop recursion: the inverse Hessian's action on the gradient, from the history.
            var direction = gradient.map { -$0 }
            var alphas: [Double] = []
            for (s, y, rho) in history.reversed() {
                let alpha = rho * dot(s, direction)
                alphas.append(alpha)
                add(-alpha, y, to: &direction)
            }
            if let last = history.last {
                let gamma = 1 / (last.rho * dot(last.y, last.y))
                for i in direction.indices { direction[i] *= gamma }
            } else {
                let length = dot(gradient, gradient).squareRoot()
                for i in direction.indices { direction[i] /= max(length, 1) }
            }
            for ((s, y, rho), alpha) in zip(history, alphas.reversed()) {
                add(alpha - rho * dot(y, direction), s, to: &direction)
            }

            // Backtracking until the value falls enough (Armijo).
            var slope = dot(gradient, direction)
            if slope >= 0 {
                history = []
                direction = gradient.map { -$0 }
                slope = -dot(gradient, gradient)
            }
            var length = 1.0
            var next = x
            var found: (value: Double, gradient: [Double])?
            for _ in 0..<30 {
                next = x
                add(length, direction, to: &next)
                let candidate = function(next)
                if candidate.value <= value + 1e-4 * length * slope {
                    found = candidate
                    break
                }
                length *= 0.5
            }
            guard let found else { return (x, value, step) }
            let s = zip(next, x).map { $0 - $1 }
            let y = zip(found.gradient, gradient).map { $0 - $1 }
            let curvature = dot(s, y)
            if curvature > 1e-12 * dot(y, y) {
                history.append((s, y, 1 / curvature))
                if history.count > memory { history.removeFirst() }
            }
            (x, value, gradient) = (next, found.value, found.gradient)
        }
        return (x, value, maximumSteps)
    }

    private static func dot(_ a: [Double], _ b: [Double]) -> Double {
        var sum = 0.0
        for i in a.indices { sum += a[i] * b[i] }
        return sum
    }

    private static func add(_ factor: Double, _ a: [Double], to b: inout [Double]) {
        for i in b.indices { b[i] += factor * a[i] }
    }
}
