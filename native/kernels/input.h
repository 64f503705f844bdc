// How an input of a cell becomes a state (the preprocessing of DARTS): a 1×1 convolution or a factorized reduction of
// its rectified parts, as one matrix, then a normalisation.
#pragma once

#include "matrix.h"
#include "statistics.h"

DARTS_BEGIN

struct Input : Affines {             // backward: of the product's gradient
  const InputPlan* plan;
  int blocks, halves;                // blocks of a part; images that the matrix reads: two, one shifted, in a reduction
  int outBlocks, tile;               // blocks of the state; pixels at a time
  Matrix forward, backward;
  float *weights, *transposed;       // for the two
  BatchNorm norm;
  float* product;                    // before the normalisation, [N][blocks][H·W][L]
  size_t gradient;                   // offset in a chunk's weight gradients

  bool on() const { return plan->on(); }
  int inChannels() const { return plan->parts * plan->channels; }
  int inBlocks() const { return halves * plan->parts * blocks; }
  size_t weightFloats() const { return static_cast<size_t>(outBlocks) * halves * inChannels() * L; }
};

// Fills in what follows from the plan; returns the floats of its weight gradient, which lies from `gradient` on.
inline size_t describeInput(Input& input, const InputPlan& plan, const Fold& whole, size_t gradient) {
  input.plan = &plan;
  input.blocks = (plan.channels + L - 1) / L;
  input.halves = plan.preprocess == kReduce ? 2 : 1;
  input.outBlocks = whole.blocks();
  input.gradient = gradient;
  // Tiles stay in the first cache, unless that would leave too few pixels for the registers.
  constexpr int kTileFloats = 6144;
  input.tile = most(2, least(8, kTileFloats / (input.inBlocks() * L * 16))) * 16;
  return input.on() ? input.weightFloats() : 0;
}

inline size_t inputGradientFloats(const Input* inputs) {
  return inputs[1].gradient + (inputs[1].on() ? inputs[1].weightFloats() : 0);
}

// The matrix's entry for channel `out` of the state and channel `in` of one half; weights are [out, in, 1, 1], those of
// a reduction two of half the outputs, each for its half.
DARTS_INLINE float inputWeight(const Input& input, int outChannels, const float* const* weights, int out, int half, int in) {
  if (input.halves == 1) return weights[0][out * input.inChannels() + in];
  const int below = outChannels / 2;
  if (half != (out >= below)) return 0;
  return weights[half][(out - half * below) * input.inChannels() + in];
}

// The rows of both products, and which of them each block of outputs needs.
inline void describeMatrices(const Input& input, int outChannels) {
  const int in = input.inChannels(), perPart = input.plan->channels, halves = input.halves;
  const int split = halves == 2 ? outChannels / 2 : outChannels;
  const int block = input.tile * L;
  for (int h = 0; h < halves; h++)
    for (int i = 0; i < in; i++) {
      const int c = i % perPart;
      input.forward.offset[h * in + i] = ((h * input.plan->parts + i / perPart) * input.blocks + c / L) * block + c % L;
    }
  for (int o = 0; o < input.outBlocks; o++) {
    input.forward.begin[o] = o * L < split ? 0 : in;
    input.forward.end[o] = halves == 2 && least(outChannels, (o + 1) * L) > split ? 2 * in : in;
  }
  for (int o = 0; o < outChannels; o++) input.backward.offset[o] = o / L * block + o % L;
  for (int b = 0; b < input.inBlocks(); b++) {
    const bool second = b >= input.plan->parts * input.blocks;
    input.backward.begin[b] = second ? split : 0;
    input.backward.end[b] = second || halves == 1 ? outChannels : split;
  }
}

// PyTorch's weights into the rows of the matrix, and of the one for backward.
inline void packInput(const Input& input, int outChannels, const float* const* weights, bool transposedToo) {
  const int in = input.inChannels(), rows = input.halves * in, perPart = input.plan->channels;
  for (int o = 0; o < input.outBlocks; o++)
    for (int r = 0; r < rows; r++)
      for (int l = 0; l < L; l++) {
        const int out = o * L + l;
        input.weights[(static_cast<size_t>(o) * rows + r) * L + l] =
            out < outChannels ? inputWeight(input, outChannels, weights, out, r / in, r % in) : 0;
      }
  for (int b = 0; transposedToo && b < input.inBlocks(); b++) {
    const int half = b / (input.plan->parts * input.blocks), part = b / input.blocks % input.plan->parts;
    for (int out = 0; out < outChannels; out++)
      for (int l = 0; l < L; l++) {
        const int c = b % input.blocks * L + l;
        input.transposed[(static_cast<size_t>(b) * outChannels + out) * L + l] =
            c < perPart ? inputWeight(input, outChannels, weights, out, half, part * perPart + c) : 0;
      }
  }
}

// The way back, for gradients.
inline void unpackInput(const Input& input, int outChannels, const float* g, float* const* weights) {
  const int in = input.inChannels(), rows = input.halves * in, below = outChannels / 2;
  for (int out = 0; out < outChannels; out++) {
    const int half = input.halves == 2 && out >= below;
    float* row = weights[half] + static_cast<size_t>(out - half * below) * in;
    for (int i = 0; i < in; i++) row[i] = g[(static_cast<size_t>(out / L) * rows + half * in + i) * L + out % L];
  }
}

DARTS_END
