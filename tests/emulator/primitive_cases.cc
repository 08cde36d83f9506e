#include "tests/emulator/primitive_cases.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <ostream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "core/types/data_type.h"
#include "schedules/matmul/wgmma_instruction.h"

namespace ladder::emulator {
namespace {

uint32_t Hash(uint32_t i) {
  i = (i ^ 61) ^ i >> 16;
  i *= 9;
  i ^= i >> 4;
  i *= 0x27d4eb2d;
  return i ^ i >> 15;
}

std::vector<uint32_t> RandomWords(int64_t count, uint32_t seed) {
  std::vector<uint32_t> words(count);
  for (int64_t i = 0; i < count; ++i) words[i] = Hash(static_cast<uint32_t>(i) * 2654435761u + seed);
  return words;
}

// Finite 16-bit numbers of every size: what arithmetic is compared on bit by bit (NaN payloads are nobody's contract).
std::vector<uint32_t> FiniteWords(int64_t count, uint32_t seed, bool bf16) {
  std::vector<uint32_t> words = RandomWords(count, seed);
  const uint32_t exponent = bf16 ? 0x7f80 : 0x7c00, lowest = bf16 ? 0x0080 : 0x0400;
  for (uint32_t& word : words) {
    for (int h = 0; h < 32; h += 16) {
      if ((word >> h & exponent) == exponent) word ^= lowest << h;
    }
  }
  return words;
}

// Whole numbers from -8 to 8: sums of products are exact in any order.
std::vector<uint32_t> WholeNumbers(int64_t count, uint32_t seed, bool bf16) {
  std::vector<uint32_t> words(count);
  for (int64_t i = 0; i < count; ++i) {
    for (int h = 0; h < 32; h += 16) {
      const float value =
          static_cast<float>(static_cast<int>(Hash(static_cast<uint32_t>(i) * 2 + h / 16 + seed) % 17) - 8);
      words[i] |= static_cast<uint32_t>(bf16 ? FloatToBFloat16(value) : FloatToHalf(value)) << h;
    }
  }
  return words;
}

// Both signs and every size that an activation function meets.
float Approximated(uint32_t i) {
  return std::ldexp(i % 2 ? 1.37f : -1.37f, static_cast<int>(i / 2 % 20) - 13) + i / 4e4f;
}

PrimitiveCase Make(std::string name, std::string call, int64_t x_words, int64_t w_words, int64_t y_words) {
  PrimitiveCase c;
  c.name = std::move(name);
  c.call = std::move(call);
  c.x = RandomWords(x_words, 1);
  c.w = RandomWords(w_words, 2);
  c.y_words = y_words;
  c.shared_bytes = 8192;
  return c;
}

void AddTyped(std::vector<PrimitiveCase>& cases, bool bf16) {
  const std::string type = bf16 ? "BF16" : "F16";
  PrimitiveCase arithmetic =
      Make(absl::StrCat("arithmetic_", type), absl::StrCat("arithmetic_kernel<", type, ">(p)"), 0, 0, 1024);
  arithmetic.x = FiniteWords(128, 3, bf16);
  arithmetic.w = FiniteWords(128, 4, bf16);
  cases.push_back(arithmetic);
  for (int offset : {0, 8}) {
    cases.push_back(Make(absl::StrCat("decode_integer_", type, "_", offset),
                         absl::StrCat("decode_integer_kernel<", type, ", ", offset, ">(p)"), 128, 1, 512));
  }
  PrimitiveCase mma = Make(absl::StrCat("mma_", type), absl::StrCat("mma_kernel<", type, ">(p)"), 0, 0, 512);
  mma.x = WholeNumbers(512, 5, bf16);
  mma.w = WholeNumbers(256, 6, bf16);
  cases.push_back(mma);
  for (int n : {8, 64, 136, 256}) {
    for (bool registers : {true, false}) {
      PrimitiveCase c = Make(absl::StrCat("wgmma_", registers ? "rs_" : "ss_", type, "_", n),
                             absl::StrCat("wgmma_kernel<", type, ", ", n, ", ", registers ? "true" : "false", ">(p)"),
                             0, 0, 128 * n / 2);
      c.capability = 90;
      c.wgmma = true;
      c.n = n;
      c.registers = registers;
      c.a_type = c.b_type = bf16 ? DataType::kBF16 : DataType::kF16;
      c.x = WholeNumbers(64 * 32, 7, bf16);
      c.w = WholeNumbers(n * 32, 8, bf16);
      c.shared_bytes = 1024 + 8192 + n * 128;
      cases.push_back(c);
    }
  }
}

struct Type8 {
  DataType type;
  const char* name;
  bool is_unsigned = false;  // whatever DataType says
};

// Small integers of a type, four to a word.
std::vector<uint32_t> WholeBytes(int64_t count, uint32_t seed, DataType type) {
  std::vector<uint32_t> words = RandomWords(count, seed);
  for (uint32_t& word : words) {
    uint8_t bytes[4];
    for (int i = 0; i < 4; ++i) {
      StoreElement(type, bytes, i, static_cast<float>(static_cast<int>(word >> (8 * i) & 15) - 8));
    }
    std::memcpy(&word, bytes, 4);
  }
  return words;
}

// Matrix instructions of 8-bit types, A of the first and B of the second. Small integers: their sums are exact in a
// tensor core's 14 bits.
void AddTyped8(std::vector<PrimitiveCase>& cases, const Type8& a, const Type8& b) {
  const std::string types = absl::StrCat(a.name, ", ", b.name), suffix = absl::StrCat(a.name, "_", b.name);
  PrimitiveCase mma = Make(absl::StrCat("mma_", suffix), absl::StrCat("mma8_kernel<", types, ">(p)"), 0, 0, 512);
  mma.x = WholeBytes(512, 5, a.type);
  mma.w = WholeBytes(256, 6, b.type);
  mma.a_type = a.type;
  mma.unsigned_a = a.is_unsigned;
  mma.b_type = b.type;
  mma.capability = a.type == DataType::kI8 ? 80 : 90;  // fp8: sm_89, whose code no later GPU runs
  cases.push_back(mma);
  for (int n : {8, 32, 144, 256}) {
    for (const bool registers : {false, true}) {
      if (registers && n > 32) continue;
      if (!registers && a.is_unsigned) continue;  // of no schedule
      PrimitiveCase c = Make(absl::StrCat("wgmma_", registers ? "rs_" : "", suffix, "_", n),
                             absl::StrCat("wgmma8_kernel<", types, ", ", n, ", ", registers ? "true" : "false", ">(p)"),
                             0, 0, 128 * n / 2);
      c.capability = 90;
      c.wgmma = true;
      c.n = n;
      c.registers = registers;
      c.a_type = a.type;
      c.b_type = b.type;
      c.unsigned_a = a.is_unsigned;
      c.x = WholeBytes(64 * 32, 7, a.type);
      c.w = WholeBytes(n * 32, 8, b.type);
      c.shared_bytes = 1024 + 8192 + n * 128;
      cases.push_back(c);
    }
  }
}

std::string ReadSource(const std::string& path) {
  std::ifstream file(absl::StrCat(LADDER_SOURCE_ROOT, "/", path), std::ios::binary);
  if (!file) return absl::StrCat("#error \"", LADDER_SOURCE_ROOT, " holds no ", path, "\"\n");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

void PrintTo(const PrimitiveCase& primitive, std::ostream* out) { *out << primitive.name; }

std::vector<PrimitiveCase> PrimitiveCases() {
  std::vector<PrimitiveCase> cases;
  for (bool bf16 : {false, true}) AddTyped(cases, bf16);
  constexpr Type8 kE4M3Type = {DataType::kE4M3, "E4M3"}, kE5M2Type = {DataType::kE5M2, "E5M2"};
  AddTyped8(cases, {DataType::kI8, "I8"}, {DataType::kI8, "I8"});
  AddTyped8(cases, {DataType::kI8, "U8", true}, {DataType::kI8, "I8"});
  for (const Type8& a : {kE4M3Type, kE5M2Type}) {
    for (const Type8& b : {kE4M3Type, kE5M2Type}) AddTyped8(cases, a, b);
  }
  const std::string table =
      "Table4<0x03020100u, 0x07060504u, 0x0b0a0908u, 0x0f0e0d0cu, 0x13121110u, 0x17161514u, 0x1b1a1918u, 0x1f1e1d1cu>";
  cases.push_back(Make("decode_table", absl::StrCat("decode_table_kernel<", table, ">(p)"), 128, 1, 512));
  cases.push_back(Make("decode_table_pairs", absl::StrCat("decode_pair_kernel<", table, ">(p)"), 128, 1, 512));
  cases.back().shared_bytes = 33 * 1024;
  // Every code at every position, then words at random.
  for (PrimitiveCase& c : cases) {
    if (c.name.starts_with("decode")) {
      for (uint32_t code = 0; code < 16; ++code) c.x[code] = 0x11111111u * code;
    }
  }
  PrimitiveCase conversion = Make("e4m3_to_half2", "conversion_kernel(p)", 128, 1, 128);
  for (uint32_t i = 0; i < 128; ++i) conversion.x[i] = 2 * i | (2 * i + 1) << 8;
  conversion.capability = 90;  // sm_89, as above
  cases.push_back(conversion);
  // The hardware's promise, 2^-22 for each, and a rounding of the other side.
  PrimitiveCase approximations = Make("approximations", "approximations_kernel(p)", 128, 1, 384);
  for (uint32_t i = 0; i < 128; ++i) approximations.x[i] = std::bit_cast<uint32_t>(Approximated(i));
  approximations.tolerance = 0x1p-22 + 0x1p-24;
  cases.push_back(approximations);
  cases.push_back(Make("shuffle", "shuffle_kernel(p)", 128, 1, 256));
  PrimitiveCase elect = Make("elect", "elect_kernel(p)", 1, 1, 1);
  elect.capability = 90;
  cases.push_back(elect);
  PrimitiveCase memory = Make("memory", "memory_kernel(p)", 0, 1, 512);
  memory.x = FiniteWords(512, 9, false);
  cases.push_back(memory);
  cases.push_back(Make("load_matrix", "load_matrix_kernel(p)", 512, 1, 768));
  cases.push_back(Make("copy_async", "copy_async_kernel(p)", 512, 128, 640));
  cases.push_back(Make("named_barrier", "named_barrier_kernel(p)", 256, 1, 256));
  PrimitiveCase bulk = Make("copy_bulk", "copy_bulk_kernel(p)", 256 * 7, 1, 256 * 7);
  bulk.m = 7;
  bulk.capability = 90;
  cases.push_back(bulk);
  PrimitiveCase last = Make("last_arriver", "last_arriver_kernel(p)", 1, 1, 128);
  last.blocks = 5;
  last.workspace_words = 32 + 128 * 5;
  cases.push_back(last);
  PrimitiveCase cluster = Make("cluster", "cluster_kernel(p)", 128 * 8, 1, 8 * 128 * 3);
  cluster.blocks = 8;
  cluster.cluster = 4;
  cluster.capability = 90;
  cluster.shared_bytes = 512;
  cases.push_back(cluster);
  for (int swizzle : {0, 32, 64, 128}) {
    // 20 rows of 80 values, boxes of 24 rows starting above the first and ending right of the last column.
    const int columns = swizzle == 0 ? 32 : swizzle / 2;
    PrimitiveCase c = Make(absl::StrCat("copy_tensor_", swizzle),
                           absl::StrCat("copy_tensor_kernel<", 12 * columns, ">(p)"), 20 * 40, 1, 12 * columns);
    c.capability = 90;
    c.m = 80 - columns / 2;
    c.tensor_map = true;
    c.map.rows = 20;
    c.map.columns = 80;
    c.map.box_rows = 24;
    c.map.box_columns = columns;
    c.map.swizzle_bytes = swizzle;
    cases.push_back(c);
  }
  return cases;
}

CompileRequest PrimitiveRequest(const PrimitiveCase& primitive, const std::string& arch) {
  CompileRequest request;
  request.arch = arch;
  request.source.text = absl::StrCat(
      "#include \"tests/emulator/", primitive.wgmma ? "wgmma" : "primitive", "_kernels.cuh\"\n", primitive.declarations,
      "namespace ladder {\nLADDER_KERNEL void LADDER_LAUNCH_BOUNDS(128, 1) ladder_kernel(",
      primitive.tensor_map ? "LADDER_GRID_CONSTANT const MatmulTmaArguments p" : "const MatmulArguments p", ") { ",
      primitive.call, "; }\n}\n");
  for (const char* path : {"tests/emulator/primitive_kernels.cuh", "tests/emulator/wgmma_kernels.cuh"}) {
    request.source.extra_headers[path] = ReadSource(path);
  }
  if (primitive.wgmma) {
    request.source.extra_headers[kWgmmaInstructionHeader] =
        WgmmaInstructionHeader(primitive.registers ? WgmmaSource::kRegisters : WgmmaSource::kShared, primitive.a_type,
                               primitive.b_type, primitive.n, primitive.unsigned_a);
  }
  return request;
}

}  // namespace ladder::emulator
