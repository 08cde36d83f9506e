#include "core/backend/cuda/workload_data.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/backend/cuda/status_macros.h"
#include "core/reference/operand_draw.h"

namespace ladder::cuda {
namespace {

constexpr int64_t kReferenceBytes = 8;  // per element: the result and the sum of magnitudes, in fp32
constexpr int64_t kLeastReferenceRows = 64;
constexpr float kOutputScale = -0.7f;  // no power of two: its product is rounded
constexpr float kSumScale = 0.007f;    // likewise

// Random streams of one seed.
enum StreamId : uint64_t { kX = 1, kCodes, kScales, kZeros, kBias, kResidual, kRowScale };

RandomArguments Matrix(DevicePointer out, int64_t rows, int64_t columns, int32_t kind, uint64_t seed, StreamId id,
                       float low, float high, int32_t bits = 0) {
  return {out, rows, columns, seed * 16 + id, low, high, kind, bits};
}

int32_t Uniform(DataType type) {
  switch (type) {
    case DataType::kF16:
      return kRandomF16;
    case DataType::kBF16:
      return kRandomBF16;
    case DataType::kF32:
      return kRandomF32;
    case DataType::kE4M3:
      return kRandomScaleE4M3;
    case DataType::kE8M0:
      return kRandomE8M0;
    case DataType::kE5M2:
    case DataType::kI8:
      return kRandomBytes;
    case DataType::kI32:
      break;  // of no operand
  }
  return kRandomF32;
}

// A weight's scales.
RandomArguments Scales(DevicePointer out, const PackedLayout& layout, const NormalizedOperator& op, uint64_t seed) {
  // The root mean square of what the kind draws, of 2^-8 to 2^-1 and of e4m3 below 2.
  const DataType type = op.weight().scale;
  const int shift = ScaleShift(op, type == DataType::kE8M0 ? 0.2 : type == DataType::kE4M3 ? 0.6 : 0.02);
  const float smaller = std::ldexp(1.0f, -shift);
  return Matrix(out, layout.n, layout.groups, Uniform(type), seed, kScales, 0.005f * smaller, 0.03f * smaller, shift);
}

// An operand of 8-bit activations; core/reference/operand_draw.h says why small.
int32_t Codes8(DataType type, bool small) {
  if (!small) return kRandomBytes;
  return type == DataType::kI8 ? kRandomSmallI8 : type == DataType::kE5M2 ? kRandomSmallE5M2 : kRandomSmallE4M3;
}

absl::Status AllocatePlanes(int64_t codes, int64_t scales, int64_t zeros, Memory& codes_out, Memory& scales_out,
                            Memory& zeros_out) {
  LADDER_ASSIGN_OR_RETURN(codes_out, Memory::Allocate(codes));
  LADDER_ASSIGN_OR_RETURN(scales_out, Memory::Allocate(scales));
  LADDER_ASSIGN_OR_RETURN(zeros_out, Memory::Allocate(zeros));
  return absl::OkStatus();
}

int64_t MiB(int64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; }

}  // namespace

void WorkloadData::Clear() {
  weight_key_.clear();
  natural_ = Planes();
  packed_ = Planes();
  copies_.clear();
  bias_.Free();
  workspace_.Free();
  FreeRows();
}

void WorkloadData::FreeRows() {
  for (Memory* memory : {&x_, &row_scale_, &residual_, &y_, &reference_, &magnitude_}) memory->Free();
  rows_ = reference_rows_ = reference_count_ = 0;
}

int64_t WorkloadData::HeldBytes() const {
  int64_t bytes = natural_.bytes() + packed_.bytes();
  for (const Planes& copy : copies_) bytes += copy.bytes();
  for (const Memory* memory : {&bias_, &x_, &row_scale_, &residual_, &y_, &workspace_, &reference_, &magnitude_})
    bytes += memory->bytes();
  return bytes;
}

PlanePointers WorkloadData::natural() const {
  return layout_.placement == CodePlacement::kNatural ? packed_.pointers() : natural_.pointers();
}

WeightPointers WorkloadData::weight(int copy) const {
  const Planes& planes = copy == 0 ? packed_ : copies_[copy - 1];
  return {planes.codes.pointer(), planes.scales.pointer(), planes.zeros.pointer(), bias_.pointer()};
}

EpilogueArguments WorkloadData::epilogue() const {
  return {workload_.op.residual() ? residual_.pointer() : 0, workload_.op.scales_output() ? kOutputScale : 1.0f,
          row_scale_.pointer(), workload_.op.scales_sums() ? kSumScale : 1.0f};
}

absl::Status WorkloadData::Prepare(const Workload& workload, bool for_reference, const SupportKernels& support) {
  const std::string weight_key = absl::StrCat(workload.op.ToString(), " seed=", workload.seed);
  const bool same_weight = weight_key == weight_key_;
  if (!same_weight) Clear();
  workload_ = workload;
  layout_ = PackedLayout::For(workload.op);
  const NormalizedOperator& op = workload.op;

  const bool packs = layout_.placement != CodePlacement::kNatural;
  const int64_t natural_bytes =
      packs ? NaturalWeightBytes(layout_) + NaturalScaleBytes(layout_) + NaturalZeroBytes(layout_) : 0;
  const int64_t packed_bytes = layout_.weight_bytes() + layout_.scale_bytes() + layout_.zero_bytes();
  const int64_t x_bytes = workload.m * op.k() * Bytes(op.activation());
  const int64_t y_bytes = workload.m * op.columns() * Bytes(op.out()) + 2 * kGuardBytes;
  const int64_t residual_bytes = op.residual() ? workload.m * op.columns() * Bytes(op.out()) : 0;
  const int64_t least_reference =
      for_reference ? std::min(workload.m, kLeastReferenceRows) * op.columns() * kReferenceBytes : 0;
  const int64_t needed =
      (for_reference ? natural_bytes : 0) + packed_bytes + x_bytes + residual_bytes + y_bytes + least_reference;
  if (needed > budget_) {
    return absl::ResourceExhaustedError(absl::StrCat("checking this operator at m = ", workload.m, " takes ",
                                                     MiB(needed), " MiB of GPU memory and the budget is ", MiB(budget_),
                                                     " MiB: raise the GPU memory budget"));
  }
  if (workload.m > rows_) FreeRows();
  // What another M or a profile left behind makes room first.
  const auto fits = [&] {
    int64_t missing = same_weight ? 0 : packed_bytes;
    if (for_reference && natural_.codes.bytes() == 0) missing += natural_bytes;
    if (for_reference && reference_rows_ == 0) missing += least_reference;
    if (rows_ == 0) missing += x_bytes + residual_bytes + y_bytes;
    return HeldBytes() + missing <= budget_;
  };
  if (!fits()) copies_.clear();
  if (!fits()) FreeRows();

  if (!same_weight) {
    LADDER_RETURN_IF_ERROR(MakeWeight(support, false));
    weight_key_ = weight_key;
  } else if (for_reference && packs && natural_.codes.bytes() == 0) {
    LADDER_RETURN_IF_ERROR(MakeWeight(support, true));
  }
  if (rows_ == 0) {
    LADDER_ASSIGN_OR_RETURN(x_, Memory::Allocate(x_bytes));
    LADDER_ASSIGN_OR_RETURN(y_, Memory::Allocate(y_bytes));
    const OperandDraw draw = DrawFor(op);
    const bool small = draw.small_x != 0;
    // Products of 16 bits take all finite codes.
    const bool fp8 = op.activation() == DataType::kE4M3 || op.activation() == DataType::kE5M2;
    const int32_t kind = op.widens() && fp8            ? kRandomE4M3
                         : Bytes(op.activation()) == 1 ? Codes8(op.activation(), small)
                                                       : Uniform(op.activation());
    const auto greatest = static_cast<float>(Bytes(op.activation()) == 1 && small ? draw.small_x : 1);
    LADDER_RETURN_IF_ERROR(support.Random(
        Matrix(x_.pointer(), workload.m, op.k(), kind, workload.seed, kX, -greatest, greatest), stream_));
    if (const int64_t bytes = op.activation_scale_row_bytes(); bytes != 0) {
      LADDER_ASSIGN_OR_RETURN(row_scale_, Memory::Allocate(workload.m * bytes));
      const DataType type = op.activation_scale_type();
      LADDER_RETURN_IF_ERROR(support.Random(Matrix(row_scale_.pointer(), workload.m, bytes / Bytes(type), Uniform(type),
                                                   workload.seed, kRowScale, draw.least_scale, draw.greatest_scale),
                                            stream_));
    }
    if (op.residual()) {
      LADDER_ASSIGN_OR_RETURN(residual_, Memory::Allocate(residual_bytes));
      LADDER_RETURN_IF_ERROR(support.Random(
          Matrix(residual_.pointer(), workload.m, op.columns(), Uniform(op.out()), workload.seed, kResidual, -1, 1),
          stream_));
    }
    rows_ = workload.m;
  }
  return stream_.Synchronize();
}

absl::Status WorkloadData::MakeWeight(const SupportKernels& support, bool natural_only) {
  const NormalizedOperator& op = workload_.op;
  const uint64_t seed = workload_.seed;
  if (!natural_only) {
    LADDER_RETURN_IF_ERROR(AllocatePlanes(layout_.weight_bytes(), layout_.scale_bytes(), layout_.zero_bytes(),
                                          packed_.codes, packed_.scales, packed_.zeros));
    if (op.bias()) {
      LADDER_ASSIGN_OR_RETURN(bias_, Memory::Allocate(op.n() * Bytes(op.bias_type())));
      LADDER_RETURN_IF_ERROR(
          support.Random(Matrix(bias_.pointer(), 1, op.n(), Uniform(op.bias_type()), seed, kBias, -1, 1), stream_));
    }
  }
  if (layout_.placement == CodePlacement::kNatural) {
    const DataType type = CodeType(op.weight().element);
    const bool small = layout_.bits == 8 && DrawFor(op).small_w;
    const int32_t kind = layout_.bits == 8 ? Codes8(type, small) : Uniform(type);
    const float greatest = small ? kSmallOperand : 0.125f;
    LADDER_RETURN_IF_ERROR(support.Random(
        Matrix(packed_.codes.pointer(), layout_.n, layout_.k, kind, seed, kCodes, -greatest, greatest), stream_));
    if (layout_.groups == 0) return absl::OkStatus();
    return support.Random(Scales(packed_.scales.pointer(), layout_, op, seed), stream_);
  }
  LADDER_RETURN_IF_ERROR(AllocatePlanes(NaturalWeightBytes(layout_), NaturalScaleBytes(layout_),
                                        NaturalZeroBytes(layout_), natural_.codes, natural_.scales, natural_.zeros));
  const ElementType& element = op.weight().element;
  const int32_t kind = DrawFor(op).small_w      ? Codes8(CodeType(element), true)
                       : DrawsBelowTwo(element) ? kRandomE4M3
                                                : kRandomCodes;
  LADDER_RETURN_IF_ERROR(support.Random(Matrix(natural_.codes.pointer(), layout_.n, layout_.k, kind, seed, kCodes,
                                               -kSmallOperand, kSmallOperand, layout_.bits),
                                        stream_));
  if (layout_.groups > 0) {
    LADDER_RETURN_IF_ERROR(support.Random(Scales(natural_.scales.pointer(), layout_, op, seed), stream_));
  }
  if (layout_.zeros == ZeroMode::kQuantized) {
    LADDER_RETURN_IF_ERROR(support.Random(
        Matrix(natural_.zeros.pointer(), layout_.n, layout_.groups, kRandomCodes, seed, kZeros, 0, 0, layout_.bits),
        stream_));
  } else if (layout_.zeros != ZeroMode::kNone) {
    // Fractional on purpose. Original zeros are in units of codes, rescaled ones in units of weights.
    const float high = layout_.zeros == ZeroMode::kOriginal ? static_cast<float>((1 << layout_.bits) - 1) : 0.3f;
    LADDER_RETURN_IF_ERROR(support.Random(
        Matrix(natural_.zeros.pointer(), layout_.n, layout_.groups, Uniform(layout_.scale), seed, kZeros, 0, high),
        stream_));
  }
  if (natural_only) return absl::OkStatus();
  return support.Pack(layout_, natural_.pointers(), packed_.pointers(), stream_);
}

absl::Status WorkloadData::PrepareWorkspace(int64_t bytes) {
  if (bytes <= 0) return absl::OkStatus();
  if (workspace_.bytes() < bytes) {
    workspace_.Free();
    if (HeldBytes() + bytes > budget_) copies_.clear();
    if (HeldBytes() + bytes > budget_) {
      reference_.Free();
      magnitude_.Free();
      reference_rows_ = reference_count_ = 0;
    }
    if (HeldBytes() + bytes > budget_) {
      return absl::ResourceExhaustedError(absl::StrCat("the kernel's workspace of ", MiB(bytes),
                                                       " MiB does not fit the GPU memory budget of ", MiB(budget_),
                                                       " MiB: raise the budget"));
    }
    LADDER_ASSIGN_OR_RETURN(workspace_, Memory::Allocate(bytes));
  }
  LADDER_RETURN_IF_ERROR(stream_.Fill(workspace_.pointer(), 0, std::min(bytes, kCounterBytes)));
  return stream_.Fill(workspace_.pointer() + kCounterBytes, 0xff, bytes - kCounterBytes);
}

absl::Status WorkloadData::PrepareCopies(int wanted) {
  const int64_t each = packed_.bytes();
  const auto fits = [&] { return HeldBytes() + std::max(0, wanted - copies()) * each <= budget_; };
  if (!fits()) natural_ = Planes();
  if (!fits()) {
    reference_.Free();
    magnitude_.Free();
    reference_rows_ = reference_count_ = 0;
  }
  while (copies() < wanted && HeldBytes() + each <= budget_) {
    Planes copy;
    LADDER_RETURN_IF_ERROR(AllocatePlanes(packed_.codes.bytes(), packed_.scales.bytes(), packed_.zeros.bytes(),
                                          copy.codes, copy.scales, copy.zeros));
    LADDER_RETURN_IF_ERROR(stream_.Copy(copy.codes.pointer(), packed_.codes.pointer(), copy.codes.bytes()));
    LADDER_RETURN_IF_ERROR(stream_.Copy(copy.scales.pointer(), packed_.scales.pointer(), copy.scales.bytes()));
    LADDER_RETURN_IF_ERROR(stream_.Copy(copy.zeros.pointer(), packed_.zeros.pointer(), copy.zeros.bytes()));
    copies_.push_back(std::move(copy));
  }
  return stream_.Synchronize();
}

absl::Status WorkloadData::PoisonOutput(uint8_t poison) {
  LADDER_RETURN_IF_ERROR(stream_.Fill(y_.pointer(), kGuardByte, kGuardBytes));
  LADDER_RETURN_IF_ERROR(stream_.Fill(y(), poison, y_bytes()));
  return stream_.Fill(y() + static_cast<DevicePointer>(y_bytes()), kGuardByte, kGuardBytes);
}

absl::StatusOr<std::string> WorkloadData::CheckGuards() const {
  std::vector<uint8_t> guard(kGuardBytes);
  for (const bool after : {false, true}) {
    const DevicePointer at = after ? y() + static_cast<DevicePointer>(y_bytes()) : y_.pointer();
    LADDER_RETURN_IF_ERROR(stream_.Download(guard.data(), at, kGuardBytes));
    const auto touched = std::ranges::find_if(guard, [](uint8_t byte) { return byte != kGuardByte; });
    if (touched == guard.end()) continue;
    const int64_t offset = touched - guard.begin();
    return after ? absl::StrCat("wrote ", offset, " bytes past the end of y")
                 : absl::StrCat("wrote ", kGuardBytes - offset, " bytes before y");
  }
  return std::string();
}

absl::Status WorkloadData::PrepareReference(int64_t bytes_available) {
  const int64_t row_bytes = workload_.op.columns() * kReferenceBytes;
  const int64_t rows = std::min(workload_.m, bytes_available / row_bytes);
  if (rows < std::min(workload_.m, kLeastReferenceRows)) {
    return absl::ResourceExhaustedError(absl::StrCat("no room for ", kLeastReferenceRows,
                                                     " rows of the reference within the GPU memory budget of ",
                                                     MiB(budget_), " MiB: raise the budget"));
  }
  LADDER_ASSIGN_OR_RETURN(reference_, Memory::Allocate(rows * workload_.op.columns() * 4));
  LADDER_ASSIGN_OR_RETURN(magnitude_, Memory::Allocate(rows * workload_.op.columns() * 4));
  reference_rows_ = rows;
  reference_count_ = 0;
  return absl::OkStatus();
}

absl::Status WorkloadData::ReferenceSlice(int64_t first, int64_t rows, const SupportKernels& support) {
  if (reference_first_ <= first && first + rows <= reference_first_ + reference_count_) return absl::OkStatus();
  LADDER_RETURN_IF_ERROR(support.Reference(workload_.op, first, rows, x(), natural(), bias_.pointer(), epilogue(),
                                           reference_.pointer(), magnitude_.pointer(), stream_));
  reference_first_ = first;
  reference_count_ = rows;
  return absl::OkStatus();
}

absl::Status WorkloadData::MakeReference(const SupportKernels& support) {
  if (reference_rows_ == 0) {
    copies_.clear();
    LADDER_RETURN_IF_ERROR(PrepareReference(budget_ - HeldBytes()));
  }
  return ReferenceSlice(0, std::min(reference_rows_, workload_.m), support);
}

absl::StatusOr<Comparison> WorkloadData::CompareOutput(const ErrorBound& bound, const SupportKernels& support) {
  LADDER_RETURN_IF_ERROR(MakeReference(support));
  const NormalizedOperator& op = workload_.op;
  Comparison total;
  for (int64_t first = 0; first < workload_.m; first += reference_rows_) {
    const int64_t rows = std::min(reference_rows_, workload_.m - first);
    LADDER_RETURN_IF_ERROR(ReferenceSlice(first, rows, support));
    const auto skipped = static_cast<DevicePointer>(4 * (first - reference_first_) * op.columns());
    LADDER_ASSIGN_OR_RETURN(const Comparison slice,
                            support.Compare(y() + static_cast<DevicePointer>(first * op.columns() * Bytes(op.out())),
                                            op.out(), reference_.pointer() + skipped, magnitude_.pointer() + skipped,
                                            rows * op.columns(), first * op.columns(), bound, stream_));
    if (total.first_wrong < 0) total.first_wrong = slice.first_wrong;
    total.wrong += slice.wrong;
    total.worst_ratio = std::max(total.worst_ratio, slice.worst_ratio);
    total.squared_error += slice.squared_error;
    total.squared_reference += slice.squared_reference;
  }
  return total;
}

absl::StatusOr<std::string> WorkloadData::DescribeElement(int64_t index, const ErrorBound& bound,
                                                          const SupportKernels& support) {
  const NormalizedOperator& op = workload_.op;
  const int64_t row = index / op.columns(), column = index % op.columns();
  const int64_t first = row / reference_rows_ * reference_rows_;
  LADDER_RETURN_IF_ERROR(ReferenceSlice(first, std::min(reference_rows_, workload_.m - first), support));
  const int64_t at = (row - reference_first_) * op.columns() + column;
  float reference = 0, magnitude = 0;
  LADDER_RETURN_IF_ERROR(stream_.Download(&reference, reference_.pointer() + static_cast<DevicePointer>(4 * at), 4));
  LADDER_RETURN_IF_ERROR(stream_.Download(&magnitude, magnitude_.pointer() + static_cast<DevicePointer>(4 * at), 4));
  uint8_t bytes[4] = {};
  const int64_t size = Bytes(op.out());
  LADDER_RETURN_IF_ERROR(stream_.Download(bytes, y() + static_cast<DevicePointer>(index * size), size));
  const double allowed = bound.relative * std::fabs(reference) + bound.absolute * magnitude + bound.tiny;
  return absl::StrFormat("y[%d, %d] = %.6g, expected %.6g +- %.3g", row, column, LoadElement(op.out(), bytes, 0),
                         reference, allowed);
}

}  // namespace ladder::cuda
