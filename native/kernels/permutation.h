// Channels of a pixel rearranged between registers.
#pragma once

#include "layout.h"

DARTS_BEGIN

// Moves of some lanes of one register into another: lane l of register `to` is lane[l] of register `from` where keep[l]
// is not zero. Moves into the same register follow one another.
struct Permutation {
  int moves;
  int *to, *from, *keep, *lane;
};

// Where a lane's value comes from; register -1: nowhere, the lane is zero.
struct Place {
  int reg, lane;
};

// How many moves there are at most.
constexpr int mostMoves(int toRegisters, int fromRegisters) {
  return toRegisters * (fromRegisters < L ? fromRegisters : L);
}

// Fills in a permutation into `registers` registers, from source(register, lane).
template <class Source>
inline void planPermutation(Permutation& p, int registers, Source source) {
  p.moves = 0;
  for (int to = 0; to < registers; to++) {
    const int first = p.moves;
    for (int l = 0; l < L; l++) {
      const Place place = source(to, l);
      if (place.reg < 0) continue;
      int move = first;
      while (move < p.moves && p.from[move] != place.reg) move++;
      if (move == p.moves) {
        p.to[move] = to;
        p.from[move] = place.reg;
        std::memset(p.keep + move * L, 0, L * sizeof(int));
        std::memset(p.lane + move * L, 0, L * sizeof(int));
        p.moves++;
      }
      p.keep[move * L + l] = -1;
      p.lane[move * L + l] = place.lane;
    }
  }
}

struct AsItIs {
  Scaled operator()(int) const { return {}; }
};

// Moves `pixels` pixels; from(register) and to(register) say where the first of them lies, or null: it stays out.
// scalings(register) says what is made of its values. The first move into a register also sets its other lanes to zero.
template <class From, class To, class Scalings = AsItIs>
inline void permutePixels(const Permutation& p, int pixels, From from, To to, Scalings scalings = {}) {
  int begun = -1;
  for (int move = 0; move < p.moves; move++) {
    const float* source = from(p.from[move]);
    float* target = to(p.to[move]);
    if (!source || !target) continue;
    const Mask lane = loadMask(p.lane + move * L), keep = loadMask(p.keep + move * L);
    const Scaled scaled = scalings(p.from[move]);
    const bool first = p.to[move] != begun;
    begun = p.to[move];
    for (int i = 0; i < pixels; i++) {
      const V moved = keepWhere(keep, permute(scaled(load(source + i * L)), lane));
      store(target + i * L, first ? moved : moved + load(target + i * L));
    }
  }
}

DARTS_END
