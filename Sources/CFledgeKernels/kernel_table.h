// The table of function pointers between the public functions and their versions for each instruction set.
//
// FK_KERNELS lists every kernel once: result, name, parameters, arguments. From it come the table's type, the filled
// table of each instruction set (end of kernels.inc) and the public functions fk_<name> (dispatch.c).
#pragma once
#include "fledge_kernels.h"

#define FK_KERNELS(K) \
    K(void, unary, (fk_unary_op op, const float *x, float *y, int64_t n), (op, x, y, n)) \
    K(void, unary_p, (fk_unary_op op, const float *x, float *y, int64_t n, float p), (op, x, y, n, p)) \
    K(void, clamp, (const float *x, float *y, int64_t n, float low, float high), (x, y, n, low, high)) \
    K(void, unary_grad, \
        (fk_unary_op op, const float *x, const float *y, const float *g, float *dx, int64_t n, float p), \
        (op, x, y, g, dx, n, p)) \
    K(void, binary, \
        (fk_binary_op op, int rank, const int64_t *shape, const float *a, const int64_t *strides_a, const float *b, \
            const int64_t *strides_b, float *y), \
        (op, rank, shape, a, strides_a, b, strides_b, y)) \
    K(void, compare, \
        (fk_compare_op op, int rank, const int64_t *shape, const float *a, const int64_t *strides_a, const float *b, \
            const int64_t *strides_b, uint8_t *y), \
        (op, rank, shape, a, strides_a, b, strides_b, y)) \
    K(void, where, \
        (int rank, const int64_t *shape, const uint8_t *condition, const int64_t *strides_condition, const float *a, \
            const int64_t *strides_a, const float *b, const int64_t *strides_b, float *y), \
        (rank, shape, condition, strides_condition, a, strides_a, b, strides_b, y)) \
    K(void, copy, \
        (int element_size, int rank, const int64_t *shape, const void *source, const int64_t *source_strides, \
            void *destination, const int64_t *destination_strides), \
        (element_size, rank, shape, source, source_strides, destination, destination_strides)) \
    K(void, fill, (float *y, int64_t n, float value), (y, n, value)) \
    K(void, cast, (fk_type from, fk_type to, const void *source, void *destination, int64_t n), \
        (from, to, source, destination, n)) \
    K(void, gather_rows, \
        (const float *source, int64_t row_len, const int64_t *index, int64_t count, float *destination), \
        (source, row_len, index, count, destination)) \
    K(void, scatter_add_rows, \
        (const float *source, int64_t row_len, const int64_t *index, int64_t count, float *destination, \
            int64_t destination_rows), \
        (source, row_len, index, count, destination, destination_rows)) \
    K(void, reduce, (fk_reduce_op op, const float *x, int64_t outer, int64_t mid, int64_t inner, float *y), \
        (op, x, outer, mid, inner, y)) \
    K(void, arg_reduce, \
        (int maximum, const float *x, int64_t outer, int64_t mid, int64_t inner, int64_t *index), \
        (maximum, x, outer, mid, inner, index)) \
    K(void, cumsum, (const float *x, int64_t outer, int64_t mid, int64_t inner, float *y), (x, outer, mid, inner, y)) \
    K(double, sum_squares, (const float *x, int64_t n), (x, n)) \
    K(double, dot, (const float *a, const float *b, int64_t n), (a, b, n)) \
    K(int, all_finite, (const float *x, int64_t n), (x, n)) \
    K(void, softmax, (const float *x, float *y, int64_t rows, int64_t cols), (x, y, rows, cols)) \
    K(void, log_softmax, (const float *x, float *y, int64_t rows, int64_t cols), (x, y, rows, cols)) \
    K(void, softmax_grad, (const float *y, const float *g, float *dx, int64_t rows, int64_t cols), \
        (y, g, dx, rows, cols)) \
    K(void, log_softmax_grad, (const float *y, const float *g, float *dx, int64_t rows, int64_t cols), \
        (y, g, dx, rows, cols)) \
    K(void, logsumexp, (const float *x, int64_t rows, int64_t cols, float *y), (x, rows, cols, y)) \
    K(void, cross_entropy, \
        (const float *logits, const int64_t *labels, int64_t rows, int64_t cols, float label_smoothing, \
            int64_t ignore_index, float *loss, float *probabilities), \
        (logits, labels, rows, cols, label_smoothing, ignore_index, loss, probabilities)) \
    K(void, cross_entropy_grad, \
        (const float *probabilities, const int64_t *labels, const float *row_scale, int64_t rows, int64_t cols, \
            float label_smoothing, int64_t ignore_index, float *dx), \
        (probabilities, labels, row_scale, rows, cols, label_smoothing, ignore_index, dx)) \
    K(void, layer_norm, \
        (const float *x, const float *gamma, const float *beta, float eps, int64_t rows, int64_t cols, float *y, \
            float *mean, float *rstd), \
        (x, gamma, beta, eps, rows, cols, y, mean, rstd)) \
    K(void, layer_norm_grad, \
        (const float *dy, const float *x, const float *gamma, const float *mean, const float *rstd, int64_t rows, \
            int64_t cols, float *dx, float *dgamma, float *dbeta), \
        (dy, x, gamma, mean, rstd, rows, cols, dx, dgamma, dbeta)) \
    K(void, batch_norm_stats, (const float *x, int64_t rows, int64_t c, float *mean, float *variance), \
        (x, rows, c, mean, variance)) \
    K(void, batch_norm_apply, \
        (const float *x, int64_t rows, int64_t c, const float *mean, const float *rstd, const float *gamma, \
            const float *beta, int relu, const float *residual, float *y), \
        (x, rows, c, mean, rstd, gamma, beta, relu, residual, y)) \
    K(void, batch_norm_grad, \
        (const float *dy, const float *x, const float *y, const float *mean, const float *rstd, const float *gamma, \
            const float *beta, int64_t rows, int64_t c, int relu, float *dx, float *dresidual, float *dgamma, \
            float *dbeta), \
        (dy, x, y, mean, rstd, gamma, beta, rows, c, relu, dx, dresidual, dgamma, dbeta)) \
    K(void, max_pool, (const fk_pool_shape *shape, const float *x, float *y, int32_t *index), (shape, x, y, index)) \
    K(void, max_pool_grad, (const fk_pool_shape *shape, const float *dy, const int32_t *index, float *dx), \
        (shape, dy, index, dx)) \
    K(void, avg_pool, (const fk_pool_shape *shape, int count_include_pad, const float *x, float *y), \
        (shape, count_include_pad, x, y)) \
    K(void, avg_pool_grad, (const fk_pool_shape *shape, int count_include_pad, const float *dy, float *dx), \
        (shape, count_include_pad, dy, dx)) \
    K(void, sgd, \
        (float *p, const float *g, float *m, int64_t n, float lr, float momentum, float dampening, \
            float weight_decay, int nesterov), \
        (p, g, m, n, lr, momentum, dampening, weight_decay, nesterov)) \
    K(void, adam, \
        (float *p, const float *g, float *m, float *v, int64_t n, float lr, float beta1, float beta2, float eps, \
            float weight_decay, int decoupled, int64_t step), \
        (p, g, m, v, n, lr, beta1, beta2, eps, weight_decay, decoupled, step)) \
    K(void, rmsprop, \
        (float *p, const float *g, float *v, float *mean_g, float *m, int64_t n, float lr, float alpha, float eps, \
            float weight_decay, float momentum), \
        (p, g, v, mean_g, m, n, lr, alpha, eps, weight_decay, momentum)) \
    K(void, lerp, (float *p, const float *q, int64_t n, float w), (p, q, n, w)) \
    K(void, axpy, (float *y, const float *x, int64_t n, float a), (y, x, n, a)) \
    K(void, scale, (float *x, int64_t n, float a), (x, n, a)) \
    K(void, uniform, (uint64_t key, uint64_t first_word, float *out, int64_t n), (key, first_word, out, n)) \
    K(void, dropout, \
        (const float *x, float *y, uint8_t *mask, int64_t n, float p, uint64_t key, uint64_t first_word), \
        (x, y, mask, n, p, key, first_word)) \
    K(int, small_products_supported, (const fk_small_shape *shape), (shape)) \
    K(void, small_products, (const fk_small_shape *shape, const float *a, const float *b, float *c), \
        (shape, a, b, c)) \
    K(size_t, recurrence_scratch, (const fk_recurrence_shape *shape), (shape)) \
    K(void, recurrence, \
        (const fk_recurrence_shape *shape, const float *input, const float *weight, const float *bias, float *h, \
            float *c, float *kept, void *scratch), \
        (shape, input, weight, bias, h, c, kept, scratch)) \
    K(void, recurrence_grad, \
        (const fk_recurrence_shape *shape, const float *dy, const float *weight, const float *h, const float *c, \
            const float *kept, float *dinput, float *dproduct, float *dh, float *dc, void *scratch), \
        (shape, dy, weight, h, c, kept, dinput, dproduct, dh, dc, scratch)) \
    K(size_t, routing_scratch, (const fk_routing_shape *shape), (shape)) \
    K(size_t, routing_kept, (const fk_routing_shape *shape), (shape)) \
    K(void, routing, \
        (const fk_routing_shape *shape, const float *votes, float *capsules, float *kept, void *scratch), \
        (shape, votes, capsules, kept, scratch)) \
    K(void, routing_grad, \
        (const fk_routing_shape *shape, const float *votes, const float *kept, const float *g, float *dvotes, \
            void *scratch), \
        (shape, votes, kept, g, dvotes, scratch)) \
    K(int, winograd_supported, (const fk_winograd_shape *shape), (shape)) \
    K(size_t, winograd_scratch, (const fk_winograd_shape *shape, fk_winograd_direction direction), \
        (shape, direction)) \
    K(void, winograd_forward, \
        (const fk_winograd_shape *shape, const float *x, const float *weights, const float *bias, int relu, float *y, \
            void *scratch), \
        (shape, x, weights, bias, relu, y, scratch)) \
    K(void, winograd_backward_data, \
        (const fk_winograd_shape *shape, const float *dy, const float *weights, float *dx, void *scratch), \
        (shape, dy, weights, dx, scratch)) \
    K(void, winograd_backward_weights, \
        (const fk_winograd_shape *shape, const float *x, const float *dy, float *dw, void *scratch), \
        (shape, x, dy, dw, scratch))

#define FK_TABLE_ENTRY(RESULT, NAME, PARAMETERS, ARGUMENTS) RESULT(*NAME) PARAMETERS;
struct kernel_table {
    FK_KERNELS(FK_TABLE_ENTRY)
};
#undef FK_TABLE_ENTRY

extern const struct kernel_table fk_kernels_base;
#if defined(__x86_64__)
extern const struct kernel_table fk_kernels_avx2, fk_kernels_avx512;
#endif
