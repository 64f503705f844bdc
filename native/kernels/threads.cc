#include "threads.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace darts::kernels {
namespace {

// A wake-up costs 40–80 µs, so threads wait a little for the next phase before they sleep. First they spin. Not long: on a
// machine with more work than cores, a spinning thread takes the core from the one it waits for. Then they stay ready
// while nobody else wants the core: from one cell to the next it is a good 100 µs.
constexpr auto kSpin = std::chrono::microseconds(40), kReady = std::chrono::microseconds(400);

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Spins, then stays ready, then sleeps on `wake`, until `ready` holds. Who makes it true must do so under `mutex`, then notify.
template <typename Ready>
void await(std::mutex& mutex, std::condition_variable& wake, Ready ready) {
  const auto begin = std::chrono::steady_clock::now();
  for (auto waited = begin - begin; waited < kReady; waited = std::chrono::steady_clock::now() - begin) {
    for (int i = 0; i < 64; i++) {
      if (ready()) return;
      pause();
    }
    if (waited >= kSpin) std::this_thread::yield();
  }
  std::unique_lock<std::mutex> lock(mutex);
  wake.wait(lock, ready);
}

// A thread's share of the items of one call after another, those from `begin` to `end` that nobody has taken yet. Its owner
// takes the first, others the last. Whoever takes an item finds the call that it is of, since that one waits for it; only
// how many threads take part must be known before, for a thread with a greater number has no place to work in. A thread
// that is still looking for items of a call takes none of the next one, where its own come first.
class Share {
 public:
  void offer(unsigned call, int begin, int end, int threads) {
    left_.store(pack({static_cast<uint64_t>(begin), static_cast<uint64_t>(end), static_cast<uint64_t>(threads), call & mask(kCallBits)}),
        std::memory_order_release);
  }
  int left(unsigned call) const {
    const Left left = unpack(left_.load(std::memory_order_relaxed));
    return left.call == (call & mask(kCallBits)) ? static_cast<int>(left.end - left.begin) : 0;
  }
  // An item for a thread, or -1.
  int takeFirst(unsigned call, int thread) {
    return take(call, thread, [](Left& left) { return left.begin++; });
  }
  int takeLast(unsigned call, int thread) {
    return take(call, thread, [](Left& left) { return --left.end; });
  }

 private:
  struct Left { uint64_t begin, end, threads, call; };
  static constexpr int kItemBits = 24, kThreadBits = 7, kCallBits = 64 - 2 * kItemBits - kThreadBits;
  static_assert(kMaxThreads < 1 << kThreadBits, "the number of threads has its place");
  static constexpr uint64_t mask(int bits) { return (uint64_t{1} << bits) - 1; }
  static uint64_t pack(Left left) {
    return left.begin | left.end << kItemBits | left.threads << 2 * kItemBits | left.call << (2 * kItemBits + kThreadBits);
  }
  static Left unpack(uint64_t word) {
    return {word & mask(kItemBits), word >> kItemBits & mask(kItemBits), word >> 2 * kItemBits & mask(kThreadBits),
            word >> (2 * kItemBits + kThreadBits)};
  }

  template <typename Choose>
  int take(unsigned call, int thread, Choose choose) {
    uint64_t word = left_.load(std::memory_order_acquire);
    for (;;) {
      Left left = unpack(word);
      if (left.begin == left.end || left.call != (call & mask(kCallBits)) || static_cast<uint64_t>(thread) >= left.threads) return -1;
      const uint64_t item = choose(left);
      if (left_.compare_exchange_weak(word, pack(left), std::memory_order_acq_rel, std::memory_order_acquire)) return static_cast<int>(item);
    }
  }

  alignas(64) std::atomic<uint64_t> left_{0};
};

class Workers {
 public:
  void run(int items, int threads, void (*body)(void*, int, int), void* context) {
    if (threads > items) threads = items;
    if (threads > kMaxThreads) threads = kMaxThreads;
    if (threads <= 1) {
      for (int i = 0; i < items; i++) body(context, i, 0);
      return;
    }
    std::lock_guard<std::mutex> oneAtATime(callers_);
    while (workers_ < threads - 1) add();
    body_ = body;
    context_ = context;
    undone_.store(items, std::memory_order_relaxed);
    threads_.store(threads, std::memory_order_relaxed);
    const unsigned call = calls_.load(std::memory_order_relaxed) + 1;
    for (int t = 0; t < threads; t++) {
      const auto first = [=](int share) { return static_cast<int>(static_cast<long>(items) * share / threads); };
      shares_[t].offer(call, first(t), first(t + 1), threads);
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      calls_.store(call, std::memory_order_release);
    }
    wake_.notify_all();
    work(call, 0);
    await(mutex_, done_, [this] { return undone_.load(std::memory_order_acquire) == 0; });
  }

 private:
  void add() {
    const int thread = ++workers_;
    std::thread([this, thread] { loop(thread); }).detach();
  }

  void loop(int thread) {
    for (unsigned seen = 0;;) {
      await(mutex_, wake_, [&] { return calls_.load(std::memory_order_acquire) != seen; });
      seen = calls_.load(std::memory_order_acquire);
      work(seen, thread);
    }
  }

  // A thread's own share, then what others have left: they may wait for a core, or run on a slower one.
  void work(unsigned call, int thread) {
    for (int item; (item = shares_[thread].takeFirst(call, thread)) >= 0;) perform(item, thread);
    for (;;) {
      const int threads = threads_.load(std::memory_order_relaxed);
      int from = 0;
      for (int t = 1; t < threads; t++)
        if (shares_[t].left(call) > shares_[from].left(call)) from = t;
      if (thread >= threads || shares_[from].left(call) == 0) return;
      const int item = shares_[from].takeLast(call, thread);
      if (item >= 0) perform(item, thread);
    }
  }

  void perform(int item, int thread) {
    body_(context_, item, thread);
    if (undone_.fetch_sub(1, std::memory_order_acq_rel) == 1 && thread != 0) {
      { std::lock_guard<std::mutex> lock(mutex_); }
      done_.notify_one();
    }
  }

  std::mutex callers_, mutex_;
  std::condition_variable wake_, done_;
  int workers_ = 0;                // threads besides the caller
  Share shares_[kMaxThreads];
  std::atomic<unsigned> calls_{0};
  std::atomic<int> threads_{1};    // that take part in the call
  std::atomic<int> undone_{0};     // items of the call
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
