#include "core/layout/packed_layout.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace ladder {
namespace {

constexpr int64_t kBlockRows = 64;
constexpr int64_t kBlockColumns = 64;
constexpr int64_t kBlockBytes = 2048;

int64_t RoundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

int64_t RowBytes(int64_t columns, int bits) { return (columns * bits + 7) / 8; }

uint32_t GetNibble(std::span<const uint8_t> data, int64_t row_bytes, int64_t row, int64_t column) {
  return (data[row * row_bytes + column / 2] >> (4 * (column % 2))) & 15;
}

void SetNibble(std::span<uint8_t> data, int64_t at, int shift, uint32_t value) {
  data[at] = static_cast<uint8_t>((data[at] & ~(15 << shift)) | (value << shift));
}

// Byte and shift of a row's 4-bit zero within its group's 32 bytes.
std::pair<int64_t, int> ZeroPosition(int64_t row_in_block) {
  const int64_t tile = row_in_block / 16;
  return {8 * tile + row_in_block % 8, static_cast<int>(row_in_block % 16 / 8 * 4)};
}

absl::Status CheckSize(absl::string_view what, size_t have, int64_t want) {
  if (static_cast<int64_t>(have) == want) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", have, " bytes given, ", want, " needed"));
}

absl::Status CheckSizes(const PackedLayout& layout, size_t codes, size_t scales, size_t zeros, size_t packed,
                        size_t packed_scales, size_t packed_zeros) {
  for (const auto& [what, have, want] :
       {std::tuple{"codes", codes, NaturalWeightBytes(layout)}, std::tuple{"scales", scales, NaturalScaleBytes(layout)},
        std::tuple{"zeros", zeros, NaturalZeroBytes(layout)}, std::tuple{"packed codes", packed, layout.weight_bytes()},
        std::tuple{"packed scales", packed_scales, layout.scale_bytes()},
        std::tuple{"packed zeros", packed_zeros, layout.zero_bytes()}}) {
    if (absl::Status status = CheckSize(what, have, want); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// Calls visit(natural index, packed index) for each value of a scale-like plane.
template <typename Visit>
void ForEachPlaneElement(const PackedLayout& layout, Visit visit) {
  for (int64_t row = 0; row < layout.n; row++) {
    const int64_t packed = layout.PackedRow(row);
    for (int64_t group = 0; group < layout.groups; group++) {
      visit(row * layout.groups + group,
            (packed / kBlockRows * layout.groups + group) * kBlockRows + packed % kBlockRows);
    }
  }
}

// The same bits where the types agree, whatever they are; else the same number.
void CopyElement(DataType from_type, std::span<const uint8_t> from, int64_t from_index, DataType to_type,
                 std::span<uint8_t> to, int64_t to_index) {
  if (from_type == to_type) {
    const int64_t bytes = Bytes(to_type);
    std::memcpy(to.data() + to_index * bytes, from.data() + from_index * bytes, bytes);
  } else {
    StoreElement(to_type, to.data(), to_index, LoadElement(from_type, from.data(), from_index));
  }
}

// Calls visit(row, group, packed byte offset, packed shift) for each 4-bit zero.
template <typename Visit>
void ForEachZeroCode(const PackedLayout& layout, Visit visit) {
  for (int64_t row = 0; row < layout.n; row++) {
    const int64_t packed = layout.PackedRow(row);
    for (int64_t group = 0; group < layout.groups; group++) {
      const auto [byte, shift] = ZeroPosition(packed % kBlockRows);
      visit(row, group, (packed / kBlockRows * layout.groups + group) * 32 + byte, shift);
    }
  }
}

// What packing does to scales, in the layout's id.
absl::string_view ScaleWidening(DataType scale) {
  switch (scale) {
    case DataType::kE4M3:
      return ".e4m3_fp16";
    case DataType::kE8M0:
      return ".e8m0_bf16";
    case DataType::kF16:
    case DataType::kBF16:
    case DataType::kF32:
    case DataType::kE5M2:
    case DataType::kI8:
    case DataType::kI32:
      break;
  }
  return "";
}

}  // namespace

DataType PackedScaleType(DataType scale) {
  return scale == DataType::kE8M0 ? DataType::kBF16 : scale == DataType::kE4M3 ? DataType::kF16 : scale;
}

PackedLayout PackedLayout::For(const NormalizedOperator& op) {
  const WeightType& weight = op.weight();
  PackedLayout layout;
  layout.n = op.n();
  layout.k = op.k();
  layout.bits = weight.element.bits;
  layout.placement = !weight.element.quantized() ? CodePlacement::kNatural
                     : weight.element.tabular()  ? CodePlacement::kTable
                                                 : CodePlacement::kInteger;
  layout.gated = op.act() == ActivationFunction::kSwiglu;
  layout.offset_binary = weight.element.kind == ElementKind::kSigned;
  if (weight.has_scale) {
    layout.groups = op.k() / weight.group;
    layout.scale = weight.scale;
    layout.zeros = weight.zeros;
  }
  return layout;
}

std::string PackedLayout::id() const {
  if (placement == CodePlacement::kNatural) return "natural.b16";
  return absl::StrCat("k16.b", bits, placement == CodePlacement::kTable ? ".table" : ".integer",
                      offset_binary ? ".offset" : "", ScaleWidening(scale), zeros == ZeroMode::kQuantized ? ".z4" : "",
                      gated ? ".gate_up8" : "");
}

int64_t PackedLayout::padded_n() const { return placement == CodePlacement::kNatural ? n : RoundUp(n, kBlockRows); }
int64_t PackedLayout::padded_k() const { return placement == CodePlacement::kNatural ? k : RoundUp(k, kBlockColumns); }
int64_t PackedLayout::weight_bytes() const { return padded_n() * padded_k() * bits / 8; }
int64_t PackedLayout::scale_bytes() const { return groups * RoundUp(n, kBlockRows) * Bytes(PackedScaleType(scale)); }
int64_t PackedLayout::zero_bytes() const {
  switch (zeros) {
    case ZeroMode::kNone:
      return 0;
    case ZeroMode::kQuantized:
      return groups * RoundUp(n, kBlockRows) / 2;
    case ZeroMode::kOriginal:
    case ZeroMode::kRescale:
      return scale_bytes();
  }
  return 0;
}

int64_t NaturalWeightBytes(const PackedLayout& layout) { return layout.n * RowBytes(layout.k, layout.bits); }
int64_t NaturalScaleBytes(const PackedLayout& layout) { return layout.n * layout.groups * Bytes(layout.scale); }
int64_t NaturalZeroBytes(const PackedLayout& layout) {
  switch (layout.zeros) {
    case ZeroMode::kNone:
      return 0;
    case ZeroMode::kQuantized:
      return layout.n * RowBytes(layout.groups, layout.bits);
    case ZeroMode::kOriginal:
    case ZeroMode::kRescale:
      return NaturalScaleBytes(layout);
  }
  return 0;
}

int64_t PackedLayout::PackedRow(int64_t row) const {
  if (!gated) return row;
  const int64_t up = row >= n / 2 ? 1 : 0;
  const int64_t column = row - up * (n / 2);  // of Y
  return column / 8 * 16 + 8 * up + column % 8;
}

PackedLayout::Position PackedLayout::Find(int64_t natural_row, int64_t column) const {
  const int64_t row = PackedRow(natural_row);
  const int64_t block = row / kBlockRows * (padded_k() / kBlockColumns) + column / kBlockColumns;
  const int64_t r = row % 16;     // within the row tile
  const int64_t c = column % 16;  // within the k16 step
  const int64_t lane = r % 8 * 4 + c % 8 / 2;
  const int reg = static_cast<int>(r / 8 + c / 8 * 2);
  const int element = static_cast<int>(c % 2);
  const int64_t tile = row % kBlockRows / 16;
  const int64_t step = column % kBlockColumns / 16;
  return {block * kBlockBytes + tile * 512 + lane * 16 + step * 4,
          placement == CodePlacement::kTable ? 8 * reg + 4 * element : 4 * reg + 16 * element};
}

absl::Status PackReference(const PackedLayout& layout, std::span<const uint8_t> codes, std::span<const uint8_t> scales,
                           std::span<const uint8_t> zeros, std::span<uint8_t> packed, std::span<uint8_t> packed_scales,
                           std::span<uint8_t> packed_zeros) {
  const absl::Status sizes = CheckSizes(layout, codes.size(), scales.size(), zeros.size(), packed.size(),
                                        packed_scales.size(), packed_zeros.size());
  if (!sizes.ok()) return sizes;
  if (layout.placement == CodePlacement::kNatural) {
    std::ranges::copy(codes, packed.begin());
    return absl::OkStatus();
  }
  std::ranges::fill(packed, 0);
  std::ranges::fill(packed_scales, 0);
  std::ranges::fill(packed_zeros, 0);
  const int64_t row_bytes = RowBytes(layout.k, layout.bits);
  const uint32_t flip = layout.offset_binary ? 8 : 0;  // adding 8 modulo 16 flips the top bit
  for (int64_t row = 0; row < layout.n; row++) {
    for (int64_t column = 0; column < layout.k; column++) {
      const PackedLayout::Position at = layout.Find(row, column);
      SetNibble(packed, at.word_offset + at.shift / 8, at.shift % 8, GetNibble(codes, row_bytes, row, column) ^ flip);
    }
  }
  const DataType natural_type = layout.scale, packed_type = PackedScaleType(layout.scale);
  ForEachPlaneElement(layout, [&](int64_t natural, int64_t at) {
    CopyElement(natural_type, scales, natural, packed_type, packed_scales, at);
  });
  if (layout.zeros == ZeroMode::kQuantized) {
    const int64_t zero_row_bytes = RowBytes(layout.groups, layout.bits);
    ForEachZeroCode(layout, [&](int64_t row, int64_t group, int64_t at, int shift) {
      SetNibble(packed_zeros, at, shift, GetNibble(zeros, zero_row_bytes, row, group));
    });
  } else if (layout.zeros != ZeroMode::kNone) {
    ForEachPlaneElement(layout, [&](int64_t natural, int64_t at) {
      CopyElement(natural_type, zeros, natural, packed_type, packed_zeros, at);
    });
  }
  return absl::OkStatus();
}

absl::Status UnpackReference(const PackedLayout& layout, std::span<const uint8_t> packed,
                             std::span<const uint8_t> packed_scales, std::span<const uint8_t> packed_zeros,
                             std::span<uint8_t> codes, std::span<uint8_t> scales, std::span<uint8_t> zeros) {
  const absl::Status sizes = CheckSizes(layout, codes.size(), scales.size(), zeros.size(), packed.size(),
                                        packed_scales.size(), packed_zeros.size());
  if (!sizes.ok()) return sizes;
  if (layout.placement == CodePlacement::kNatural) {
    std::ranges::copy(packed, codes.begin());
    return absl::OkStatus();
  }
  std::ranges::fill(codes, 0);
  std::ranges::fill(zeros, 0);
  const int64_t row_bytes = RowBytes(layout.k, layout.bits);
  const uint32_t flip = layout.offset_binary ? 8 : 0;
  for (int64_t row = 0; row < layout.n; row++) {
    for (int64_t column = 0; column < layout.k; column++) {
      const PackedLayout::Position at = layout.Find(row, column);
      const uint32_t code = (packed[at.word_offset + at.shift / 8] >> (at.shift % 8)) & 15;
      SetNibble(codes, row * row_bytes + column / 2, static_cast<int>(4 * (column % 2)), code ^ flip);
    }
  }
  const DataType natural_type = layout.scale, packed_type = PackedScaleType(layout.scale);
  ForEachPlaneElement(layout, [&](int64_t natural, int64_t at) {
    CopyElement(packed_type, packed_scales, at, natural_type, scales, natural);
  });
  if (layout.zeros == ZeroMode::kQuantized) {
    const int64_t zero_row_bytes = RowBytes(layout.groups, layout.bits);
    ForEachZeroCode(layout, [&](int64_t row, int64_t group, int64_t at, int shift) {
      SetNibble(zeros, row * zero_row_bytes + group / 2, static_cast<int>(4 * (group % 2)),
                (packed_zeros[at] >> shift) & 15);
    });
  } else if (layout.zeros != ZeroMode::kNone) {
    ForEachPlaneElement(layout, [&](int64_t natural, int64_t at) {
      CopyElement(packed_type, packed_zeros, at, natural_type, zeros, natural);
    });
  }
  return absl::OkStatus();
}

}  // namespace ladder
