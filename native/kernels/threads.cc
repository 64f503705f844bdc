#include "threads.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace darts::kernels {
namespace {

// A wake-up costs 40–80 µs, so threads wait a little for the next phase before they sleep. Not long:
// on a machine with more work than cores, a spinning thread takes the core from the one it waits for.
constexpr auto kSpin = std::chrono::microseconds(40);

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Spins, then sleeps on `wake`, until `ready` holds. Who makes it true must do so under `mutex`, then notify.
template <typename Ready>
void await(std::mutex& mutex, std::condition_variable& wake, Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; i++) {
      if (ready()) return;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  std::unique_lock<std::mutex> lock(mutex);
  wake.wait(lock, ready);
}

struct Worker {
  std::atomic<unsigned> job{0};  // number of the last job it was given
  std::thread thread;
};

class Workers {
 public:
  void run(int items, int threads, void (*body)(void*, int, int), void* context) {
    if (threads > items) threads = items;
    if (threads <= 1) {
      for (int i = 0; i < items; i++) body(context, i, 0);
      return;
    }
    std::lock_guard<std::mutex> oneAtATime(callers_);
    while (static_cast<int>(workers_.size()) < threads - 1) add();
    items_ = items;
    threads_ = threads;
    body_ = body;
    context_ = context;
    running_.store(threads - 1);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (int t = 1; t < threads; t++) workers_[t - 1]->job.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    share(0);
    await(mutex_, done_, [this] { return running_.load(std::memory_order_acquire) == 0; });
  }

 private:
  void add() {
    workers_.push_back(std::make_unique<Worker>());
    Worker* worker = workers_.back().get();
    const int index = static_cast<int>(workers_.size());
    worker->thread = std::thread([this, worker, index] { loop(*worker, index); });
    worker->thread.detach();
  }

  void loop(Worker& worker, int index) {
    for (unsigned seen = 0;; seen++) {
      await(mutex_, wake_, [&] { return worker.job.load(std::memory_order_acquire) != seen; });
      share(index);
      if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        { std::lock_guard<std::mutex> lock(mutex_); }
        done_.notify_one();
      }
    }
  }

  void share(int t) {
    const int end = static_cast<int>(static_cast<long>(items_) * (t + 1) / threads_);
    for (int i = static_cast<int>(static_cast<long>(items_) * t / threads_); i < end; i++) body_(context_, i, t);
  }

  std::mutex callers_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<int> running_{0};
  int items_ = 0, threads_ = 1;
  void (*body_)(void*, int, int) = nullptr;
  void* context_ = nullptr;
};

std::atomic<int> ownCount{0};

}  // namespace

int threadCount() {
  const int own = ownCount.load(std::memory_order_relaxed);
  return own > 0 ? own : at::get_num_threads();
}

void setThreadCount(int threads) { ownCount.store(threads, std::memory_order_relaxed); }

void parallel(int items, int threads, void (*body)(void*, int, int), void* context) {
  // Never destroyed: its threads sleep on it until the process ends.
  static Workers* workers = new Workers();
  workers->run(items, threads, body, context);
}

}  // namespace darts::kernels
