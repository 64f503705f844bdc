// One register of channels, and the few operations on it. Included once in each build, which names its DARTS_ISA.
#pragma once

#ifndef DARTS_ISA
#error "define DARTS_ISA before including this"
#endif

#include "cell.h"

#include <cmath>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define DARTS_INLINE inline __attribute__((always_inline))
#define DARTS_LAMBDA __attribute__((always_inline))
#define DARTS_UNROLL _Pragma("GCC unroll 32")
// Everything below a build's namespace is its own: no function is shared between instruction sets.
#define DARTS_BEGIN namespace darts::kernels { namespace DARTS_ISA { namespace {
#define DARTS_END }}}

DARTS_BEGIN

#if defined(__AVX512F__)
constexpr int L = 16, kRegisters = 32;
#elif defined(__AVX2__)
constexpr int L = 8, kRegisters = 16;
#else
constexpr int L = 4, kRegisters = 16;
#endif

typedef float V __attribute__((vector_size(L * 4)));
typedef int32_t Mask __attribute__((vector_size(L * 4)));  // all bits of a lane, or none
typedef float Aliased __attribute__((vector_size(L * 4), may_alias));
typedef int32_t AliasedMask __attribute__((vector_size(L * 4), may_alias));
typedef float Anywhere __attribute__((vector_size(L * 4), aligned(4), may_alias));

DARTS_INLINE V load(const float* p) { return *reinterpret_cast<const Aliased*>(p); }
DARTS_INLINE void store(float* p, V v) { *reinterpret_cast<Aliased*>(p) = v; }
// The same for addresses that are not aligned to a register.
DARTS_INLINE V loadAnywhere(const float* p) { return *reinterpret_cast<const Anywhere*>(p); }
DARTS_INLINE void storeAnywhere(float* p, V v) { *reinterpret_cast<Anywhere*>(p) = v; }
DARTS_INLINE Mask loadMask(const int* p) { return *reinterpret_cast<const AliasedMask*>(p); }
DARTS_INLINE V all(float x) { return x - V{}; }
DARTS_INLINE V zero() { return V{}; }
// Contracted to one instruction where there is one (-ffp-contract=fast).
DARTS_INLINE V fma(V a, V b, V c) { return a * b + c; }
DARTS_INLINE V keepWhere(Mask mask, V v) { return reinterpret_cast<V>(reinterpret_cast<Mask>(v) & mask); }

// The first `count` lanes.
DARTS_INLINE Mask firstLanes(int count) {
  Mask lane{};
  DARTS_UNROLL for (int l = 0; l < L; l++) lane[l] = l;
  return lane < count;
}

// Lane l of the result is lane from[l].
DARTS_INLINE V permute(V v, Mask from) {
#if defined(__clang__)
  V result{};
  DARTS_UNROLL for (int l = 0; l < L; l++) result[l] = v[from[l]];
  return result;
#else
  return __builtin_shuffle(v, from);
#endif
}

// Lane k of every group of G lanes, in all lanes of its group.
template <int G>
DARTS_INLINE V laneOfGroups(V v, int k) {
  Mask from{};
  DARTS_UNROLL for (int l = 0; l < L; l++) from[l] = l / G * G + k;
  return permute(v, from);
}

// The larger one; `b` where one of them is no number.
DARTS_INLINE V max(V a, V b) {
#if defined(__AVX512F__)
  return reinterpret_cast<V>(_mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<V>(_mm256_max_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#else
  return a > b ? a : b;
#endif
}
DARTS_INLINE V relu(V v) { return max(zero(), v); }

// bfloat16: the upper half of a float.
struct Bfloat16 { uint16_t bits; };

typedef uint32_t Bits __attribute__((vector_size(L * 4)));
typedef uint16_t Halves __attribute__((vector_size(L * 2), may_alias));

DARTS_INLINE V load(const Bfloat16* p) {
  return reinterpret_cast<V>(__builtin_convertvector(*reinterpret_cast<const Halves*>(p), Bits) << 16);
}

// A value as it will be read back from a tensor of T: of bfloat16 the nearest, of two the even one. Infinities stay what
// they are, and so does what arithmetic makes that is no number.
template <class T>
DARTS_INLINE V rounded(V v) {
  if constexpr (sizeof(T) == sizeof(float)) return v;
  const Bits bits = reinterpret_cast<Bits>(v);
  return reinterpret_cast<V>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

// Past the caches: for tensors that are read again only in a later phase. `p` is aligned to a register.
DARTS_INLINE void stream(float* p, V v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, reinterpret_cast<__m512>(v));
#elif defined(__AVX2__)
  _mm256_stream_ps(p, reinterpret_cast<__m256>(v));
#else
  store(p, v);
#endif
}
// The same for a value that is rounded already.
DARTS_INLINE void stream(Bfloat16* p, V v) {
  const Halves upper = __builtin_convertvector(reinterpret_cast<Bits>(v) >> 16, Halves);
#if defined(__AVX512F__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(upper));
#elif defined(__AVX2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), reinterpret_cast<__m128i>(upper));
#else
  *reinterpret_cast<Halves*>(p) = upper;
#endif
}

// A tensor of floats, or of bfloat16: one of the two is there.
struct Saved {
  float* floats = nullptr;
  Bfloat16* halves = nullptr;
  Saved operator+(size_t values) const { return halves ? Saved{nullptr, halves + values} : Saved{floats + values}; }
  explicit operator bool() const { return floats || halves; }
};

// Calls body(pointer to its values).
template <class Body>
DARTS_INLINE void withSaved(Saved tensor, Body body) {
  if (tensor.halves) body(tensor.halves);
  else body(tensor.floats);
}

// Into the second cache. The address may lie anywhere.
DARTS_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }

// What is done between steps of arithmetic, where nothing is.
struct Nothing { DARTS_INLINE void operator()() const {} };

template <int N> struct Count { static constexpr int value = N; };

// Cuts `count` pixels into tiles of at most Widest (8 or 16): body(first pixel, Count<width>).
template <int Widest, class Body>
DARTS_INLINE void tiles(int count, Body body) {
  int i = 0;
  for (; i + Widest <= count; i += Widest) body(i, Count<Widest>{});
  if constexpr (Widest > 8) if (count - i >= 8) { body(i, Count<8>{}); i += 8; }
  if (count - i >= 4) { body(i, Count<4>{}); i += 4; }
  if (count - i >= 2) { body(i, Count<2>{}); i += 2; }
  if (count - i >= 1) body(i, Count<1>{});
}

DARTS_INLINE int least(int a, int b) { return a < b ? a : b; }
DARTS_INLINE int most(int a, int b) { return a > b ? a : b; }

DARTS_END
