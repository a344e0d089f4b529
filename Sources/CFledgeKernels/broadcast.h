// Broadcasting: walking several strided arrays of one shape together.
#pragma once
#include <stdint.h>

#include "fledge_kernels.h"

enum { BROADCAST_MAX_INPUTS = 3 };

/// A shape with dimensions of size 1 dropped and neighbours merged where all arrays allow it. Rank at least 1.
struct broadcast {
    int rank, inputs;
    int64_t shape[FK_MAX_RANK], count;
    int64_t strides[BROADCAST_MAX_INPUTS][FK_MAX_RANK];
};

struct broadcast broadcast_make(int rank, const int64_t *shape, int inputs, const int64_t *const *strides);

/// Calls line(offsets, steps, output, n, context) for pieces of the last dimension, in parallel: input k is read at
/// offsets[k] + i * steps[k], 0 <= i < n, and the contiguous output has element `output` + i. Items per thread: grain.
void broadcast_for(
    const struct broadcast *b, int64_t grain,
    void (*line)(const int64_t *offsets, const int64_t *steps, int64_t output, int64_t n, void *context),
    void *context);
