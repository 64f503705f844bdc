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
constexpr int kMaxEdges = 128;

// The operations: the eight candidates of DARTS in the published order, then those of other genotypes.
enum Operation { kNone, kMaxPool, kAvgPool, kSkip, kSep3, kSep5, kDil3, kDil5, kSep7, kOperations };

// The batch normalisations of an edge. Those before kUnits are "units": ReLU → depthwise → pointwise → normalisation.
// The units before kSep3Second read the edge's input, the others are the second halves of the separable convolutions.
enum Norm { kSep3First, kSep5First, kSep7First, kDil3Unit, kDil5Unit, kSep3Second, kSep5Second, kSep7Second, kUnits,
            kReduceNorm = kUnits, kMaxNorm, kAvgNorm, kNorms };

// Separable convolutions: unit q < kSeparables is a first half, unit kSep3Second + q its second.
constexpr int kSeparables = 3;

// The operation that a normalisation is part of.
constexpr Operation kOperationOf[kNorms] = {kSep3, kSep5, kSep7, kDil3, kDil5, kSep3, kSep5, kSep7, kSkip, kMaxPool, kAvgPool};

// Where a normalisation's tensors are; -1: it has none.
struct NormPlan {
  int statistics;           // index of the running mean; variance and counter follow; -1: values pass as they are (poolings)
  int scale;                // index of the scale among the weights; the shift follows
};

// An edge of the cell; -1 stands for "not there" everywhere.
struct EdgePlan {
  int source;               // state it reads
  int target;               // state it adds to
  int stride;
  bool on[kOperations];     // whether the operation is there
  int mixture[kOperations]; // index of its weight in the mixture; without one it counts once
  int weight[kNorms];       // index of the first of the two weights of a unit, or of the factorized reduction
  NormPlan norm[kNorms];
};

// How an input becomes a state: it is one already, by ReLU → 1×1 convolution → normalisation, or by a factorized reduction.
enum Preprocess { kAsItIs, kPointwise, kReduce, kPreprocesses };

// An input: `parts` times `channels` channels, each part in whole blocks.
struct InputPlan {
  int preprocess;
  int parts, channels;
  int height, width;
  int weight;              // index of the convolution's weight, or of the first of two
  NormPlan norm;
  bool on() const { return preprocess != kAsItIs; }
};

// A cell: states 0 and 1 come from its inputs; each node starts from what is given, or zero, and sums its edges.
struct Plan {
  int images;
  int channels;            // that the operations see: the first of `groups` groups of a state's channels
  int groups;              // 1: all of them
  int stateChannels;       // groups · channels
  int inHeight, inWidth;   // of states 0 and 1
  int height, width;       // of the nodes: half of it, rounded up, in a reduction cell
  int nodes, states, edges;
  int mixture;             // weights in the mixture
  bool reduction;
  bool halves;             // whether convolutions' outputs and gradients between them are stored as bfloat16
  bool training;           // batch statistics, and the running ones are updated; else the running ones are used
  bool paths;              // whether the edges' outputs are scaled image by image (drop-path)
  double eps, momentum;
  InputPlan input[2];
  bool given[kMaxStates];  // nodes that do not start from zero
  int outputs, output[kMaxNodes];  // states that are put out, in this order
  EdgePlan edge[kMaxEdges];
};

// Where images lie in memory: element strides. Pixels are dense if their channels are not, and the other way round.
struct Images {
  float* data;
  int64_t image, channel;
};

// Images in both layouts: see blocks.h.
struct Conversion {
  Images images;           // read only on the way to blocks
  float* blocks;           // read only on the way back
  int count, parts, channels, pixels;
  int threads;
};

// All images below are in blocks, aligned to a register.

struct ForwardCall {
  const Plan* plan;
  int threads;
  const float* inputs[2];
  const float* given[kMaxStates];  // by state, for those that are given
  float* output;           // the states that are put out are its parts
  const float* mixture;
  const float* bypass;     // [edges]: weights of what passes the operations by, where there are groups
  const float* paths;      // [edges, images]
  const float* const* weights;
  float* const* statistics;  // running mean, running variance, (counter: not touched here)
  bool keep;               // for backward
  float* parameters;       // what inference makes of weights and running statistics, parameterFloats() long
  bool prepared;           // whether it is there already, from a call with the same ones
  float* arena;            // what backward needs, arenaFloats() long
  float* scratch;          // what it does not, forwardFloats() long
};

struct BackwardCall {
  const Plan* plan;
  int threads;
  const float* inputs[2];
  const float* output;     // as forward made it
  const float* outputGradient;
  bool wantsWeights;       // an alpha step needs no gradients of weights: half of the work
  float* inputGradients[2];  // or null, where nobody wants them
  const float* passedGradient;  // what the second input's begins with, where that input is preprocessed; null: with zeros
  float* givenGradients[kMaxStates];
  float* mixtureGradient;  // zeros before
  float* bypassGradient;   // [edges]
  float* const* weightGradients;
  float* arena;
  float* scratch;          // backwardFloats() long
};

// The stem of a network: a 3×3 convolution of images, padded by a pixel, and its normalisation.
struct StemCall {
  int images, inChannels, channels, height, width;
  int threads;
  bool training;
  double eps, momentum;
  const float* input;            // [images, inChannels, height, width]
  const float* weight;           // [channels, inChannels, 3, 3]
  const float *scale, *shift;    // null: none
  float *runningMean, *runningVariance;
  float* norms;                  // mean and rstd of each channel, in whole blocks: forward writes, backward reads them
  float* output;                 // in blocks
  const float* outputGradient;   // backward, as the next; the gradients of scale and shift null where they have none
  float *weightGradient, *scaleGradient, *shiftGradient;
  float* scratch;                // stemFloats() long
};

// One build of the kernels.
struct Kernels {
  const char* name;
  int lanes;               // channels in a block: a last block that is not full wastes its other lanes
  size_t (*arenaFloats)(const Plan&, bool keep);
  size_t (*parameterFloats)(const Plan&, bool keep);  // 0 where nothing of the kind is kept from call to call
  size_t (*forwardFloats)(const Plan&, int threads, bool keep);
  size_t (*backwardFloats)(const Plan&, int threads);
  void (*forward)(const ForwardCall&);
  void (*backward)(const BackwardCall&);
  size_t (*stemFloats)(const StemCall&, bool backward);
  void (*stemForward)(const StemCall&);
  void (*stemBackward)(const StemCall&);
  void (*toBlocks)(const Conversion&);
  void (*fromBlocks)(const Conversion&);
};

namespace avx512 { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }
namespace portable { extern const Kernels kernels; }

// The best build that this machine runs, or the one that DARTS_KERNELS_ISA names (avx512, avx2, portable).
// Throws std::runtime_error when that one is unknown or the machine lacks it.
const Kernels& selectKernels();

}  // namespace darts::kernels
