// What the operator (libtorch's side) and the kernels (one build for each instruction set) share.
//
// Plain data only, and no template of the standard library: this header is compiled with AVX-512 switched on, and the
// linker may keep that copy of an inline function for everybody, also for machines without AVX-512.
#pragma once

#include <cstddef>
#include <cstdint>

namespace darts::kernels {

constexpr int kMaxNodes = 10;
constexpr int kMaxStates = kMaxNodes + 2;
constexpr int kMaxEdges = kMaxNodes * (kMaxNodes + 3) / 2;

// The candidate operations, by their place in the published order.
enum Operation { kNone, kMaxPool, kAvgPool, kSkip, kSep3, kSep5, kDil3, kDil5, kOperations };

// The batch normalisations of an edge. The first six are "units": ReLU → depthwise → pointwise → normalisation.
// Units 0–3 read the edge's input, units 4 and 5 are the second halves of units 0 and 1.
enum Norm { kSep3First, kSep5First, kDil3Unit, kDil5Unit, kSep3Second, kSep5Second, kUnits,
            kReduceNorm = kUnits, kMaxNorm, kAvgNorm, kNorms };

// An edge of the cell; -1 stands for "not there" everywhere.
struct EdgePlan {
  int source;              // state it reads
  int target;              // state it adds to
  int stride;
  int column[kOperations]; // column of the mixture's weights; -1 where the operation is not evaluated
  int weight[kNorms];      // index of the first of the two weights of a unit, or of the factorized reduction
  int norm[kNorms];        // index of the running mean; the running variance and the counter follow
};

// A cell: states 0 and 1 are its inputs, each node sums its edges from all states before it.
struct Plan {
  int images;
  int channels;            // that the operations see: the first of `groups` groups of a state's channels
  int groups;              // 1: all of them
  int cellChannels;        // of a state: groups · channels
  int inHeight, inWidth;   // of states 0 and 1
  int height, width;       // of the nodes: half of it, rounded up, in a reduction cell
  int nodes, states, edges, columns;
  bool reduction;
  bool training;           // batch statistics, and the running ones are updated; else the running ones are used
  double eps, momentum;
  EdgePlan edge[kMaxEdges];
};

// Where images lie in memory: element strides; the rows are dense.
struct Images {
  float* data;
  int64_t image, channel, pixel;
};

struct ForwardCall {
  const Plan* plan;
  int threads;
  Images inputs[2];        // read only
  Images output;           // nodes · cellChannels
  const float* mixture;    // [edges, columns]
  const float* bypass;     // [edges]: weights of what passes the operations by, where there are groups
  const float* const* weights;
  float* const* statistics;  // running mean, running variance, (counter: not touched here)
  float* arena;            // what backward needs, arenaFloats() long
  float* scratch;          // what it does not, scratchFloats() long
};

struct BackwardCall {
  const Plan* plan;
  int threads;
  Images outputGradient;   // read only
  bool wantsInputs, wantsWeights;  // an alpha step needs no gradients of weights: half of the work
  Images inputGradients[2];
  float* mixtureGradient;  // [edges, columns]
  float* bypassGradient;   // [edges]
  float* const* weightGradients;  // of operations that are evaluated
  float* arena;
  float* scratch;
};

// One build of the kernels.
struct Kernels {
  const char* name;
  int lanes;               // channels in a block: a last block that is not full wastes its other lanes
  size_t (*arenaFloats)(const Plan&);
  size_t (*scratchFloats)(const Plan&, int threads, bool backward);
  void (*forward)(const ForwardCall&);
  void (*backward)(const BackwardCall&);
};

namespace avx512 { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }
namespace portable { extern const Kernels kernels; }

// The best build that this machine runs, or the one that DARTS_KERNELS_ISA names (avx512, avx2, portable).
// Throws std::runtime_error when that one is unknown or the machine lacks it.
const Kernels& selectKernels();

}  // namespace darts::kernels
