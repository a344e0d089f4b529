// The float32 kernels of the CPU engine.
//
// Every kernel is compiled for several instruction sets; the best one that this processor has is chosen when the
// program starts. FLEDGE_ISA=base|avx2|avx512 in the environment asks for a lower one.
//
// Conventions, unless a comment says otherwise:
// - Arrays are float32, contiguous and row-major. Outputs do not overlap inputs, except that element-wise kernels may
//   write over an input of the same size (y == x).
// - Strides count elements, one for each dimension; stride 0 repeats (broadcasting). At most FK_MAX_RANK dimensions.
// - Results do not depend on timing. They are also the same for any number of threads, except for the backward-weights
//   direction of Winograd convolution, which adds one partial sum for each thread.
// - NaN goes in, NaN comes out, also of maxima, minima, ReLU and clamping.
// - Indices and labels are trusted to be in range; callers check them.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FK_MAX_RANK 8

// ---- Instruction set and threads ---------------------------------------------------------------------------------

/// The instruction set in use: "base", "avx2" or "avx512".
const char *fledge_isa_name(void);
/// Chooses an instruction set: 0 base, 1 AVX2 + FMA, 2 AVX-512. Never above what the processor has. Returns the one in
/// use afterwards. For tests.
int fledge_set_isa(int isa);

/// How many threads a parallel loop uses at most.
int fledge_threads(void);
/// Whether threads sleep soon when they have to wait, because other processes want the processors too. The results are
/// the same.
int fledge_is_crowded(void);
/// Sets that number, for these kernels and for oneDNN alike (both run on the GNU OpenMP pool of the calling thread).
/// Values below 1 mean 1. Without a GNU OpenMP runtime in the process everything stays on one thread.
void fledge_set_threads(int count);
/// Calls body(low, high, thread, context) for consecutive ranges that cover 0..<n, one for each thread. A thread gets
/// at least about `grain` items. Ranges depend on n, grain and the number of threads only. Nested calls run serially.
/// Engine calls belong on one thread: the pool keeps one team of workers for each thread that calls it.
void fledge_parallel_for(
    int64_t n, int64_t grain, void (*body)(int64_t low, int64_t high, int thread, void *context), void *context);

// ---- Element-wise ------------------------------------------------------------------------------------------------

typedef enum fk_unary_op {
    FK_NEG, FK_ABS, FK_SIGN, FK_EXP, FK_LOG, FK_LOG1P, FK_EXPM1, FK_SQRT, FK_RSQRT, FK_RECIPROCAL, FK_SQUARE, FK_SIN,
    FK_COS, FK_TANH, FK_SIGMOID, FK_SOFTPLUS, FK_RELU, FK_ERF,
    FK_GELU,       // x * Phi(x), with the error function
    FK_GELU_TANH,  // its approximation by tanh (Hendrycks and Gimpel 2016)
    FK_SILU, FK_FLOOR, FK_CEIL,
    FK_ROUND,  // half to even
    // With a parameter p: fk_unary_p only.
    FK_LEAKY_RELU,  // slope p below 0
    FK_ELU,         // p * (exp(x) - 1) below 0
    FK_ADD_SCALAR, FK_MUL_SCALAR,
    FK_SUB_FROM,    // p - x
    FK_DIV_INTO,    // p / x
    FK_POW_SCALAR,  // x to the power p
    FK_MAX_SCALAR, FK_MIN_SCALAR,
    FK_UNARY_COUNT
} fk_unary_op;

/// y = op(x). y may be x.
void fk_unary(fk_unary_op op, const float *x, float *y, int64_t n);
/// y = op(x, p). y may be x. Takes the operations without a parameter too.
void fk_unary_p(fk_unary_op op, const float *x, float *y, int64_t n, float p);
/// y = min(max(x, low), high). y may be x.
void fk_clamp(const float *x, float *y, int64_t n, float low, float high);
/// dx = g * op'(x). dx may be g. Only one of x and y = op(x) is read, the other may be NULL:
/// - y by EXP, EXPM1, SQRT, RSQRT, RECIPROCAL, TANH, SIGMOID;
/// - x by LOG, LOG1P, ABS, SQUARE, SIN, COS, SOFTPLUS, ERF, GELU, GELU_TANH, SILU, LEAKY_RELU, ELU;
/// - RELU reads y, or x if y is NULL.
/// Derivatives at 0 of ABS, RELU: 0. p is the parameter of LEAKY_RELU and ELU. Other operations stop the program.
void fk_unary_grad(fk_unary_op op, const float *x, const float *y, const float *g, float *dx, int64_t n, float p);

typedef enum fk_binary_op { FK_ADD, FK_SUB, FK_MUL, FK_DIV, FK_POW, FK_MAX, FK_MIN } fk_binary_op;
typedef enum fk_compare_op { FK_EQ, FK_NE, FK_LT, FK_LE, FK_GT, FK_GE } fk_compare_op;

/// y[shape] = op(a, b), broadcast by strides. y may be an input that is contiguous of that shape.
void fk_binary(
    fk_binary_op op, int rank, const int64_t *shape, const float *a, const int64_t *strides_a, const float *b,
    const int64_t *strides_b, float *y);
/// y[shape] = op(a, b) as 0 or 1.
void fk_compare(
    fk_compare_op op, int rank, const int64_t *shape, const float *a, const int64_t *strides_a, const float *b,
    const int64_t *strides_b, uint8_t *y);
/// y[shape] = condition != 0 ? a : b.
void fk_where(
    int rank, const int64_t *shape, const uint8_t *condition, const int64_t *strides_condition, const float *a,
    const int64_t *strides_a, const float *b, const int64_t *strides_b, float *y);

// ---- Copies ------------------------------------------------------------------------------------------------------

/// Copies elements of 1, 2, 4 or 8 bytes from one strided array to another. Strides may be negative; those of the
/// destination must not repeat elements.
void fk_copy(
    int element_size, int rank, const int64_t *shape, const void *source, const int64_t *source_strides,
    void *destination, const int64_t *destination_strides);
void fk_fill(float *y, int64_t n, float value);

typedef enum fk_type { FK_F32, FK_F64, FK_BF16, FK_I32, FK_I64, FK_U8, FK_BOOL } fk_type;
/// Converts n elements. To bfloat16: round to nearest even. To integers: towards zero, saturating; NaN gives 0 (to
/// uint8 by way of int64, keeping the low byte). To bool: 1 if not zero.
void fk_cast(fk_type from, fk_type to, const void *source, void *destination, int64_t n);

/// destination[i] = source[index[i]], rows of row_len floats.
void fk_gather_rows(const float *source, int64_t row_len, const int64_t *index, int64_t count, float *destination);
/// destination[index[i]] += source[i] in the order of i, rows of row_len floats.
void fk_scatter_add_rows(
    const float *source, int64_t row_len, const int64_t *index, int64_t count, float *destination,
    int64_t destination_rows);

// ---- Reductions --------------------------------------------------------------------------------------------------

typedef enum fk_reduce_op {
    FK_REDUCE_SUM, FK_REDUCE_MAX, FK_REDUCE_MIN, FK_REDUCE_PROD, FK_REDUCE_SUM_SQUARES, FK_REDUCE_SUM_ABS
} fk_reduce_op;

/// y[outer, inner] = reduction of x[outer, mid, inner] over mid, by blocks of fixed size so that the error of long sums
/// stays small. mid = 0 gives the neutral element.
void fk_reduce(fk_reduce_op op, const float *x, int64_t outer, int64_t mid, int64_t inner, float *y);
/// index[outer, inner] = position along mid of the largest (maximum != 0) or smallest element; the first one wins, NaN
/// wins over numbers. mid must not be 0.
void fk_arg_reduce(int maximum, const float *x, int64_t outer, int64_t mid, int64_t inner, int64_t *index);
/// Running sums along mid.
void fk_cumsum(const float *x, int64_t outer, int64_t mid, int64_t inner, float *y);
double fk_sum_squares(const float *x, int64_t n);
double fk_dot(const float *a, const float *b, int64_t n);
/// 1 if no element is NaN or infinite.
int fk_all_finite(const float *x, int64_t n);

// ---- Softmax and cross-entropy, along the columns of [rows, cols] --------------------------------------------------

/// y may be x.
void fk_softmax(const float *x, float *y, int64_t rows, int64_t cols);
/// y may be x.
void fk_log_softmax(const float *x, float *y, int64_t rows, int64_t cols);
/// dx from y = softmax(x) and g. dx may be g.
void fk_softmax_grad(const float *y, const float *g, float *dx, int64_t rows, int64_t cols);
/// dx from y = log_softmax(x) and g. dx may be g.
void fk_log_softmax_grad(const float *y, const float *g, float *dx, int64_t rows, int64_t cols);
/// y[rows] = log(sum(exp(x)))
void fk_logsumexp(const float *x, int64_t rows, int64_t cols, float *y);
/// loss[rows] = (1 - s) * -log p[label] + s * mean over classes of -log p, with s = label_smoothing (Szegedy et al.
/// 2016). Rows whose label is ignore_index have loss 0. Fills probabilities[rows, cols] unless it is NULL.
void fk_cross_entropy(
    const float *logits, const int64_t *labels, int64_t rows, int64_t cols, float label_smoothing,
    int64_t ignore_index, float *loss, float *probabilities);
/// dx = row_scale * (p - target), the gradient of sum(row_scale * loss); 0 for ignored rows. dx may be probabilities.
void fk_cross_entropy_grad(
    const float *probabilities, const int64_t *labels, const float *row_scale, int64_t rows, int64_t cols,
    float label_smoothing, int64_t ignore_index, float *dx);

// ---- Normalisation -----------------------------------------------------------------------------------------------

/// y = (x - mean) * rstd * gamma + beta for every row, rstd = 1 / sqrt(biased variance + eps). gamma and beta may be
/// NULL (1 and 0), mean and rstd (outputs, [rows]) may be NULL. y may be x.
void fk_layer_norm(
    const float *x, const float *gamma, const float *beta, float eps, int64_t rows, int64_t cols, float *y,
    float *mean, float *rstd);
/// gamma and any of the outputs may be NULL. dgamma, dbeta: [cols]. dx may be dy.
void fk_layer_norm_grad(
    const float *dy, const float *x, const float *gamma, const float *mean, const float *rstd, int64_t rows,
    int64_t cols, float *dx, float *dgamma, float *dbeta);

/// Mean and biased variance of every column of x[rows, c] (an NHWC image batch is rows = N*H*W).
void fk_batch_norm_stats(const float *x, int64_t rows, int64_t c, float *mean, float *variance);
/// y = (x - mean) * rstd * gamma + beta (+ residual) (then ReLU). gamma, beta, residual may be NULL. y may be x or
/// residual.
void fk_batch_norm_apply(
    const float *x, int64_t rows, int64_t c, const float *mean, const float *rstd, const float *gamma,
    const float *beta, int relu, const float *residual, float *y);
/// Gradient of the above through mean and rstd too, as in training. With relu, the sign is taken from y if given and
/// else computed again from x, which needs a forward pass without residual. dresidual, dgamma, dbeta, gamma and beta
/// may be NULL. dx may be dy, unless dresidual is.
void fk_batch_norm_grad(
    const float *dy, const float *x, const float *y, const float *mean, const float *rstd, const float *gamma,
    const float *beta, int64_t rows, int64_t c, int relu, float *dx, float *dresidual, float *dgamma, float *dbeta);

// ---- Pooling, NHWC -------------------------------------------------------------------------------------------------

/// The geometry of a pooling: input [n, h, w, c], output [n, oh, ow, c], kernel, stride, padding, dilation. Every
/// window must touch the input. Average pooling knows no dilation.
typedef struct fk_pool_shape {
    int64_t n, h, w, c;
    int64_t kernel_h, kernel_w, stride_h, stride_w;
    int64_t pad_top, pad_left, pad_bottom, pad_right;
    int64_t dilation_h, dilation_w;
    int64_t oh, ow;
} fk_pool_shape;

/// index (may be NULL) = row * w + column of the winner in its image; the first one wins. Padding never wins.
void fk_max_pool(const fk_pool_shape *shape, const float *x, float *y, int32_t *index);
void fk_max_pool_grad(const fk_pool_shape *shape, const float *dy, const int32_t *index, float *dx);
/// Divides by the number of input pixels in the window; with count_include_pad padding pixels count as well, but not
/// what lies beyond the padding when the output size was rounded up.
void fk_avg_pool(const fk_pool_shape *shape, int count_include_pad, const float *x, float *y);
void fk_avg_pool_grad(const fk_pool_shape *shape, int count_include_pad, const float *dy, float *dx);

// ---- Optimizers, in place ------------------------------------------------------------------------------------------

/// SGD as in PyTorch: g += weight_decay * p; m = momentum * m + (1 - dampening) * g; p -= lr * m, or with nesterov
/// p -= lr * (g + momentum * m). m is NULL without momentum and zero at first; PyTorch's first step has dampening 0.
void fk_sgd(
    float *p, const float *g, float *m, int64_t n, float lr, float momentum, float dampening, float weight_decay,
    int nesterov);
/// Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019) if decoupled. step counts from 1.
void fk_adam(
    float *p, const float *g, float *m, float *v, int64_t n, float lr, float beta1, float beta2, float eps,
    float weight_decay, int decoupled, int64_t step);
/// RMSprop as in PyTorch. mean_g is NULL unless centred, m is NULL without momentum.
void fk_rmsprop(
    float *p, const float *g, float *v, float *mean_g, float *m, int64_t n, float lr, float alpha, float eps,
    float weight_decay, float momentum);
/// p += w * (q - p)
void fk_lerp(float *p, const float *q, int64_t n, float w);
/// y += a * x
void fk_axpy(float *y, const float *x, int64_t n, float a);
/// x *= a
void fk_scale(float *x, int64_t n, float a);

// ---- Random numbers ------------------------------------------------------------------------------------------------

/// offset + scale * draw into `floats` (rounded) or, where that is NULL, into `doubles`: n draws of the stream that
/// RandomSource has, from 64-bit word `first_word` on, bit for bit. Uniform on [0, 1) takes one word a draw.
void fledge_fill_uniform(
    uint64_t key, uint64_t first_word, double offset, double scale, float *floats, double *doubles, int64_t n);
/// As before, from the normal distribution of mean 0 and deviation 1; takes two words a draw.
void fledge_fill_normal(
    uint64_t key, uint64_t first_word, double offset, double scale, float *floats, double *doubles, int64_t n);

/// out[i] = (w >> 8) * 2^-24 in [0, 1), where w is 32-bit word first_word + i of the Philox 4x32-10 stream of this key:
/// word number k is word k % 4 of the block with counter (low half of k / 4, high half, 0, 0).
void fk_uniform(uint64_t key, uint64_t first_word, float *out, int64_t n);
/// mask = u >= p with u as from fk_uniform; y = mask ? x / (1 - p) : 0. mask may be NULL, y may be x.
void fk_dropout(
    const float *x, float *y, uint8_t *mask, int64_t n, float p, uint64_t key, uint64_t first_word);

// ---- Products of many small matrices -------------------------------------------------------------------------------

enum { FK_SMALL_PRODUCTS_AXES = 3 };

/// c = a * b, or c += a * b if `adds`, for every place of three batch axes: matrices [m, k], [k, n] and [m, n], of any
/// strides, those of c with contiguous rows. Steps lead from one matrix to the next along a batch axis; 0 repeats one.
typedef struct fk_small_shape {
    int64_t m, n, k;
    int64_t a_row, a_column, b_row, b_column, c_row;
    int64_t size[FK_SMALL_PRODUCTS_AXES], a_step[FK_SMALL_PRODUCTS_AXES], b_step[FK_SMALL_PRODUCTS_AXES],
        c_step[FK_SMALL_PRODUCTS_AXES];
    int adds;
} fk_small_shape;

/// 1 where b fits the buffer of the kernel, 32 KiB, and the instruction set is at least AVX2.
int fk_small_products_supported(const fk_small_shape *shape);
/// Stops for shapes that are not supported.
void fk_small_products(const fk_small_shape *shape, const float *a, const float *b, float *c);

// ---- Recurrent networks --------------------------------------------------------------------------------------------

/// tanh or ReLU of the sum of the input's and the state's share; gated recurrent units with the reset gate after the
/// product, gates in the order r, z, n; long short-term memory, gates in the order i, f, g, o.
typedef enum fk_recurrent_cell { FK_CELL_TANH, FK_CELL_RELU, FK_CELL_GRU, FK_CELL_LSTM } fk_recurrent_cell;

/// `length` steps of `rows` sequences with `hidden` units; from the last time to the first if `reversed`.
typedef struct fk_recurrence_shape {
    fk_recurrent_cell cell;
    int64_t length, rows, hidden;
    int reversed;
} fk_recurrence_shape;

/// Bytes of scratch (64-byte aligned) that a call needs with the present instruction set.
size_t fk_recurrence_scratch(const fk_recurrence_shape *shape);
/// Runs a cell over time. With G gates: input [length, rows, G * hidden], the input's share of the gates; weight
/// [G * hidden, hidden] and bias [G * hidden] (NULL: none), those of the state. h [length + 1, rows, hidden] holds the
/// states: the first one is given, at the end where time is reversed and at the start elsewhere; the others are filled
/// in, next to it. c, of LSTM only, likewise. kept [length, rows, 4 * hidden] receives what the gradient needs (NULL:
/// nothing); TANH and RELU have none.
void fk_recurrence(
    const fk_recurrence_shape *shape, const float *input, const float *weight, const float *bias, float *h, float *c,
    float *kept, void *scratch);
/// Gradients, from dy [length, rows, hidden] of the states (NULL: none) and, for LSTM, that of the last c in dc [rows,
/// hidden]. dinput and dproduct [length, rows, G * hidden] are those of the gates' two shares and differ for GRU only:
/// they are one array for the others. dh and dc become the gradients of the first states.
void fk_recurrence_grad(
    const fk_recurrence_shape *shape, const float *dy, const float *weight, const float *h, const float *c,
    const float *kept, float *dinput, float *dproduct, float *dh, float *dc, void *scratch);

// ---- Capsules ------------------------------------------------------------------------------------------------------

/// Votes of `inputs` capsules for `outputs` capsules of `length` numbers. The votes of one input for one sample lie
/// together; strides are in floats.
typedef struct fk_routing_shape {
    int64_t samples, inputs, outputs, length, rounds;
    int64_t sample_stride, input_stride;
    float epsilon;
} fk_routing_shape;

/// Bytes of scratch (64-byte aligned) that a call needs with the present instruction set and number of threads.
size_t fk_routing_scratch(const fk_routing_shape *shape);
/// Bytes of what the gradient needs of the rounds, with the present instruction set.
size_t fk_routing_kept(const fk_routing_shape *shape);
/// Routing by agreement: capsules [samples, outputs, length] of the votes, after one round or more. `kept` (64-byte
/// aligned) receives what the gradient needs (NULL: nothing is kept).
void fk_routing(const fk_routing_shape *shape, const float *votes, float *capsules, float *kept, void *scratch);
/// The gradient of the votes, in the same order as they, from that of the capsules.
void fk_routing_grad(
    const fk_routing_shape *shape, const float *votes, const float *kept, const float *g, float *dvotes,
    void *scratch);

// ---- Winograd convolution ------------------------------------------------------------------------------------------
//
// Convolution 3x3, stride 1 or 2, no dilation, one group, by the minimal filtering of Winograd (Lavin and Gray 2016),
// with tiles of 4x4 outputs, or of 2x2 where there are very few or, with stride 2, where those fit better.
// x: [n, h, w, c], weights: [k, c, 3, 3], y: [n, (h + 2 pad - 3) / stride + 1, (w + 2 pad - 3) / stride + 1, k].
// Error about 2e-6 of the largest output. Stops for shapes that are not supported.

/// Of the forward convolution, in every direction.
typedef struct fk_winograd_shape {
    int64_t n, h, w, c, k, stride, pad;
} fk_winograd_shape;

typedef enum fk_winograd_direction {
    FK_WINOGRAD_FORWARD, FK_WINOGRAD_BACKWARD_DATA, FK_WINOGRAD_BACKWARD_WEIGHTS
} fk_winograd_direction;

/// 1 where these kernels beat direct convolution, by a fixed rule: c and k multiples of 16 from 32 to 4096; padding 0
/// to 2, or with stride 2 padding 1 and outputs that nearly fill their tiles; at least AVX2.
int fk_winograd_supported(const fk_winograd_shape *shape);
/// Bytes of scratch (64-byte aligned) that a call needs with the present instruction set and number of threads.
size_t fk_winograd_scratch(const fk_winograd_shape *shape, fk_winograd_direction direction);
/// y = x * weights + bias (NULL: none), then ReLU if relu.
void fk_winograd_forward(
    const fk_winograd_shape *shape, const float *x, const float *weights, const float *bias, int relu, float *y,
    void *scratch);
/// The gradient of x.
void fk_winograd_backward_data(
    const fk_winograd_shape *shape, const float *dy, const float *weights, float *dx, void *scratch);
/// The gradient of the weights.
void fk_winograd_backward_weights(
    const fk_winograd_shape *shape, const float *x, const float *dy, float *dw, void *scratch);

#ifdef __cplusplus
}
#endif
