#include "core/layout/packed_layout.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/layout/natural_code.h"
#include "core/reference/operand_draw.h"

namespace ladder {
namespace {

constexpr int64_t kBlockRows = 64;
constexpr int64_t kWordBytes = 512;  // of a block, for each word of a lane

// Steps of a block's columns; a lane's element pairs or quadruples.
constexpr int64_t kSteps = 4;
int64_t StepColumns(const PackedLayout& layout) { return layout.k32() ? 32 : 16; }
int64_t BlockColumns(const PackedLayout& layout) { return kSteps * StepColumns(layout); }
// That a lane has of a block and a row tile.
int Words(const PackedLayout& layout) { return layout.k32() ? 2 * layout.bits : layout.bits; }

int64_t RoundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

// Offset in bytes, within a block of `words` words a lane, of word `word` of a lane of a row tile.
int64_t WordOffset(int words, int word, int64_t tile, int64_t lane) {
  int first = 0, chunk = 4;
  while (first + chunk <= word || first + chunk > words) {
    if (first + chunk <= words) {
      first += chunk;
    } else {
      chunk /= 2;
    }
  }
  return first * kWordBytes + ((tile * 32 + lane) * chunk + word - first) * 4;
}

// Adding 2^(bits-1) modulo 2^bits flips the top bit.
uint32_t Flip(const PackedLayout& layout) { return layout.offset_binary ? 1u << (layout.bits - 1) : 0; }

// Quantized zeros of a byte each, not of half a byte.
bool ByteZeros(const PackedLayout& layout) { return layout.bits > 4; }

// Byte and shift of a row's zero within its group's bytes.
std::pair<int64_t, int> ZeroPosition(const PackedLayout& layout, int64_t row_in_block) {
  if (ByteZeros(layout)) return {row_in_block, 0};
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

// Calls visit(row, group, packed byte offset, packed shift) for each quantized zero.
template <typename Visit>
void ForEachZeroCode(const PackedLayout& layout, Visit visit) {
  for (int64_t row = 0; row < layout.n; row++) {
    const int64_t packed = layout.PackedRow(row);
    for (int64_t group = 0; group < layout.groups; group++) {
      const auto [byte, shift] = ZeroPosition(layout, packed % kBlockRows);
      visit(row, group, (packed / kBlockRows * layout.groups + group) * (ByteZeros(layout) ? 64 : 32) + byte, shift);
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

CodePlacement PlacementFor(const NormalizedOperator& op) {
  const WeightType& weight = op.weight();
  const ElementType& element = weight.element;
  const bool bytes = Bytes(op.compute()) == 1, groups = weight.has_scale && weight.group != op.k();
  // What the tensor cores take as it is needs no decode, so nothing to pack it for.
  if (!element.quantized()) return CodePlacement::kNatural;
  if (bytes && element.bits == 8 && !groups && element.kind != ElementKind::kUnsigned) return CodePlacement::kNatural;
  if (!bytes) return element.tabular() && element.bits <= 4 ? CodePlacement::kTable : CodePlacement::kInteger;
  const bool placed = op.compute() == DataType::kI8 || element.bits > 4 || PlacedInFp8(element);
  return placed ? CodePlacement::kBytes : CodePlacement::kByteTable;
}

}  // namespace

DataType PackedScaleType(DataType scale) {
  return scale == DataType::kE8M0 ? DataType::kBF16 : scale == DataType::kE4M3 ? DataType::kF16 : scale;
}

bool PlacedInFp8(const ElementType& element) {
  if (element.kind == ElementKind::kUnsigned) return element.bits <= 4;
  if (element.kind != ElementKind::kFloat) return false;
  const FloatFormat& format = element.format;
  return format == kE4M3 || format == kE5M2 ||
         (format.has_sign && format.specials == FloatSpecials::kNone && format.exponent_bits <= 3 &&
          format.mantissa_bits <= 3);
}

bool HeldByFp8(const ElementType& element) {
  if (element.bits == 8 && element.kind == ElementKind::kFloat && PlacedInFp8(element)) return true;
  if (!std::ranges::all_of(element.Values(), [](float value) { return std::isfinite(value); })) return false;
  const bool looked_up = element.bits <= 4 && (element.ExactIn(DataType::kE4M3) || element.ExactIn(DataType::kE5M2));
  return (PlacedInFp8(element) || looked_up) && Span(element) <= kGreatestSpan;
}

DataType CodeType(const ElementType& element) {
  if (!element.quantized()) return element.plain;
  if (element.kind == ElementKind::kSigned) return DataType::kI8;
  return element.format == kE5M2 ? DataType::kE5M2 : DataType::kE4M3;
}

PackedLayout PackedLayout::For(const NormalizedOperator& op) {
  const WeightType& weight = op.weight();
  PackedLayout layout;
  layout.n = op.n();
  layout.k = op.k();
  layout.bits = weight.element.bits;
  layout.placement = PlacementFor(op);
  layout.gated = op.act() == ActivationFunction::kSwiglu;
  layout.offset_binary =
      layout.placement == CodePlacement::kInteger && weight.element.kind == ElementKind::kSigned && layout.bits > 1;
  if (weight.has_scale) {
    layout.groups = op.k() / weight.group;
    layout.scale = weight.scale;
    layout.zeros = weight.zeros;
  }
  return layout;
}

std::string PackedLayout::id() const {
  if (placement == CodePlacement::kNatural) return absl::StrCat("natural.b", bits);
  const bool table = placement == CodePlacement::kTable || placement == CodePlacement::kByteTable;
  const absl::string_view cells = bits > 4 ? "" : table ? ".table" : k32() ? "" : ".integer";
  const absl::string_view codes = zeros != ZeroMode::kQuantized ? "" : ByteZeros(*this) ? ".z8" : ".z4";
  return absl::StrCat(k32() ? "k32.b" : "k16.b", bits, cells, offset_binary ? ".offset" : "", ScaleWidening(scale),
                      codes, gated ? ".gate_up8" : "");
}

int64_t PackedLayout::padded_n() const { return placement == CodePlacement::kNatural ? n : RoundUp(n, kBlockRows); }
int64_t PackedLayout::padded_k() const {
  return placement == CodePlacement::kNatural ? k : RoundUp(k, BlockColumns(*this));
}
int64_t PackedLayout::weight_bytes() const { return padded_n() * padded_k() * bits / 8; }
int64_t PackedLayout::scale_bytes() const {
  if (placement == CodePlacement::kNatural) return n * groups * Bytes(scale);
  return groups * RoundUp(n, kBlockRows) * Bytes(PackedScaleType(scale));
}
int64_t PackedLayout::zero_bytes() const {
  switch (zeros) {
    case ZeroMode::kNone:
      return 0;
    case ZeroMode::kQuantized:
      return groups * RoundUp(n, kBlockRows) / (ByteZeros(*this) ? 1 : 2);
    case ZeroMode::kOriginal:
    case ZeroMode::kRescale:
      return scale_bytes();
  }
  return 0;
}

int64_t NaturalWeightBytes(const PackedLayout& layout) { return layout.n * NaturalRowBytes(layout.bits, layout.k); }
int64_t NaturalScaleBytes(const PackedLayout& layout) { return layout.n * layout.groups * Bytes(layout.scale); }
int64_t NaturalZeroBytes(const PackedLayout& layout) {
  switch (layout.zeros) {
    case ZeroMode::kNone:
      return 0;
    case ZeroMode::kQuantized:
      return layout.n * NaturalRowBytes(layout.bits, layout.groups);
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

PackedLayout::Position PackedLayout::Find(int64_t natural_row, int64_t column, int bit) const {
  const int64_t row = PackedRow(natural_row);
  const int64_t step_columns = StepColumns(*this), block_columns = BlockColumns(*this);
  const int64_t half = step_columns / 2, elements = half / 4;
  const int64_t block = row / kBlockRows * (padded_k() / block_columns) + column / block_columns;
  const int64_t r = row % 16;               // within the row tile
  const int64_t c = column % step_columns;  // within the step
  const int64_t lane = r % 8 * 4 + c % half / elements;
  const int reg = static_cast<int>(r / 8 + c / half * 2);
  const int element = static_cast<int>(c % elements);
  const int step = static_cast<int>(column % block_columns / step_columns);

  int cell_bits = 0, cell = 0, code = 0;
  switch (placement) {
    case CodePlacement::kNatural:
    case CodePlacement::kInteger:
      cell_bits = 16, cell = element, code = 4 * step + reg;
      break;
    case CodePlacement::kTable:
      cell_bits = 4, cell = 2 * reg + element, code = step;
      break;
    case CodePlacement::kBytes:
      cell_bits = 8, cell = element, code = 4 * step + reg;
      break;
    case CodePlacement::kByteTable:
      cell_bits = 4, cell = 4 * (reg & 1) + element, code = 2 * step + (reg >> 1);
      break;
  }
  const int whole = cell_bits / bits, rest = cell_bits % bits;  // codes in a word's cell, bits at its top
  const int words = Words(*this);
  int word = code / whole, shift = code % whole * bits + bit;
  if (rest != 0 && code >= whole * words) {  // always whole without a rest
    const int in_rest = (code - whole * words) * bits + bit;
    word = in_rest / rest;
    shift = cell_bits - rest + in_rest % rest;
  }
  return {block * kWordBytes * words + WordOffset(words, word, row % kBlockRows / 16, lane), cell * cell_bits + shift};
}

absl::Status PackReference(const PackedLayout& layout, std::span<const uint8_t> codes, std::span<const uint8_t> scales,
                           std::span<const uint8_t> zeros, std::span<uint8_t> packed, std::span<uint8_t> packed_scales,
                           std::span<uint8_t> packed_zeros) {
  const absl::Status sizes = CheckSizes(layout, codes.size(), scales.size(), zeros.size(), packed.size(),
                                        packed_scales.size(), packed_zeros.size());
  if (!sizes.ok()) return sizes;
  if (layout.placement == CodePlacement::kNatural) {
    std::ranges::copy(codes, packed.begin());
    std::ranges::copy(scales, packed_scales.begin());
    return absl::OkStatus();
  }
  std::ranges::fill(packed, 0);
  std::ranges::fill(packed_scales, 0);
  std::ranges::fill(packed_zeros, 0);
  const uint32_t flip = Flip(layout);
  for (int64_t row = 0; row < layout.n; row++) {
    for (int64_t column = 0; column < layout.k; column++) {
      const uint32_t code = NaturalCode(codes, layout.bits, layout.k, row, column) ^ flip;
      for (int bit = 0; bit < layout.bits; bit++) {
        const PackedLayout::Position at = layout.Find(row, column, bit);
        uint8_t& byte = packed[at.word_offset + at.shift / 8];
        byte = static_cast<uint8_t>(byte | (code >> bit & 1) << (at.shift % 8));
      }
    }
  }
  const DataType natural_type = layout.scale, packed_type = PackedScaleType(layout.scale);
  ForEachPlaneElement(layout, [&](int64_t natural, int64_t at) {
    CopyElement(natural_type, scales, natural, packed_type, packed_scales, at);
  });
  if (layout.zeros == ZeroMode::kQuantized) {
    ForEachZeroCode(layout, [&](int64_t row, int64_t group, int64_t at, int shift) {
      const uint32_t code = NaturalCode(zeros, layout.bits, layout.groups, row, group);
      packed_zeros[at] = static_cast<uint8_t>(packed_zeros[at] | code << shift);
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
    std::ranges::copy(packed_scales, scales.begin());
    return absl::OkStatus();
  }
  std::ranges::fill(codes, 0);
  std::ranges::fill(zeros, 0);
  const uint32_t flip = Flip(layout);
  for (int64_t row = 0; row < layout.n; row++) {
    for (int64_t column = 0; column < layout.k; column++) {
      uint32_t code = 0;
      for (int bit = 0; bit < layout.bits; bit++) {
        const PackedLayout::Position at = layout.Find(row, column, bit);
        code |= (packed[at.word_offset + at.shift / 8] >> (at.shift % 8) & 1u) << bit;
      }
      SetNaturalCode(codes, layout.bits, layout.k, row, column, code ^ flip);
    }
  }
  const DataType natural_type = layout.scale, packed_type = PackedScaleType(layout.scale);
  ForEachPlaneElement(layout, [&](int64_t natural, int64_t at) {
    CopyElement(packed_type, packed_scales, at, natural_type, scales, natural);
  });
  if (layout.zeros == ZeroMode::kQuantized) {
    ForEachZeroCode(layout, [&](int64_t row, int64_t group, int64_t at, int shift) {
      const uint32_t code = packed_zeros[at] >> shift & ((1u << layout.bits) - 1);
      SetNaturalCode(zeros, layout.bits, layout.groups, row, group, code);
    });
  } else if (layout.zeros != ZeroMode::kNone) {
    ForEachPlaneElement(layout, [&](int64_t natural, int64_t at) {
      CopyElement(packed_type, packed_zeros, at, natural_type, zeros, natural);
    });
  }
  return absl::OkStatus();
}

}  // namespace ladder
