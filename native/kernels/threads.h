// The kernels' own threads: fork and join, with a share of the items for each thread.
#pragma once

namespace darts::kernels {

// At most so many threads compute, the caller among them.
constexpr int kMaxThreads = 64;

// Calls body(context, item, thread) for every item; thread t of T does the items from n·t/T to n·(t+1)/T, in order.
// Nothing is handed out by a shared counter: a thread that keeps its images from phase to phase finds them in its
// core's caches, which is worth a factor of two. Only who is done with its own share takes the last ones of another's,
// under its own number. Calls from several threads wait for each other.
void parallel(int items, int threads, void (*body)(void* context, int item, int thread), void* context);

// How many threads the kernels compute on: as many as libtorch's operators, unless told otherwise.
int threadCount();

// Sets it; 0 stands for as many as libtorch's operators.
void setThreadCount(int threads);

}  // namespace darts::kernels
