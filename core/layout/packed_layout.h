// How a quantised weight lies in memory: one packing serves every kernel and every M. See design notes in
// layout/README.md.
#ifndef LADDER_CORE_LAYOUT_PACKED_LAYOUT_H_
#define LADDER_CORE_LAYOUT_PACKED_LAYOUT_H_

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "core/operator/operator.h"

namespace ladder {

enum class CodePlacement : uint8_t {
  kNatural = 0,  // fp16/bf16 weights: row-major N x K, not packed
  kInteger = 1,  // element h of A register i in bits 16h + 4i of the lane's word
  kTable = 2,    // in bits 8i + 4h
};

// The type of a packed scale plane's values. Scales of 8 bits are widened by packing, exactly: e8m0 to bf16, whose
// exponent it is (fp16 would overflow), e4m3 to fp16. Kernels then know 16-bit scales only, at the price of a byte for
// each group.
DataType PackedScaleType(DataType scale);

// Blocks of 64 rows x 64 columns (4 bits), 2,048 bytes each, in the order [N/64][K/64][4 row tiles][32 lanes][4 words]:
// word f of lane t in tile r holds rows 16r + t/4 (+8), columns 16f + 2(t%4) + {0,1} (+8) of the block. N pads to 64, K
// to 64; padding codes decode to a finite value (kernels neutralise padded k by zero activations and drop padded rows).
// Gate and up rows (swiglu): row 16t + r of the packed weight is gate row 8t + r for r < 8, and row 16t + 8 + r up row
// 8t + r, that is natural row N/2 + 8t + r; scales and zeros likewise. So a lane of a fragment holds both sums of a
// column of Y.
// Scales and zeros: [ceil(N/64)][K/group][64] in the order of the packed rows; quantized (4-bit) zeros: 32 bytes per 64
// rows, byte 8 * tile + r holds row 16 * tile + r in its low and row 16 * tile + r + 8 in its high half.
struct PackedLayout {
  CodePlacement placement = CodePlacement::kNatural;
  int64_t n = 0;
  int64_t k = 0;
  int bits = 0;
  int64_t groups = 0;               // K / group, or 0 without scales
  DataType scale = DataType::kF16;  // in the natural form; packed: PackedScaleType
  ZeroMode zeros = ZeroMode::kNone;
  bool gated = false;          // gate and up rows interleaved by 8
  bool offset_binary = false;  // signed codes: two's complement in, code + 2^(bits-1) packed

  static PackedLayout For(const NormalizedOperator& op);

  // "k16.b4.integer.offset", "k16.b4.table.gate_up8" and the like: what must agree between a packed weight and a
  // kernel, besides N, K and group.
  std::string id() const;
  int64_t padded_n() const;
  int64_t padded_k() const;
  int64_t weight_bytes() const;
  int64_t scale_bytes() const;  // 0 without scales
  int64_t zero_bytes() const;   // 0 without zeros

  // Row of the packed weight that holds natural row `row`.
  int64_t PackedRow(int64_t row) const;
  // Where natural code (row, column) lies: byte offset of its 32-bit word and the shift within it. REQUIRES: quantised.
  struct Position {
    int64_t word_offset;
    int shift;
  };
  Position Find(int64_t row, int64_t column) const;
};

// The natural form, as checkpoints have it: codes row-major, `bits` each, little-endian within bytes (code k of a row
// in bits (k * bits) % 8 of byte k * bits / 8), rows byte-aligned; scales and zeros row-major [N][K/group]; quantized
// zeros row-major like codes, 4 bits each, rows byte-aligned. Plain weights are copied as they are. InvalidArgument if
// a span has the wrong size.
absl::Status PackReference(const PackedLayout& layout, std::span<const uint8_t> codes, std::span<const uint8_t> scales,
                           std::span<const uint8_t> zeros, std::span<uint8_t> packed, std::span<uint8_t> packed_scales,
                           std::span<uint8_t> packed_zeros);
// The inverse: the same bits back.
absl::Status UnpackReference(const PackedLayout& layout, std::span<const uint8_t> packed,
                             std::span<const uint8_t> packed_scales, std::span<const uint8_t> packed_zeros,
                             std::span<uint8_t> codes, std::span<uint8_t> scales, std::span<uint8_t> zeros);

// Bytes of the natural form.
int64_t NaturalWeightBytes(const PackedLayout& layout);
int64_t NaturalScaleBytes(const PackedLayout& layout);
int64_t NaturalZeroBytes(const PackedLayout& layout);

}  // namespace ladder

#endif  // LADDER_CORE_LAYOUT_PACKED_LAYOUT_H_
