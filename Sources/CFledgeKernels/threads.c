// The parallel loop, on the thread pool that oneDNN uses too.
//
// oneDNN of Debian runs on GNU OpenMP, whose entry points can be called without compiler support. They are looked up at
// start-up, so that the package builds and runs (on one thread) where that library is absent. A pool of our own would
// fight with oneDNN's for the processors: its workers spin for a while after each parallel region.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fledge_kernels.h"

#include <dlfcn.h>

static void (*gomp_parallel)(void (*body)(void *), void *data, unsigned threads, unsigned flags);
static int (*omp_thread_index)(void), (*omp_team_size)(void), (*omp_max_threads)(void), (*omp_inside)(void);
static void (*omp_set_threads)(int);
static int thread_limit = 1;

__attribute__((constructor)) static void find_pool(void) {
    gomp_parallel = (void (*)(void (*)(void *), void *, unsigned, unsigned))dlsym(RTLD_DEFAULT, "GOMP_parallel");
    omp_thread_index = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_thread_num");
    omp_team_size = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_num_threads");
    omp_max_threads = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    omp_inside = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_in_parallel");
    omp_set_threads = (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    int complete = gomp_parallel && omp_thread_index && omp_team_size && omp_max_threads && omp_inside
        && omp_set_threads;
    if (!complete) gomp_parallel = NULL;
    thread_limit = complete ? omp_max_threads() : 1;
}

int fledge_threads(void) { return thread_limit; }

void fledge_set_threads(int count) {
    if (!gomp_parallel) return;
    thread_limit = count < 1 ? 1 : count;
    omp_set_threads(thread_limit);
}

struct region {
    int64_t n;
    void (*body)(int64_t low, int64_t high, int thread, void *context);
    void *context;
};

static void run_share(void *data) {
    const struct region *region = data;
    int64_t team = omp_team_size(), thread = omp_thread_index();
    int64_t share = (region->n + team - 1) / team;
    // Whole cache lines for long arrays of floats; work counted in rows or images is split evenly.
    if (region->n >= 4096 * team) share = (share + 15) / 16 * 16;
    int64_t low = thread * share, high = low + share < region->n ? low + share : region->n;
    if (low < high) region->body(low, high, (int)thread, region->context);
}

void fledge_parallel_for(
    int64_t n, int64_t grain, void (*body)(int64_t low, int64_t high, int thread, void *context), void *context) {
    if (n <= 0) return;
    if (grain < 1) grain = 1;
    int64_t wanted = (n - 1) / grain + 1;
    if (wanted > thread_limit) wanted = thread_limit;
    if (wanted < 2 || omp_inside()) {
        body(0, n, 0, context);
        return;
    }
    struct region region = {n, body, context};
    gomp_parallel(run_share, &region, (unsigned)wanted, 0);
}
