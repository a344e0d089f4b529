// Starting values of networks: the draws of Swift's RandomSource, many at a time and on all threads. Element by element
// the same numbers: a draw is a function of the key and its place in the stream.
#include "fledge_kernels.h"

#include <math.h>

// A fused multiply-add would round differently from Swift.
#pragma STDC FP_CONTRACT OFF

/// 64-bit word `index` of the stream: the lower or upper half of block index / 2.
static uint64_t word(uint64_t key, uint64_t index) {
    uint64_t block = index >> 1;
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = 0, c3 = 0;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
    }
    return index & 1 ? c2 | (uint64_t)c3 << 32 : c0 | (uint64_t)c1 << 32;
}

static double uniform(uint64_t key, uint64_t index) { return (double)(word(key, index) >> 11) * 0x1p-53; }

/// Box and Muller.
static double normal(uint64_t key, uint64_t index) {
    double u = 1 - uniform(key, index), v = uniform(key, index + 1);
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

struct fill {
    uint64_t key, first_word;
    double offset, scale;
    float *floats;
    double *doubles;
};

#define STORE(VALUE) \
    for (int64_t i = low; i < high; i++) { \
        double value = fill->offset + fill->scale * (VALUE); \
        if (fill->floats) fill->floats[i] = (float)value; \
        else fill->doubles[i] = value; \
    }

static void uniform_range(int64_t low, int64_t high, int thread, void *context) {
    (void)thread;
    const struct fill *fill = context;
    STORE(uniform(fill->key, fill->first_word + (uint64_t)i))
}

static void normal_range(int64_t low, int64_t high, int thread, void *context) {
    (void)thread;
    const struct fill *fill = context;
    STORE(normal(fill->key, fill->first_word + 2 * (uint64_t)i))
}

enum { GRAIN = 4096 };

void fledge_fill_uniform(
    uint64_t key, uint64_t first_word, double offset, double scale, float *floats, double *doubles, int64_t n) {
    struct fill fill = {key, first_word, offset, scale, floats, doubles};
    fledge_parallel_for(n, GRAIN, uniform_range, &fill);
}

void fledge_fill_normal(
    uint64_t key, uint64_t first_word, double offset, double scale, float *floats, double *doubles, int64_t n) {
    struct fill fill = {key, first_word, offset, scale, floats, doubles};
    fledge_parallel_for(n, GRAIN, normal_range, &fill);
}
