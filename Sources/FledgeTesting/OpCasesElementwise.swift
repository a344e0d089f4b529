import FledgeCore

// Functions of one tensor, arithmetic, comparison, selection.

extension OpTable {
    mutating func addElementwise() {
        typealias Function = (Tensor) -> Tensor
        /// Each function in every layout, empty, and at sizes that no vector width or thread count divides.
        func every(
            _ name: String, amplitude: Double = 1, shift: Double = 0, _ f: @escaping Function
        ) {
            func input(_ shape: [Int], _ layout: OpInput.Layout = .contiguous) -> OpInput {
                .wave(shape, amplitude: amplitude, shift: shift, layout)
            }
            add(name, input([3, 5])) { f($0[0]) }
            add(name + " transposed", input([2, 3, 2], .transposed)) { f($0[0]) }
            add(name + " sliced", input([2, 3], .sliced)) { f($0[0]) }
            add(name + " broadcast", input([3, 2], .broadcast)) { f($0[0]) }
            add(name + " scalar", input([])) { f($0[0]) }
            add(name + " empty", input([0, 3])) { f($0[0]) }
            add(name + " large", input([9001], .narrowed), isLarge: true) { f($0[0]) }
        }
        every("- prefix") { -$0 }
        every("abs") { $0.abs() }
        every("sign") { $0.sign() }
        every("exp", amplitude: 3) { $0.exp() }
        every("log", shift: 1.5) { $0.log() }
        every("log1p", shift: 0.5) { $0.log1p() }
        every("expm1") { $0.expm1() }
        every("sqrt", shift: 1.5) { $0.sqrt() }
        every("rsqrt", shift: 1.5) { $0.rsqrt() }
        every("reciprocal", shift: 1.5) { $0.reciprocal() }
        every("square") { $0.square() }
        every("sin", amplitude: 7) { $0.sin() }
        every("cos", amplitude: 7) { $0.cos() }
        every("tanh", amplitude: 2) { $0.tanh() }
        every("sigmoid", amplitude: 4) { $0.sigmoid() }
        every("softplus", amplitude: 4) { $0.softplus() }
        every("relu") { $0.relu() }
        every("leakyRelu") { $0.leakyRelu(slope: 0.2) }
        every("elu", amplitude: 2) { $0.elu(alpha: 0.7) }
        every("erf", amplitude: 2) { $0.erf() }
        every("gelu", amplitude: 3) { $0.gelu() }
        every("geluTanh", amplitude: 3) { $0.geluTanh() }
        every("silu", amplitude: 4) { $0.silu() }
        every("clamped") { $0.clamped(-0.5, 0.45) }
        every("floor", amplitude: 3) { $0.floor() }
        every("ceil", amplitude: 3) { $0.ceil() }
        every("rounded", amplitude: 3) { $0.rounded() }
        every("pow number", shift: 1.5) { $0.pow(2.5) }
        every("pow square") { $0.pow(2) }
        every("pow cube") { $0.pow(3) }
        every("+ number") { $0 + 1.5 }
        every("- number") { $0 - 1.5 }
        every("* number") { $0 * -1.5 }
        every("/ number") { $0 / 1.5 }
        every("+ to number") { 1.5 + $0 }
        every("- from number") { 1.5 - $0 }
        every("* to number") { 1.5 * $0 }
        every("/ into number", shift: 1.5) { 1.5 / $0 }

        // Enough work for several threads also where an element costs next to nothing.
        add("relu threads", .wave([70_001]), isLarge: true) { $0[0].relu() }
        add("* number threads", .wave([211, 333], .transposed), isLarge: true) { $0[0] * 1.5 }

        // Conventions where no derivative exists, and values at the ends of the range.
        let corners = OpInput.values([-2, -0.5, 0, 0.5, 3])
        add("abs at 0", corners, order: 0) { $0[0].abs() }
        add("relu at 0", corners, order: 0) { $0[0].relu() }
        add("leakyRelu at 0", corners, order: 0) { $0[0].leakyRelu(slope: 0.2) }
        add("elu at 0", corners, order: 0) { $0[0].elu(alpha: 0.7) }
        add("sign at 0", corners, order: 0) { $0[0].sign() }
        add("sqrt at 0", .values([0, 4]), order: 0) { $0[0].sqrt() }
        add("pow at 0", .values([0, 1, 2]), order: 0) { $0[0].pow(2.5) }
        add("pow to 0", .values([0, 1, 2]), order: 0) { $0[0].pow(0) }
        add("clamped at bounds", corners, order: 0) { $0[0].clamped(-0.5, 0.5) }
        add("rounded ties", .values([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]), order: 0) { $0[0].rounded() }
        let extremes = OpInput.values([-200, -90, -30, 30, 90, 200])
        add("sigmoid extremes", extremes, order: 0) { $0[0].sigmoid() }
        add("softplus extremes", extremes, order: 0) { $0[0].softplus() }
        add("tanh extremes", extremes, order: 0) { $0[0].tanh() }
        add("silu extremes", extremes, order: 0) { $0[0].silu() }
        add("gelu extremes", extremes, order: 0) { $0[0].gelu() }
        add("geluTanh extremes", extremes, order: 0) { $0[0].geluTanh() }
        add("erf extremes", extremes, order: 0) { $0[0].erf() }
        add("elu extremes", extremes, order: 0) { $0[0].elu() }
        // Absolute tolerance says little here: results are as small as the arguments, so they are scaled up.
        let small = OpInput.values([-1e-5, -3e-7, 1e-9, 2e-6])
        add("log1p small", small, order: 1) { $0[0].log1p() * 1e6 }
        add("expm1 small", small, order: 1) { $0[0].expm1() * 1e6 }
        let odd = OpInput.values([-.infinity, -1, 0, .infinity, .nan])
        add("exp infinite", .values([-.infinity, -200, 0]), order: 0) { $0[0].exp() }
        add("log of 0", .values([0, 1]), order: 0) { $0[0].log() }
        add("relu not a number", odd, order: 0) { $0[0].detached().relu() }
        add("clamped not a number", odd, order: 0) { $0[0].clamped(-0.5, 0.5) }
        add("isNaN", odd, order: 0) { $0[0].isNaN() }
        add("isFinite", odd, order: 0) { $0[0].isFinite() }
    }

    mutating func addArithmetic() {
        typealias Function = (Tensor, Tensor) -> Tensor
        func every(_ name: String, shift: Double = 0, _ f: @escaping Function) {
            func input(_ shape: [Int], _ layout: OpInput.Layout = .contiguous) -> OpInput {
                .wave(shape, shift: shift, layout)
            }
            add(name, input([3, 5]), input([3, 5])) { f($0[0], $0[1]) }
            add(name + " broadcast row", input([2, 3, 4]), input([4])) { f($0[0], $0[1]) }
            add(name + " broadcast column", input([3, 1]), input([3, 4])) { f($0[0], $0[1]) }
            add(name + " broadcast both", input([2, 1, 3]), input([4, 1])) { f($0[0], $0[1]) }
            add(name + " scalar", input([]), input([2, 3])) { f($0[0], $0[1]) }
            add(name + " strided", input([3, 4], .transposed), input([3, 4], .sliced)) {
                f($0[0], $0[1])
            }
            add(name + " expanded", input([3, 4], .broadcast), input([3, 4], .narrowed)) {
                f($0[0], $0[1])
            }
            add(name + " empty", input([0, 3]), input([1, 3])) { f($0[0], $0[1]) }
            add(name + " large", input([4099], .narrowed), input([4099]), isLarge: true) {
                f($0[0], $0[1])
            }
            add(name + " large rows", input([3, 257, 17]), input([17]), isLarge: true) {
                f($0[0], $0[1])
            }
            add(name + " large columns", input([257, 1]), input([257, 33]), isLarge: true) {
                f($0[0], $0[1])
            }
            add(
                name + " large strided", input([129, 33], .transposed), input([129, 33], .sliced),
                isLarge: true
            ) { f($0[0], $0[1]) }
        }
        every("+") { $0 + $1 }
        every("-") { $0 - $1 }
        every("*") { $0 * $1 }
        every("/", shift: 1.7) { $0 / $1 }
        every("pow", shift: 1.7) { $0.pow($1) }
        every("maximum") { maximum($0, $1) }
        every("minimum") { minimum($0, $1) }
        add("* threads", .wave([70_001]), .wave([70_001]), isLarge: true) { $0[0] * $0[1] }
        add("+ threads", .wave([333, 211]), .wave([211]), isLarge: true) { $0[0] + $0[1] }
        add("+=", .wave([2, 3]), .wave([3])) { x in
            var y = x[0]
            y += x[1]
            return y
        }
        add("-=", .wave([2, 3]), .wave([3])) { x in
            var y = x[0]
            y -= x[1]
            return y
        }
        add("*=", .wave([2, 3]), .wave([3])) { x in
            var y = x[0]
            y *= x[1]
            return y
        }
        add("/=", .wave([2, 3]), .wave([3], shift: 2)) { x in
            var y = x[0]
            y /= x[1]
            return y
        }
        let (left, right) = (OpInput.values([1, 2, 3, 0]), OpInput.values([2, 2, 1, 0]))
        add("maximum ties", left, right, order: 0) { maximum($0[0], $0[1]) }
        add("minimum ties", left, right, order: 0) { minimum($0[0], $0[1]) }
        let odd = OpInput.values([.nan, 1, .infinity, -.infinity])
        add("maximum not a number", odd, right, order: 0) { maximum($0[0].detached(), $0[1].detached()) }
        add("minimum not a number", odd, right, order: 0) { minimum($0[0].detached(), $0[1].detached()) }
        add("pow of 0", .values([0, 0, 0, 2]), .values([0, 1, 2, 0]), order: 0) { $0[0].pow($0[1]) }
        add("+ integers", .indices([2, 3], below: 5), .indices([3], below: 4), order: 0) { $0[0] + $0[1] }
        add("* integers", .indices([2, 3], below: 5), .indices([3], below: 4), order: 0) { $0[0] * $0[1] }
        add("- integers", .indices([2, 3], below: 5), .integers([9, -4, 1]), order: 0) { $0[0] - $0[1] }
        add("/ integers truncate", .integers([7, -7, 8, 0]), .integers([2, 2, -3, 5]), order: 0) { $0[0] / $0[1] }
        add("maximum integers", .indices([2, 3], below: 5), .integers([2, 3, 1]), order: 0) { maximum($0[0], $0[1]) }

        let comparisons: [(String, Function)] = [
            (".==", { $0 .== $1 }), (".!=", { $0 .!= $1 }), (".<", { $0 .< $1 }), (".<=", { $0 .<= $1 }),
            (".>", { $0 .> $1 }), (".>=", { $0 .>= $1 }),
        ]
        for (name, f) in comparisons {
            add(name, left, right, order: 0) { f($0[0], $0[1]) }
            add(name + " broadcast", .wave([3, 1]), .wave([2, 1, 4]), order: 0) { f($0[0], $0[1]) }
            add(name + " strided", .wave([3, 4], .transposed), .wave([3, 4], .sliced), order: 0) { f($0[0], $0[1]) }
            add(name + " not a number", odd, odd, order: 0) { f($0[0], $0[1]) }
            add(name + " integers", .indices([5], below: 3), .indices([5], below: 4), order: 0) { f($0[0], $0[1]) }
            add(name + " empty", .wave([0, 2]), .wave([2]), order: 0) { f($0[0], $0[1]) }
            add(name + " large", .wave([4099]), .wave([4099]), isLarge: true) { f($0[0], $0[1]) }
        }
        let numbers: [(String, (Tensor) -> Tensor)] = [
            (".==", { $0 .== 2 }), (".!=", { $0 .!= 2 }), (".<", { $0 .< 2 }), (".<=", { $0 .<= 2 }),
            (".>", { $0 .> 2 }), (".>=", { $0 .>= 2 }),
        ]
        for (name, f) in numbers { add(name + " number", left, order: 0) { f($0[0]) } }
        add(".!", .mask([3, 4]), order: 0) { .!$0[0] }
        add(".&", .mask([3, 4]), .mask([4]), order: 0) { $0[0] .& $0[1] }
        add(".|", .mask([3, 4]), .mask([4]), order: 0) { $0[0] .| $0[1] }

        add("where", .mask([3, 4]), .wave([3, 4]), .wave([3, 4])) { .where($0[0], $0[1], $0[2]) }
        add("where broadcast", .mask([4]), .wave([3, 1]), .wave([2, 1, 1])) { .where($0[0], $0[1], $0[2]) }
        add("where strided", .mask([3, 4]), .wave([3, 4], .transposed), .wave([3, 4], .sliced)) {
            .where($0[0], $0[1], $0[2])
        }
        add("where empty", .mask([0, 4]), .wave([4]), .wave([1, 4])) { .where($0[0], $0[1], $0[2]) }
        add("where large", .mask([3, 257, 17]), .wave([3, 257, 17]), .wave([17]), isLarge: true) {
            .where($0[0], $0[1], $0[2])
        }
        add("maskedFill", .wave([3, 4]), .mask([4])) { $0[0].maskedFill($0[1], -2.5) }
        add("cast to integers", .values([-1.7, 0.2, 3.9]), order: 0) { $0[0].cast(to: .int64) }
        add("cast to bool", .values([-1.7, 0, 3.9]), order: 0) { $0[0].cast(to: .bool) }
        add("cast to bfloat16", .wave([2, 3], amplitude: 300), order: 0) {
            $0[0].cast(to: .bfloat16).cast(to: .float32)
        }
    }
}
