// The kernels' threads alone, for ThreadSanitizer: calls of drawn sizes, from one caller and from two at once, whose items
// write plain memory that the caller reads when the call is over. Every item must be done once, under the number of the thread
// that does it: each thread's own in order, then what others have left. `scripts/sanitize.mjs` compiles it with native/kernels/threads.cc.
#include "../../native/kernels/threads.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

namespace {

constexpr int kMostThreads = 5, kMostItems = 40, kCalls = 4000;

struct Call {
  int items, threads;
  int idle;                     // rounds of waiting in an item, so that shares begin late and others take of them
  int done[kMostItems];         // how often each item was done
  int own[kMostThreads];        // items of its own share that each thread did
  bool helped[kMostThreads];    // whether it did another's
  long scratch[kMostThreads];   // what each thread works in: two at once under one number would be a race
};

void fail(const char* what, const Call& call) {
  std::fprintf(stderr, "threads: %s (%d items, %d threads)\n", what, call.items, call.threads);
  std::exit(1);
}

int shareOf(const Call& call, int item) {
  for (int t = 0; t < call.threads; t++)
    if (item < static_cast<long>(call.items) * (t + 1) / call.threads) return t;
  return -1;
}

void body(void* context, int item, int thread) {
  Call& call = *static_cast<Call*>(context);
  if (thread < 0 || thread >= call.threads) fail("a thread's number that there is not", call);
  volatile long waited = 0;
  for (int i = 0; i < call.idle; i++) waited = waited + 1;
  call.done[item]++;
  call.scratch[thread] += item;
  if (shareOf(call, item) != thread) {
    call.helped[thread] = true;
    return;
  }
  if (call.helped[thread]) fail("an item of its own after another's", call);
  if (item != static_cast<long>(call.items) * thread / call.threads + call.own[thread]++) fail("items out of order", call);
}

void makeCalls(unsigned seed) {
  std::mt19937 random(seed);
  const auto draw = [&](int most) { return static_cast<int>(random() % static_cast<unsigned>(most + 1)); };
  for (int i = 0; i < kCalls; i++) {
    Call call{};
    call.items = draw(kMostItems);
    call.threads = 1 + draw(kMostThreads - 1);
    if (call.threads > call.items) call.threads = call.items > 0 ? call.items : 1;
    call.idle = draw(3) == 0 ? draw(20000) : 0;
    darts::kernels::parallel(call.items, call.threads, body, &call);
    long sum = 0;
    for (int t = 0; t < call.threads; t++) sum += call.scratch[t];
    if (sum != static_cast<long>(call.items) * (call.items - 1) / 2) fail("a sum of items that is not theirs", call);
    for (int item = 0; item < call.items; item++)
      if (call.done[item] != 1) fail("an item that was not done once", call);
    if (draw(7) == 0) std::this_thread::sleep_for(std::chrono::microseconds(draw(200)));  // long enough for workers to sleep
  }
}

}  // namespace

int main() {
  makeCalls(1);
  std::vector<std::thread> callers;
  for (unsigned seed = 2; seed < 4; seed++) callers.emplace_back(makeCalls, seed);
  for (std::thread& caller : callers) caller.join();
  std::puts("threads: every item once, no race");
}
