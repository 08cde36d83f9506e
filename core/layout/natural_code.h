// Codes in the natural form (core/layout/packed_layout.h): rows byte-aligned, little-endian within a row, any width up
// to 8 bits (or 16, byte-aligned).
#ifndef LADDER_CORE_LAYOUT_NATURAL_CODE_H_
#define LADDER_CORE_LAYOUT_NATURAL_CODE_H_

#include <cstdint>
#include <span>

namespace ladder {

inline int64_t NaturalRowBytes(int bits, int64_t columns) { return (columns * bits + 7) / 8; }

inline uint32_t NaturalCode(std::span<const uint8_t> codes, int bits, int64_t columns, int64_t row, int64_t column) {
  const int64_t bit = column * bits;
  const int64_t at = row * NaturalRowBytes(bits, columns) + bit / 8;
  uint32_t word = codes[at];
  if (bit % 8 + bits > 8) word |= static_cast<uint32_t>(codes[at + 1]) << 8;
  return (word >> (bit % 8)) & ((1u << bits) - 1);
}

// REQUIRES: bits <= 8, the code's bits are zero.
inline void SetNaturalCode(std::span<uint8_t> codes, int bits, int64_t columns, int64_t row, int64_t column,
                           uint32_t code) {
  const int64_t bit = column * bits;
  const int64_t at = row * NaturalRowBytes(bits, columns) + bit / 8;
  const uint32_t shifted = code << (bit % 8);
  codes[at] = static_cast<uint8_t>(codes[at] | shifted);
  if (shifted > 0xff) codes[at + 1] = static_cast<uint8_t>(codes[at + 1] | shifted >> 8);
}

}  // namespace ladder

#endif  // LADDER_CORE_LAYOUT_NATURAL_CODE_H_
