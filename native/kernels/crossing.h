// States between whole images, as cells hand them on, and the images that the operations see: groups of channels, and
// narrow images folded. A state goes over once, its gradient comes back once.
#pragma once

#include "placement.h"

DARTS_BEGIN

inline void planCrossing(Cell& cell) {
  if (cell.direct()) return;
  const int channels = cell.plan->channels, stateChannels = cell.plan->stateChannels, group = cell.fold.group;
  const int blocks = cell.blocks, wholeBlocks = cell.whole.blocks();
  // Registers of the whole images that lie side by side, one image after the other; of what is seen, group by group.
  planPermutation(cell.enter, cell.plan->groups * blocks, [=](int to, int lane) -> Place {
    const int own = to % blocks * L + lane % group, channel = to / blocks * channels + own;
    if (own >= channels) return {-1, 0};
    return {lane / group * wholeBlocks + channel / L, channel % L};
  });
  planPermutation(cell.leave, cell.fold.together * wholeBlocks, [=](int to, int lane) -> Place {
    const int channel = to % wholeBlocks * L + lane, own = channel % channels;
    if (channel >= stateChannels) return {-1, 0};
    return {channel / channels * blocks + own / L, own % L + to / wholeBlocks * group};
  });
}

// Calls body(pixels, whole, seen) tile by tile for the n-th images side by side, where whole(register) and seen(register)
// say where the tile begins; null for images that are not there.
template <class Body>
DARTS_INLINE void overCrossing(const Cell& cell, float* whole, Size size, int n, float* seen, float* others, Body body) {
  constexpr int kTile = 32;  // pixels that stay in the first cache
  const size_t block = size.block();
  const int wholeBlocks = cell.whole.blocks();
  float* first = whole + static_cast<size_t>(n) * cell.fold.together * cell.whole.imageFloats(size);
  for (int p = 0; p < size.pixels(); p += kTile) {
    const size_t at = static_cast<size_t>(p) * L;
    body(least(kTile, size.pixels() - p),
        [&](int reg) { return reg / wholeBlocks < cell.fold.present(n) ? first + reg * block + at : nullptr; },
        [&](int reg) { return (reg < cell.blocks ? seen + reg * block : others + (reg - cell.blocks) * block) + at; });
  }
}

// The n-th images of a whole state, or of its values before `norm`, into what the operations see.
inline void enterState(const Cell& cell, const float* whole, const BatchNorm* norm, Size size, int n, float* seen, float* others) {
  overCrossing(cell, const_cast<float*>(whole), size, n, seen, others, [&](int pixels, auto from, auto to) {
    permutePixels(cell.enter, pixels, from, to,
        [&](int reg) { return norm ? scaledBy(*norm, reg % cell.whole.blocks()) : Scaled{}; });
  });
}

// The way back.
inline void leaveState(const Cell& cell, float* seen, float* others, Size size, int n, float* whole) {
  overCrossing(cell, whole, size, n, seen, others,
      [&](int pixels, auto to, auto from) { permutePixels(cell.leave, pixels, from, to); });
}

DARTS_END
