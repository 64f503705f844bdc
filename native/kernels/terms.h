// Sums over several images at once: w₁·y₁ + w₂·y₂ + …, and the dot products of one image with all of them, less shifts.
// Rows are tiles of images, one after the other: the next tile is fetched while one is summed.
#pragma once

#include "vector.h"

DARTS_BEGIN

// Rows to combine: at most the five convolutions, both poolings and the skip connection of an edge.
constexpr int kMostTerms = 8;

template <class T = float>
struct Terms {
  int count = 0;
  const T* row[kMostTerms];
  V factor[kMostTerms];  // a weight, or a shift
  DARTS_INLINE void add(const T* from, V f) {
    row[count] = from;
    factor[count++] = f;
  }
};

template <int N, bool First, class T>
DARTS_INLINE void weightedRow(const Terms<T>& terms, V constant, int width, float* to) {
  const T* row[N + 1];
  V weight[N + 1];
  DARTS_UNROLL for (int t = 0; t < N; t++) {
    row[t] = terms.row[t];
    weight[t] = terms.factor[t];
  }
  for (int i = 0; i < width; i++) {
    V sum = First ? constant : load(to + i * L) + constant;
    DARTS_UNROLL for (int t = 0; t < N; t++) {
      prefetch(row[t] + (i + width) * L);
      sum = fma(load(row[t] + i * L), weight[t], sum);
    }
    store(to + i * L, sum);
  }
}

// dots[0] += Σ d unless it is there already, dots[1 + t] += Σ d·(row[t] - shift[t]); [..][L], `step` floats apart. Shifted
// by the mean, sums do not cancel where the mean is much larger than the deviation.
template <int N, bool Sum = true, class T>
DARTS_INLINE void dotRow(const Terms<T>& terms, const float* d, int width, float* dots, size_t step) {
  const T* row[N + 1];
  V shift[N + 1], sum[N + 1];
  DARTS_UNROLL for (int t = 0; t < N; t++) {
    row[t] = terms.row[t];
    shift[t] = terms.factor[t];
  }
  DARTS_UNROLL for (int t = 0; t <= N; t++) sum[t] = load(dots + t * step);
  for (int i = 0; i < width; i++) {
    const V value = load(d + i * L);
    if constexpr (Sum) sum[0] += value;
    prefetch(d + (i + width) * L);
    DARTS_UNROLL for (int t = 0; t < N; t++) {
      prefetch(row[t] + (i + width) * L);
      sum[t + 1] = fma(value, load(row[t] + i * L) - shift[t], sum[t + 1]);
    }
  }
  DARTS_UNROLL for (int t = 0; t <= N; t++) store(dots + t * step, sum[t]);
}

// Calls body(Count<count>), so that the loops above know how many terms they have.
template <class Body>
DARTS_INLINE void withCount(int count, Body body) {
  switch (count) {
    case 0: return body(Count<0>{});
    case 1: return body(Count<1>{});
    case 2: return body(Count<2>{});
    case 3: return body(Count<3>{});
    case 4: return body(Count<4>{});
    case 5: return body(Count<5>{});
    case 6: return body(Count<6>{});
    case 7: return body(Count<7>{});
    default: return body(Count<8>{});
  }
}

DARTS_END
