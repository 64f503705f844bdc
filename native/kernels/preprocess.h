// The preprocessing of a cell's inputs, forward and backward. Phases over the images:
//   forward   the products, with each image's sums for the statistics: who reads a state normalises it
//   backward  the sums ΣD, ΣD·(y - mean) of the state's gradient D and the product y, as soon as D is complete; then,
//             tile by tile, the gradient of the product, its weights' and, through the ReLU's mask, the input's
#pragma once

#include "batchnorm.h"
#include "convolution.h"
#include "weights.h"

DARTS_BEGIN

// Calls body(pixels, their first) tile by tile.
template <class Body>
DARTS_INLINE void overInputTiles(const Input& input, int pixels, Body body) {
  for (int p = 0; p < pixels; p += input.tile) body(least(input.tile, pixels - p), p);
}

// Block `b` of the matrix's inputs, without its half, in the input's image `n`.
DARTS_INLINE size_t inputBlock(const Cell& cell, const Input& input, int b, int n) {
  const InputPlan& plan = *input.plan;
  const size_t images = cell.plan->images;
  return ((b / input.blocks * images + n) * input.blocks + b % input.blocks) * plan.height * plan.width * L;
}

// Where the pixels of a tile lie in a block of the input, one half after the other; -1 beyond its border.
inline void findPlaces(const Cell& cell, const Input& input, int first, int count, int32_t* places) {
  const InputPlan& plan = *input.plan;
  for (int half = 0; half < input.halves; half++) {
    int y = first / cell.inSize.width, x = first % cell.inSize.width;
    for (int i = 0; i < count; i++) {
      const int yy = input.halves * y + half, xx = input.halves * x + half;
      places[half * input.tile + i] = yy < plan.height && xx < plan.width ? (yy * plan.width + xx) * L : -1;
      if (++x == cell.inSize.width) {
        x = 0;
        y++;
      }
    }
  }
}

// A tile of the rectified input, all blocks of both halves. `beside`: a tensor like the input whose tile is read next, or null.
inline void gatherTile(const Cell& cell, const Input& input, const float* raw, int n, int first, int count, Scratch& s,
    const float* beside = nullptr) {
  const int perHalf = input.plan->parts * input.blocks;
  for (int b = 0; b < input.inBlocks(); b++) {
    const float* from = raw + inputBlock(cell, input, b % perHalf, n);
    float* to = s.inputTile + static_cast<size_t>(b) * input.tile * L;
    if (input.halves == 1) {
      // The next tile is on its way while this one is multiplied.
      const bool last = first + count == cell.inSize.pixels();
      const float* next = last ? raw + inputBlock(cell, input, b, n + 1) : from + static_cast<size_t>(first + count) * L;
      from += static_cast<size_t>(first) * L;
      const float* also = beside ? beside + inputBlock(cell, input, b, n) + static_cast<size_t>(first) * L : nullptr;
      for (int i = 0; i < count; i++) {
        prefetch(next + i * L);
        if (also) prefetch(also + i * L);
        store(to + i * L, relu(load(from + i * L)));
      }
    } else {
      const int32_t* place = s.places + b / perHalf * input.tile;
      for (int i = 0; i < count; i++) store(to + i * L, place[i] < 0 ? zero() : relu(load(from + place[i])));
    }
  }
}

// The products of one image's pixels from `begin` to `end`, tile by tile; emit(block, first pixel, Count<P>, values) takes them.
template <class Emit, class Between = Nothing>
DARTS_INLINE void overProducts(const Cell& cell, const Input& input, const float* raw, int n, int begin, int end, Scratch& s,
    Emit emit, Between between = {}) {
  overInputTiles(input, end - begin, [&](int count, int before) {
    const int first = begin + before;
    if (input.halves == 2) findPlaces(cell, input, first, count, s.places);
    gatherTile(cell, input, raw, n, first, count, s);
    product(input.forward, input.weights, s.inputTile, count, [&](int block, int p, auto pixels, const V* values) DARTS_LAMBDA {
      emit(block, first + p, pixels, values);
    }, between);
  });
}

// The products of one image, and their sums in three slots from `slot` on.
inline void productForward(const Cell& cell, const Input& input, const float* raw, int n, int slot, Scratch& s) {
  float *y = input.product + n * cell.whole.imageFloats(cell.inSize), *sums = cell.inputPartials.at(n, slot);
  std::memset(sums, 0, 3 * cell.whole.lanes() * sizeof(float));
  overProducts(cell, input, raw, n, 0, cell.inSize.pixels(), s, [&](int block, int p, auto pixels, const V* values) DARTS_LAMBDA {
    constexpr int P = decltype(pixels)::value;
    float* out = y + block * cell.inSize.block() + static_cast<size_t>(p) * L;
    DARTS_UNROLL for (int j = 0; j < P; j++) stream(out + j * L, values[j]);
    addStatistics<P>(values, sums, cell.whole.lanes(), block, p == 0);
  });
}

// Pixels of the state that one image becomes by running statistics.
inline void inferInput(const Cell& cell, const Input& input, const float* raw, int n, int begin, int end, float* state,
    Scratch& s) {
  overProducts(cell, input, raw, n, begin, end, s, [&](int block, int p, auto pixels, const V* values) DARTS_LAMBDA {
    constexpr int P = decltype(pixels)::value;
    const V scale = load(input.norm.scale + block * L), shift = load(input.norm.shift + block * L);
    float* out = state + block * cell.inSize.block() + static_cast<size_t>(p) * L;
    DARTS_UNROLL for (int j = 0; j < P; j++) store(out + j * L, fma(values[j], scale, shift));
  }, [&] { s.coming.step(); });
}

// Packs the inputs' weights.
inline void prepareInputs(const Cell& cell) {
  overItems(cell, 2, [&](int i) {
    const Input& input = cell.inputs[i];
    if (!input.on()) return;
    describeMatrices(input, cell.plan->stateChannels);
    packInput(input, cell.plan->stateChannels, cell.weights + input.plan->weight, cell.differentiable);
  });
}

inline void preprocessForward(Cell& cell, const ForwardCall& call) {
  if (!cell.inputs[0].on() && !cell.inputs[1].on()) return;
  overBatch(cell, cell.whole, [&](int n, Scratch& s) {
    for (int i = 0; i < 2; i++)
      if (cell.inputs[i].on()) productForward(cell, cell.inputs[i], call.inputs[i], n, 3 * i, s);
  });
  overItems(cell, 2, [&](int i) {
    const Input& input = cell.inputs[i];
    if (input.on()) finishNorm(cell, input.plan->norm, cell.inputPartials, 3 * i, input.norm);
  });
}

// ΣD and ΣD·(y - mean) of one image of an input, in its two slots.
inline void inputSums(const Cell& cell, int i, int n) {
  const Input& input = cell.inputs[i];
  const size_t block = cell.inSize.block(), image = n * cell.whole.imageFloats(cell.inSize);
  for (int b = 0; b < cell.whole.blocks(); b++) {
    const V mean = load(input.norm.mean + b * L);
    V sum = zero(), product = zero();
    for (size_t at = image + b * block; at < image + (b + 1) * block; at += L) {
      const V d = load(cell.wholeGradients[i] + at);
      sum += d;
      product = fma(d, load(input.product + at) - mean, product);
    }
    store(cell.inputPartials.at(n, 2 * i) + b * L, sum);
    store(cell.inputPartials.at(n, 2 * i + 1) + b * L, product);
  }
}

// From these sums: how the gradient of the product depends on D and y, and the gradients of scale and shift.
inline void inputNormBackward(const Cell& cell, const Input& input, int slot, const BackwardCall& call) {
  const Plan& plan = *cell.plan;
  total(cell.inputPartials, slot, nullptr);
  total(cell.inputPartials, slot + 1, nullptr);
  const double *sumD = cell.inputPartials.total(slot), *centered = cell.inputPartials.total(slot + 1);
  const double count = spread(cell, cell.inputPartials);
  for (size_t c = 0; c < cell.whole.lanes(); c++) input.set(c, normBackward(input.norm, c, sumD[c], centered[c], 1, count));
  if (!call.wantsWeights || input.plan->norm.scale < 0) return;
  float* const* gradients = call.weightGradients + input.plan->norm.scale;
  for (int c = 0; c < plan.stateChannels; c++) {
    gradients[0][c] = static_cast<float>(centered[c] * input.norm.rstd[c]);
    gradients[1][c] = static_cast<float>(sumD[c]);
  }
}

// A tile of the gradient of the product.
inline void productGradient(const Cell& cell, const Input& input, const float* gradient, int n, int first, int count,
    float* dy) {
  for (int b = 0; b < cell.whole.blocks(); b++) {
    const V a = load(input.a + b * L), ofProduct = load(input.b + b * L), k = load(input.k + b * L), mean = load(input.norm.mean + b * L);
    const size_t at = n * cell.whole.imageFloats(cell.inSize) + b * cell.inSize.block() + static_cast<size_t>(first) * L;
    float* to = dy + static_cast<size_t>(b) * input.tile * L;
    for (int i = 0; i < count; i++)
      store(to + i * L, fma(load(gradient + at + i * L), a, fma(load(input.product + at + i * L) - mean, ofProduct, k)));
  }
}

// A tile's part in the gradient of the input, whose rectified pixels are in s.inputTile, on top of what it begins with, if
// anything. Each pixel that has one is met once.
inline void inputGradient(const Cell& cell, const Input& input, const float* begun, float* dx, int n, int first, int count,
    Scratch& s) {
  const int perHalf = input.plan->parts * input.blocks;
  product(input.backward, input.transposed, s.stateTile, count, [&](int block, int p, auto pixels, const V* values) DARTS_LAMBDA {
    constexpr int P = decltype(pixels)::value;
    const size_t at = inputBlock(cell, input, block % perHalf, n);
    const float* rectified = s.inputTile + (static_cast<size_t>(block) * input.tile + p) * L;
    const int32_t* place = s.places + block / perHalf * input.tile + p;
    V gradient[P];
    DARTS_UNROLL for (int j = 0; j < P; j++) gradient[j] = keepWhere(load(rectified + j * L) > zero(), values[j]);
    if (input.halves == 1) {
      const size_t from = at + static_cast<size_t>(first + p) * L;
      if (begun) { DARTS_UNROLL for (int j = 0; j < P; j++) gradient[j] += load(begun + from + j * L); }
      DARTS_UNROLL for (int j = 0; j < P; j++) stream(dx + from + j * L, gradient[j]);
      return;
    }
    DARTS_UNROLL for (int j = 0; j < P; j++)
      if (place[j] >= 0) store(dx + at + place[j], begun ? gradient[j] + load(begun + at + place[j]) : gradient[j]);
  });
}

inline void productBackward(const Cell& cell, const Input& input, int i, const BackwardCall& call, int n, float* g,
    Scratch& s) {
  float* dx = call.inputGradients[i];
  const float* begun = i == 1 ? call.passedGradient : nullptr;
  // A reduction reads two of four pixels.
  if (dx && input.halves == 2)
    for (int b = 0; b < input.plan->parts * input.blocks; b++) {
      const size_t at = inputBlock(cell, input, b, n), bytes = sizeof(float) * input.plan->height * input.plan->width * L;
      if (begun) std::memcpy(dx + at, begun + at, bytes);
      else std::memset(dx + at, 0, bytes);
    }
  overInputTiles(input, cell.inSize.pixels(), [&](int count, int first) {
    if (input.halves == 2) findPlaces(cell, input, first, count, s.places);
    productGradient(cell, input, cell.wholeGradients[i], n, first, count, s.stateTile);
    gatherTile(cell, input, call.inputs[i], n, first, count, s, dx ? begun : nullptr);
    if (call.wantsWeights) productWeights(input.forward, s.stateTile, static_cast<size_t>(input.tile) * L, s.inputTile, count, g + input.gradient);
    if (dx) inputGradient(cell, input, begun, dx, n, first, count, s);
  });
}

// From the states' gradients, which are complete, and their sums to those of the inputs and of the weights.
inline void preprocessBackward(Cell& cell, const BackwardCall& call) {
  bool wanted[2];
  for (int i = 0; i < 2; i++) wanted[i] = cell.inputs[i].on() && (call.wantsWeights || call.inputGradients[i]);
  if (!wanted[0] && !wanted[1]) return;
  overItems(cell, 2, [&](int i) {
    if (wanted[i]) inputNormBackward(cell, cell.inputs[i], 2 * i, call);
  });
  clearChunks(cell, inputGradientFloats(cell.inputs));
  overChunks(cell, cell.whole, [&](int n, float* g, Scratch& s) {
    for (int i = 0; i < 2; i++)
      if (wanted[i]) productBackward(cell, cell.inputs[i], i, call, n, g, s);
  });
  if (!call.wantsWeights) return;
  overItems(cell, 2, [&](int i) {
    const Input& input = cell.inputs[i];
    if (!wanted[i]) return;
    const float* g = addChunks(cell, input.gradient, input.weightFloats());
    unpackInput(input, cell.plan->stateChannels, g, call.weightGradients + input.plan->weight);
  });
}

DARTS_END
