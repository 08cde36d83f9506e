// 16-bit floating point on the host, every operation rounded once.
#ifndef LADDER_TESTS_EMULATOR_ARITHMETIC_H_
#define LADDER_TESTS_EMULATOR_ARITHMETIC_H_

#include <cstdint>

#include "tests/emulator/runtime_table.h"

namespace ladder::emulator {

// Value of one 16-bit number; exact.
float ToFloat(int type, uint16_t bits);
// Value of one 8-bit number; exact.
float ByteToFloat(int type, uint8_t bits);
// Nearest of the type, ties to even; overflow gives infinity, NaN the canonical 0x7fff.
uint16_t RoundToType(int type, double value);
// a * b + c rounded once, on both halves.
uint32_t Fma2(int type, uint32_t a, uint32_t b, uint32_t c);
// a - b rounded once, on both halves.
uint32_t Sub2(int type, uint32_t a, uint32_t b);

}  // namespace ladder::emulator

#endif  // LADDER_TESTS_EMULATOR_ARITHMETIC_H_
