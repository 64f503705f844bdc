// darts::to_blocks and darts::from_blocks: images between libtorch's layouts and the kernels' blocks,
// [parts, N, blocks, H, W, lanes]. Each is the other's gradient.
#include "cell.h"
#include "memory.h"
#include "threads.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace darts::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void checkImages(const at::Tensor& tensor, const char* name, int64_t dimensions) {
  TORCH_CHECK(tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided, "darts::", name,
              ": got ", tensor.scalar_type(), " on ", tensor.device(), ", expected float32 on the cpu");
  TORCH_CHECK(tensor.dim() == dimensions && tensor.numel() > 0, "darts::", name, ": got a tensor of shape ", tensor.sizes(),
              dimensions == 4 ? ", expected [N, channels, H, W]" : ", expected [parts, N, blocks, H, W, lanes]");
}

at::Tensor convertToBlocks(const at::Tensor& given, int64_t parts) {
  checkImages(given, "to_blocks", 4);
  TORCH_CHECK(parts >= 1 && given.size(1) % parts == 0, "darts::to_blocks: ", given.size(1), " channels are not ", parts, " equal parts");
  const bool last = !given.is_contiguous() && given.is_contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor images = last ? given : given.contiguous();
  const Kernels& kernels = selectKernels();
  const int64_t channels = images.size(1) / parts, lanes = kernels.lanes, pixels = images.size(2) * images.size(3);
  const at::Tensor blocks =
      at::empty({parts, images.size(0), (channels + lanes - 1) / lanes, images.size(2), images.size(3), lanes}, at::kFloat);
  kernels.toBlocks({{images.data_ptr<float>(), images.stride(0), last ? 1 : pixels}, blocks.data_ptr<float>(),
                    static_cast<int>(images.size(0)), static_cast<int>(parts), static_cast<int>(channels), static_cast<int>(pixels),
                    threadCount()});
  return blocks;
}

// Images are laid out channels last, as libtorch's kernels want them.
at::Tensor convertFromBlocks(const at::Tensor& given, int64_t channels) {
  checkImages(given, "from_blocks", 6);
  const Kernels& kernels = selectKernels();
  const int64_t lanes = kernels.lanes, parts = given.size(0), count = given.size(1), height = given.size(3), width = given.size(4);
  TORCH_CHECK(given.size(5) == lanes && channels >= 1 && (channels + lanes - 1) / lanes == given.size(2), "darts::from_blocks: parts of ",
              channels, " channels do not fit a tensor of shape ", given.sizes(), ", expected ", (channels + lanes - 1) / lanes,
              " blocks of ", lanes);
  const at::Tensor blocks = dense(given);
  const at::Tensor images = at::empty({count, parts * channels, height, width},
      at::TensorOptions(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
  kernels.fromBlocks({{images.data_ptr<float>(), images.stride(0), 1}, blocks.data_ptr<float>(), static_cast<int>(count),
                      static_cast<int>(parts), static_cast<int>(channels), static_cast<int>(height * width), threadCount()});
  return images;
}

at::Tensor toBlocks(const at::Tensor& images, int64_t parts);
at::Tensor fromBlocks(const at::Tensor& blocks, int64_t channels);

class ToBlocks : public torch::autograd::Function<ToBlocks> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& images, int64_t parts) {
    const at::Tensor blocks = convertToBlocks(images, parts);
    context->saved_data["channels"] = images.size(1) / parts;
    return blocks;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    if (!gradients[0].defined()) return {at::Tensor(), at::Tensor()};
    return {fromBlocks(gradients[0], context->saved_data["channels"].toInt()), at::Tensor()};
  }
};

class FromBlocks : public torch::autograd::Function<FromBlocks> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& blocks, int64_t channels) {
    const at::Tensor images = convertFromBlocks(blocks, channels);
    context->saved_data["parts"] = blocks.size(0);
    return images;
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    if (!gradients[0].defined()) return {at::Tensor(), at::Tensor()};
    return {toBlocks(gradients[0], context->saved_data["parts"].toInt()), at::Tensor()};
  }
};

at::Tensor toBlocks(const at::Tensor& images, int64_t parts) { return ToBlocks::apply(images, parts); }
at::Tensor fromBlocks(const at::Tensor& blocks, int64_t channels) { return FromBlocks::apply(blocks, channels); }

}  // namespace

// to_blocks: images [N, parts·channels, H, W]; from_blocks: `channels` of each part.
TORCH_LIBRARY_FRAGMENT(darts, library) {
  library.def("to_blocks(Tensor images, int parts=1) -> Tensor", toBlocks);
  library.def("from_blocks(Tensor blocks, int channels) -> Tensor", fromBlocks);
}

}  // namespace darts::kernels
