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

// Which codes of a lane share a cell, so that decoding is shortest (see PackedLayout).
enum class CodePlacement : uint8_t {
  kNatural = 0,  // weights of 16 bits, and of 8 with activations of 8 and no groups: row-major N x K, not packed; nor
                 // are scales
  // Class k16, for activations of 16 bits.
  kInteger = 1,  // cells of 16 bits: the two halves of a word hold the two elements of A registers
  kTable = 2,    // cells of 4 bits: a word's nibbles are the eight codes of a k16 step. Tables of at most 4 bits
  // Class k32, for activations of 8 bits.
  kBytes = 3,      // cells of 8 bits: the four bytes of a word hold the four elements of A registers
  kByteTable = 4,  // cells of 4 bits: a word's nibbles are the codes of two A registers. Looked up; at most 4 bits
};

// The type of a packed scale plane's values. Scales of 8 bits are widened by packing, exactly: e8m0 to bf16, whose
// exponent it is (fp16 would overflow), e4m3 to fp16. Kernels then know 16-bit scales only, at the price of a byte for
// each group.
DataType PackedScaleType(DataType scale);

// Class k16: blocks of 64 rows x 64 columns, 512 bytes for each bit of a code, in the order [N/64][K/64]. Lane t of row
// tile r holds rows 16r + t/4 (+8), columns 16f + 2(t%4) + {0,1} (+8) of the block, in `bits` words: element h of A
// register i of k16 step f, 32 codes. Class k32: blocks of 64 rows x 128 columns, 1,024 bytes for each bit, in the
// order [N/64][K/128]. Lane t holds columns 32f + 4(t%4) + {0,1,2,3} (+16), in 2 * `bits` words: element h of register
// i of k32 step f, 64 codes. A block stores words in chunks of 4, 4; 4, 2, 1; and so on, the largest first (8 = 4 + 4,
// 7 = 4 + 2 + 1), each [4 row tiles][32 lanes][words of the chunk]. Where a code lies in the words: these are cut into
// cells of C bits, each code belongs to one cell of a word and numbers q = 0 .. C-1 among those of that cell, in any of
// the words:
//   integers, and everything above 4 bits: C = 16, cell h, q = 4f + i, so that `word >> shift` is the pair of register
//   i tables of up to 4 bits:                C = 4, cell 2i + h, q = f, so that `word >> shift` is a step's eight
//   selectors
//   class k32, bytes:                        C = 8, cell h, q = 4f + i: `word >> shift` is register i
//   class k32, looked up:                    C = 4, cell 4(i & 1) + h, q = 2f + (i >> 1): the selectors of two
//   registers
// A cell of C bits holds C / bits codes from its lowest bit up: code q lies in word q / (C / bits). The C % bits bits
// that are left at the cell's top are, from word 0 to the last, one string of bits with the codes for which no cell has
// room. So 4-bit integers are at 16h + 4i of word f, 4-bit tables at 8i + 4h; 3-bit integers are five in each half of
// three words, the sixteenth in the three topmost bits. N pads to 64, K to 64 or 128; padding codes are 0 and decode to
// a finite value (kernels neutralise padded k by zero activations and drop padded rows). Gate and up rows (swiglu): row
// 16t + r of the packed weight is gate row 8t + r for r < 8, and row 16t + 8 + r up row 8t + r, that is natural row N/2
// + 8t + r; scales and zeros likewise. So a lane of a fragment holds both sums of a column of Y. Scales and zeros:
// [ceil(N/64)][K/group][64] in the order of the packed rows; quantized zeros of up to 4 bits: 32 bytes per 64 rows,
// byte 8 * tile + r holds row 16 * tile + r in its low and row 16 * tile + r + 8 in its high half; of more bits: a byte
// each, as scales lie.
struct PackedLayout {
  CodePlacement placement = CodePlacement::kNatural;
  int64_t n = 0;
  int64_t k = 0;
  int bits = 0;
  int64_t groups = 0;               // K / group, or 0 without scales
  DataType scale = DataType::kF16;  // in the natural form; packed: PackedScaleType
  ZeroMode zeros = ZeroMode::kNone;
  bool gated = false;  // gate and up rows interleaved by 8
  bool offset_binary =
      false;  // class k16, signed codes of 2 bits or more: two's complement in, code + 2^(bits-1) packed

  static PackedLayout For(const NormalizedOperator& op);

  // "k16.b4.integer.offset", "k16.b4.table.gate_up8", "k16.b8", "k32.b4", "k32.b4.table" and the like: what must agree
  // between a packed weight and a kernel, besides N, K and group. Up to 4 bits it says which cells.
  std::string id() const;
  bool k32() const { return placement == CodePlacement::kBytes || placement == CodePlacement::kByteTable; }
  int64_t padded_n() const;
  int64_t padded_k() const;
  int64_t weight_bytes() const;
  int64_t scale_bytes() const;  // 0 without scales
  int64_t zero_bytes() const;   // 0 without zeros

  // Row of the packed weight that holds natural row `row`.
  int64_t PackedRow(int64_t row) const;
  // Where bit `bit` of natural code (row, column) lies: byte offset of its 32-bit word and the shift within it.
  // REQUIRES: quantised, bit < bits.
  struct Position {
    int64_t word_offset;
    int shift;
  };
  Position Find(int64_t row, int64_t column, int bit = 0) const;
};

// A code's bits, moved, are those of an e4m3 (or are an fp8 already) of the value times a power of two: of floats with
// at most 3 bits each of exponent and mantissa, and of unsigned integers of at most 4 bits, since e4m3's numbers below
// 2^-5 are the multiples of 2^-9. Other elements are looked up (kByteTable).
bool PlacedInFp8(const ElementType& element);

// fp8 products take the element: it is 8-bit fp8, or has finite values only that an fp8 type holds all of and that are
// placed or, up to 4 bits, looked up. Values span no more than kGreatestSpan, as sums of them are verified exactly.
bool HeldByFp8(const ElementType& element);

// The type of a code that is multiplied as it is. REQUIRES: the element is plain, int8 or fp8.
DataType CodeType(const ElementType& element);

// The natural form, as checkpoints have it: codes row-major, `bits` each, little-endian within bytes (code k of a row
// in bits (k * bits) % 8 of byte k * bits / 8), rows byte-aligned; scales and zeros row-major [N][K/group]; quantized
// zeros row-major like codes and as wide, rows byte-aligned. Plain weights are copied as they are. InvalidArgument if
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
