#include "threads.h"

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

// A worker's share of the items of one call after another: offered while odd, taken while even.
struct Worker {
  std::atomic<unsigned> share{0};
  std::thread thread;

  bool isOffered() const { return share.load(std::memory_order_acquire) % 2 == 1; }
  // Whoever takes it does it, once.
  bool take() {
    unsigned offer = share.load(std::memory_order_acquire);
    return offer % 2 == 1 && share.compare_exchange_strong(offer, offer + 1, std::memory_order_acq_rel);
  }
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
    undone_.store(threads - 1, std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (int t = 1; t < threads; t++) workers_[t - 1]->share.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    doShare(0, 0);
    // A worker that has not begun may wait for a core that others have: its share is done sooner here.
    for (int t = threads - 1; t > 0; t--)
      if (workers_[t - 1]->take()) {
        doShare(t, 0);
        undone_.fetch_sub(1, std::memory_order_acq_rel);
      }
    await(mutex_, done_, [this] { return undone_.load(std::memory_order_acquire) == 0; });
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
    for (;;) {
      await(mutex_, wake_, [&] { return worker.isOffered(); });
      if (!worker.take()) continue;
      doShare(index, index);
      if (undone_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        { std::lock_guard<std::mutex> lock(mutex_); }
        done_.notify_one();
      }
    }
  }

  void doShare(int share, int thread) {
    const int end = static_cast<int>(static_cast<long>(items_) * (share + 1) / threads_);
    for (int i = static_cast<int>(static_cast<long>(items_) * share / threads_); i < end; i++) body_(context_, i, thread);
  }

  std::mutex callers_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<int> undone_{0};  // shares of workers that are not done
  int items_ = 0, threads_ = 1;
  void (*body_)(void*, int, int) = nullptr;
  void* context_ = nullptr;
};

}  // namespace

void parallel(int items, int threads, void (*body)(void*, int, int), void* context) {
  // Never destroyed: its threads sleep on it until the process ends.
  static Workers* workers = new Workers();
  workers->run(items, threads, body, context);
}

}  // namespace darts::kernels
