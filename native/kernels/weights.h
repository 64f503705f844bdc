// Weights between PyTorch's layout and the kernels' blocks. Images that lie side by side each have a copy of a weight in
// their lanes, and a share of its gradient.
#pragma once

#include "placement.h"

DARTS_BEGIN

// Place of a pointwise weight in [rowBlocks][columnBlocks][group][L].
DARTS_INLINE size_t blockOf(const Cell& cell, int rowBlock, int columnBlock, int columnBlocks) {
  return (static_cast<size_t>(rowBlock) * columnBlocks + columnBlock) * cell.fold.group * L;
}

// [rows, C] → the packed matrix and its transpose, from output channel `firstRow` and input block `firstBlock` on.
inline void packPointwise(const Cell& cell, const Convolution& c, const float* w, int rows, int firstRow,
    int inBlocks, int firstBlock) {
  const int channels = cell.plan->channels, group = cell.fold.group;
  for (int r = 0; r < rows; r++) {
    const int out = firstRow + r, outBlock = out / L, o = out % L;
    for (int i = 0; i < channels; i++) {
      const int inBlock = firstBlock + i / L, k = i % L;
      float* to = c.pointwise + blockOf(cell, outBlock, inBlock, inBlocks) + k * L + o;
      for (int lane = 0; lane < L; lane += group) to[lane] = w[r * channels + i];
      if (!cell.differentiable) continue;
      float* back = c.transposed + blockOf(cell, inBlock, outBlock, cell.blocks) + o * L + k;
      for (int lane = 0; lane < L; lane += group) back[lane] = w[r * channels + i];
    }
  }
}

inline void packConvolution(const Cell& cell, const Edge& edge, int norm, const float* const* weights) {
  const Convolution& c = edge.convolution[norm];
  const int channels = cell.plan->channels;
  const float *first = weights[edge.plan->weight[norm]], *second = weights[edge.plan->weight[norm] + 1];
  std::memset(c.pointwise, 0, pointwiseFloats(cell, norm) * sizeof(float));
  if (cell.differentiable) std::memset(c.transposed, 0, pointwiseFloats(cell, norm) * sizeof(float));
  if (norm == kReduceNorm) {
    packPointwise(cell, c, first, channels / 2, 0, 2 * cell.blocks, 0);
    packPointwise(cell, c, second, channels / 2, channels / 2, 2 * cell.blocks, cell.blocks);
    return;
  }
  const int taps = kKernel[norm] * kKernel[norm];
  std::memset(c.depthwise, 0, depthwiseFloats(cell, norm) * sizeof(float));
  if (cell.differentiable) std::memset(c.flipped, 0, depthwiseFloats(cell, norm) * sizeof(float));
  for (int channel = 0; channel < channels; channel++)
    for (int k = 0; k < taps; k++) {
      const size_t block = static_cast<size_t>(channel / L) * taps;
      float* to = c.depthwise + (block + k) * L + channel % L;
      for (int lane = 0; lane < L; lane += cell.fold.group) to[lane] = first[channel * taps + k];
      if (!cell.differentiable) continue;
      float* flipped = c.flipped + (block + taps - 1 - k) * L + channel % L;
      for (int lane = 0; lane < L; lane += cell.fold.group) flipped[lane] = first[channel * taps + k];
    }
  packPointwise(cell, c, second, channels, 0, cell.blocks, 0);
}

// Adds the chunks' gradients up in their order, in the first chunk's place.
inline float* addChunks(const Cell& cell, size_t offset, size_t floats) {
  float* sum = cell.weightGradients + offset;
  for (int chunk = 1; chunk < cell.chunks; chunk++) {
    const float* other = sum + chunk * cell.chunkFloats;
    for (size_t i = 0; i < floats; i += L) store(sum + i, load(sum + i) + load(other + i));
  }
  return sum;
}

// A weight's gradient, from the lanes of the images that lie side by side.
DARTS_INLINE float sumOfGroups(const Cell& cell, const float* g) {
  float sum = 0;
  for (int lane = 0; lane < L; lane += cell.fold.group) sum += g[lane];
  return sum;
}

inline void unpackPointwise(const Cell& cell, const float* g, float* w, int rows, int firstRow, int inBlocks,
    int firstBlock) {
  const int channels = cell.plan->channels;
  for (int r = 0; r < rows; r++)
    for (int i = 0; i < channels; i++)
      w[r * channels + i] = sumOfGroups(cell, g + blockOf(cell, (firstRow + r) / L, firstBlock + i / L, inBlocks) +
          (firstRow + r) % L * L + i % L);
}

inline void unpackGradients(const Cell& cell, const Edge& edge, int norm, float* const* gradients) {
  const Convolution& c = edge.convolution[norm];
  const int channels = cell.plan->channels;
  float *first = gradients[edge.plan->weight[norm]], *second = gradients[edge.plan->weight[norm] + 1];
  const float* pointwise = addChunks(cell, c.pointwiseGradient, pointwiseFloats(cell, norm));
  if (norm == kReduceNorm) {
    unpackPointwise(cell, pointwise, first, channels / 2, 0, 2 * cell.blocks, 0);
    unpackPointwise(cell, pointwise, second, channels / 2, channels / 2, 2 * cell.blocks, cell.blocks);
    return;
  }
  const float* depthwise = addChunks(cell, c.depthwiseGradient, depthwiseFloats(cell, norm));
  const int taps = kKernel[norm] * kKernel[norm];
  for (int channel = 0; channel < channels; channel++)
    for (int k = 0; k < taps; k++)
      first[channel * taps + k] = sumOfGroups(cell, depthwise + (static_cast<size_t>(channel / L) * taps + k) * L + channel % L);
  unpackPointwise(cell, pointwise, second, channels, 0, cell.blocks, 0);
}

DARTS_END
