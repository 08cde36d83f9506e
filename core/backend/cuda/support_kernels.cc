#include "core/backend/cuda/support_kernels.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "core/backend/cuda/status_macros.h"

namespace ladder::cuda {
namespace {

PackArguments PackArgumentsFor(const PackedLayout& layout, const PlanePointers& natural, const PlanePointers& packed) {
  PackArguments arguments;
  arguments.codes = natural.codes;
  arguments.scales = natural.scales;
  arguments.zeros = natural.zeros;
  arguments.packed = packed.codes;
  arguments.packed_scales = packed.scales;
  arguments.packed_zeros = packed.zeros;
  arguments.n = layout.n;
  arguments.k = layout.k;
  arguments.groups = layout.groups;
  arguments.placement = static_cast<int32_t>(layout.placement);
  arguments.bits = layout.bits;
  arguments.offset_binary = layout.offset_binary ? 1 : 0;
  arguments.zero_mode = static_cast<int32_t>(layout.zeros);
  arguments.gated = layout.gated ? 1 : 0;
  arguments.scale_type = PackedScaleType(layout.scale) == layout.scale && layout.scale != DataType::kF32
                             ? 0
                             : static_cast<int32_t>(layout.scale);
  return arguments;
}

}  // namespace

absl::StatusOr<SupportKernels> SupportKernels::Load(const std::string& binary, int multiprocessors) {
  LADDER_ASSIGN_OR_RETURN(Module module, Module::Load(binary));
  LADDER_ASSIGN_OR_RETURN(Memory scratch, Memory::Allocate(256));
  SupportKernels kernels(std::move(module), std::move(scratch), std::max(1, multiprocessors));
  for (const auto& [entry, function] : {std::pair{"ladder_pack", &kernels.pack_},
                                        {"ladder_unpack", &kernels.unpack_},
                                        {"ladder_random", &kernels.random_},
                                        {"ladder_reference", &kernels.reference_},
                                        {"ladder_compare", &kernels.compare_},
                                        {"ladder_hash", &kernels.hash_},
                                        {"ladder_read", &kernels.read_},
                                        {"ladder_empty", &kernels.empty_}}) {
    LADDER_ASSIGN_OR_RETURN(*function, kernels.module_.Function(entry));
  }
  return kernels;
}

absl::Status SupportKernels::Run(CUfunc_st* function, const void* arguments, const Stream& stream) const {
  LaunchShape shape;
  shape.grid = 8 * multiprocessors_;
  shape.threads = kSupportThreads;
  return Launch(function, shape, arguments, stream);
}

absl::Status SupportKernels::Pack(const PackedLayout& layout, const PlanePointers& natural, const PlanePointers& packed,
                                  const Stream& stream) const {
  const PackArguments arguments = PackArgumentsFor(layout, natural, packed);
  return Run(pack_, &arguments, stream);
}

absl::Status SupportKernels::Unpack(const PackedLayout& layout, const PlanePointers& packed,
                                    const PlanePointers& natural, const Stream& stream) const {
  const PackArguments arguments = PackArgumentsFor(layout, natural, packed);
  return Run(unpack_, &arguments, stream);
}

absl::Status SupportKernels::Random(const RandomArguments& arguments, const Stream& stream) const {
  return Run(random_, &arguments, stream);
}

absl::Status SupportKernels::Reference(const NormalizedOperator& op, int64_t first, int64_t rows, DevicePointer x,
                                       const PlanePointers& natural, DevicePointer bias,
                                       const EpilogueArguments& epilogue, DevicePointer reference,
                                       DevicePointer magnitude, const Stream& stream) const {
  const WeightType& weight = op.weight();
  ReferenceArguments arguments;
  std::memset(static_cast<void*>(&arguments), 0, sizeof(arguments));
  arguments.x = x + static_cast<DevicePointer>(first * op.k() * Bytes(op.activation()));
  arguments.codes = natural.codes;
  arguments.scales = natural.scales;
  arguments.zeros = natural.zeros;
  arguments.bias = bias;
  arguments.reference = reference;
  arguments.magnitude = magnitude;
  arguments.m = rows;
  arguments.n = op.n();
  arguments.k = op.k();
  arguments.group = weight.has_scale ? weight.group : 0;
  arguments.activation = static_cast<int32_t>(op.activation());
  arguments.scale = static_cast<int32_t>(weight.scale);
  const bool unpacked = PackedLayout::For(op).placement == CodePlacement::kNatural;
  arguments.plain = unpacked ? static_cast<int32_t>(CodeType(weight.element)) : 0;
  arguments.act = static_cast<int32_t>(op.act());
  arguments.out = static_cast<int32_t>(op.out());
  if (epilogue.residual != 0) {
    arguments.residual = epilogue.residual + static_cast<DevicePointer>(first * op.columns() * Bytes(op.out()));
  }
  arguments.output_scale = epilogue.output_scale;
  if (epilogue.row_scale != 0) {
    arguments.row_scale = epilogue.row_scale + static_cast<DevicePointer>(first * op.activation_scale_row_bytes());
  }
  if (op.activation_group() != 0) {
    arguments.x_group = std::countr_zero(static_cast<uint64_t>(op.activation_group())) +
                        256 * static_cast<int32_t>(op.activation_scale_type());
  }
  arguments.sum_scale = epilogue.sum_scale;
  arguments.bias_type = static_cast<int32_t>(op.bias_type());
  arguments.product_error = static_cast<float>(ProductError(op));
  arguments.zero_mode = weight.has_scale ? static_cast<int32_t>(weight.zeros) : 0;
  if (!unpacked) {
    arguments.bits = weight.element.bits;
    for (uint32_t code = 0; code < 1u << weight.element.bits; code++) {
      arguments.table[code] = static_cast<float>(weight.element.Decode(code));
    }
  }
  LaunchShape shape;
  const int64_t tiles = (rows + 63) / 64 * ((op.columns() + 63) / 64);
  shape.grid = std::min<int64_t>(tiles, 64 * multiprocessors_);
  shape.threads = kSupportThreads;
  return Launch(reference_, shape, &arguments, stream);
}

absl::StatusOr<Comparison> SupportKernels::Compare(DevicePointer y, DataType out, DevicePointer reference,
                                                   DevicePointer magnitude, int64_t count, int64_t first_index,
                                                   const ErrorBound& bound, const Stream& stream) const {
  CompareResult result = {0, ~uint64_t{0}, 0, 0, 0};
  LADDER_RETURN_IF_ERROR(stream.Upload(scratch_.pointer(), &result, sizeof(result)));
  CompareArguments arguments;
  arguments.y = y;
  arguments.reference = reference;
  arguments.magnitude = magnitude;
  arguments.result = scratch_.pointer();
  arguments.count = count;
  arguments.first_index = first_index;
  arguments.relative = bound.relative;
  arguments.absolute = bound.absolute;
  arguments.tiny = bound.tiny;
  arguments.out = static_cast<int32_t>(out);
  LADDER_RETURN_IF_ERROR(Run(compare_, &arguments, stream));
  LADDER_RETURN_IF_ERROR(stream.Download(&result, scratch_.pointer(), sizeof(result)));
  Comparison comparison;
  comparison.wrong = static_cast<int64_t>(result.wrong);
  comparison.first_wrong = result.wrong == 0 ? -1 : static_cast<int64_t>(result.first_wrong);
  comparison.worst_ratio = std::bit_cast<double>(result.worst_ratio_bits);
  comparison.squared_error = result.squared_error;
  comparison.squared_reference = result.squared_reference;
  return comparison;
}

absl::StatusOr<uint64_t> SupportKernels::Hash(DevicePointer data, int64_t bytes, const Stream& stream) const {
  uint64_t hash = 0;
  LADDER_RETURN_IF_ERROR(stream.Upload(scratch_.pointer(), &hash, sizeof(hash)));
  const HashArguments arguments = {data, bytes, scratch_.pointer()};
  LADDER_RETURN_IF_ERROR(Run(hash_, &arguments, stream));
  LADDER_RETURN_IF_ERROR(stream.Download(&hash, scratch_.pointer(), sizeof(hash)));
  return hash;
}

absl::Status SupportKernels::Read(DevicePointer data, int64_t bytes, int blocks_per_multiprocessor,
                                  const Stream& stream) const {
  const ReadArguments arguments = {data, bytes, scratch_.pointer()};
  LaunchShape shape;
  shape.grid = static_cast<int64_t>(blocks_per_multiprocessor) * multiprocessors_;
  shape.threads = kSupportThreads;
  return Launch(read_, shape, &arguments, stream);
}

absl::Status SupportKernels::Empty(bool dependent, const Stream& stream) const {
  LaunchShape shape;
  shape.grid = multiprocessors_;
  shape.threads = 128;
  shape.dependent = dependent;
  return Launch(empty_, shape, nullptr, stream);
}

}  // namespace ladder::cuda
