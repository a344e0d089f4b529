#include "broadcast.h"

struct broadcast broadcast_make(int rank, const int64_t *shape, int inputs, const int64_t *const *strides) {
    struct broadcast b = {.inputs = inputs, .count = 1};
    for (int d = 0; d < rank; d++) {
        b.count *= shape[d];
        if (shape[d] == 1) continue;
        int merges = b.rank > 0;
        for (int k = 0; k < inputs && merges; k++)
            merges = b.strides[k][b.rank - 1] == strides[k][d] * shape[d];
        if (!merges) b.shape[b.rank++] = 1;
        b.shape[b.rank - 1] *= shape[d];
        for (int k = 0; k < inputs; k++) b.strides[k][b.rank - 1] = strides[k][d];
    }
    if (b.rank == 0) b.shape[b.rank++] = 1;  // a scalar: one element, steps 0
    return b;
}

struct walk {
    const struct broadcast *broadcast;
    void (*line)(const int64_t *offsets, const int64_t *steps, int64_t output, int64_t n, void *context);
    void *context;
};

static void walk_range(int64_t low, int64_t high, int thread, void *context) {
    (void)thread;
    const struct walk *walk = context;
    const struct broadcast *b = walk->broadcast;
    int last = b->rank - 1;
    int64_t position[FK_MAX_RANK], offsets[BROADCAST_MAX_INPUTS] = {0}, steps[BROADCAST_MAX_INPUTS] = {0};
    int64_t rest = low;
    for (int d = last; d >= 0; d--) {
        position[d] = rest % b->shape[d];
        rest /= b->shape[d];
    }
    for (int k = 0; k < b->inputs; k++) {
        steps[k] = b->strides[k][last];
        for (int d = 0; d <= last; d++) offsets[k] += position[d] * b->strides[k][d];
    }
    while (low < high) {
        int64_t n = b->shape[last] - position[last];
        if (n > high - low) n = high - low;
        walk->line(offsets, steps, low, n, walk->context);
        low += n;
        // Advance: carry from the last dimension upwards.
        for (int k = 0; k < b->inputs; k++) offsets[k] += n * steps[k];
        position[last] += n;
        for (int d = last; d > 0 && position[d] == b->shape[d]; d--) {
            position[d] = 0;
            position[d - 1]++;
            for (int k = 0; k < b->inputs; k++)
                offsets[k] += b->strides[k][d - 1] - b->shape[d] * b->strides[k][d];
        }
    }
}

void broadcast_for(
    const struct broadcast *b, int64_t grain,
    void (*line)(const int64_t *offsets, const int64_t *steps, int64_t output, int64_t n, void *context),
    void *context) {
    struct walk walk = {b, line, context};
    fledge_parallel_for(b->count, grain, walk_range, &walk);
}
