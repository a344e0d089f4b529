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
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

static void (*gomp_parallel)(void (*body)(void *), void *data, unsigned threads, unsigned flags);
static int (*omp_thread_index)(void), (*omp_team_size)(void), (*omp_max_threads)(void), (*omp_inside)(void);
static int (*omp_processors)(void);
static void (*omp_set_threads)(int);
static int thread_limit = 1;

__attribute__((constructor)) static void find_pool(void) {
    gomp_parallel = (void (*)(void (*)(void *), void *, unsigned, unsigned))dlsym(RTLD_DEFAULT, "GOMP_parallel");
    omp_thread_index = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_thread_num");
    omp_team_size = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_num_threads");
    omp_max_threads = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    omp_inside = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_in_parallel");
    omp_processors = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_num_procs");
    omp_set_threads = (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    int complete = gomp_parallel && omp_thread_index && omp_team_size && omp_max_threads && omp_inside
        && omp_processors && omp_set_threads;
    if (!complete) gomp_parallel = NULL;
    thread_limit = complete ? omp_max_threads() : 1;
}

int fledge_threads(void) { return thread_limit; }

void fledge_set_threads(int count) {
    if (!gomp_parallel) return;
    thread_limit = count < 1 ? 1 : count;
    omp_set_threads(thread_limit);
}

// ---- Beside other busy processes
//
// A thread of GNU OpenMP that has finished its share spins for some milliseconds before it sleeps. That is quickest
// while each has a processor to itself. Beside a busy process, two of them may be given the same one, and then the one
// that spins keeps the other from running: a step takes 3 to 30 times as long. The library spins for some microseconds
// only where it has more threads than there are processors. So, while the system often takes processors away from this
// process, a helper holds threads that do nothing but count.

enum { LOOK_MILLISECONDS = 250, OFTEN = 30 };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    pthread_t helper;
    int is_on;
    int64_t next_look;
    long taken, given;
} crowd = {.mutex = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

int fledge_is_crowded(void) { return crowd.is_on; }

static void nothing(void *data) { (void)data; }

static void *hold_threads(void *threads) {
    gomp_parallel(nothing, NULL, (unsigned)(intptr_t)threads, 0);
    pthread_mutex_lock(&crowd.mutex);
    while (crowd.is_on) pthread_cond_wait(&crowd.ended, &crowd.mutex);
    pthread_mutex_unlock(&crowd.mutex);
    return NULL;  // The library ends the threads of a thread that ends.
}

static void set_crowded(int on) {
    pthread_mutex_lock(&crowd.mutex);
    crowd.is_on = on;
    pthread_cond_signal(&crowd.ended);
    pthread_mutex_unlock(&crowd.mutex);
    if (!on) {
        pthread_join(crowd.helper, NULL);
        return;
    }
    intptr_t threads = omp_processors() - thread_limit + 2;
    if (pthread_create(&crowd.helper, NULL, hold_threads, (void *)(threads < 2 ? 2 : threads)) != 0) crowd.is_on = 0;
}

/// Looks, now and then, at how often the system took a processor away from a thread that had work. Threads that soon
/// sleep give theirs up by themselves many times, and are now and then stopped in between without anybody to blame.
static void watch_crowd(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    int64_t now = (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
    if (now < crowd.next_look) return;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    long taken = usage.ru_nivcsw - crowd.taken, given = usage.ru_nvcsw - crowd.given;
    // After a pause there is nothing to be learnt from what has gathered.
    int is_recent = now < crowd.next_look + LOOK_MILLISECONDS;
    crowd.next_look = now + LOOK_MILLISECONDS;
    crowd.taken = usage.ru_nivcsw;
    crowd.given = usage.ru_nvcsw;
    if (!is_recent) return;
    int crowded = taken > OFTEN && (!crowd.is_on || taken > given / 5);
    if (crowded != crowd.is_on) set_crowded(crowded);
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
    watch_crowd();
    struct region region = {n, body, context};
    gomp_parallel(run_share, &region, (unsigned)wanted, 0);
}
