// ldmatrix, mma.sync and wgmma. Products of 16-bit and 8-bit values are exact in fp32; a step (k16, of 8 bits k32) adds
// its products and the accumulator in double and rounds once, so a result doesn't depend on the machine. Sums of int8
// are exact.
#include <bit>
#include <cstring>

#include "tests/emulator/arithmetic.h"
#include "tests/emulator/block.h"

namespace ladder::emulator {
namespace {

// What accumulators hold while an instruction on them is in flight: a NaN nobody computes.
constexpr uint32_t kInFlightPattern = 0x7fbadbad;

struct MatrixOperand {
  uint32_t address;
  uint32_t* registers;
};

struct MmaOperand {
  void* c;
  const uint32_t* a;
  uint32_t b[2];
};

struct WgmmaOperand {
  float* accumulators;
  const uint32_t* a;
  uint64_t a_descriptor, b_descriptor;
  uint32_t accumulate;
};

constexpr int kMostColumns = 32;  // of a step

int TypeOfA(int types) { return types & 0xff; }
int TypeOfB(int types) { return types >> 8; }
// Columns of a step, and those that one 32-bit register holds.
int Columns(int types) { return TypeOfB(types) >= kTypeE4M3 ? 32 : 16; }
int PerWord(int type) { return type >= kTypeE4M3 ? 4 : 2; }

// Element `index` of consecutive words.
float Element(int type, const void* words, int index) {
  if (PerWord(type) == 4) return ByteToFloat(type, static_cast<const uint8_t*>(words)[index]);
  uint16_t bits;
  std::memcpy(&bits, static_cast<const uint8_t*>(words) + 2 * index, 2);
  return ToFloat(type, bits);
}

// Element (row, column) of an A fragment of 16 rows: register and place in the lane that holds it.
float AFragment(int type, const uint32_t* const* lanes, int row, int column) {
  const int words = PerWord(type), half = 4 * words;  // of the step's columns
  const int lane = row % 8 * 4 + column % half / words;
  return Element(type, &lanes[lane][row / 8 + 2 * (column / half)], column % words);
}

// A K-major operand behind a descriptor: chunk j (8 columns) of a row, through the swizzle of its address.
struct SharedTile {
  uint32_t start, leading, stride;
  int mode;  // 0: none, 1: 128 bytes, 2: 64, 3: 32

  explicit SharedTile(uint64_t descriptor)
      : start((descriptor & 0x3fff) << 4),
        leading((descriptor >> 16 & 0x3fff) << 4),
        stride((descriptor >> 32 & 0x3fff) << 4),
        mode(static_cast<int>(descriptor >> 62)) {}

  uint32_t Address(int row, int chunk) const {
    const uint32_t group = start + row / 8 * stride;
    switch (mode) {
      case 1: {
        const uint32_t a = group + row % 8 * 128 + chunk * 16;
        return a ^ (a >> 3 & 0x70);
      }
      case 2: {
        const uint32_t a = group + row % 8 * 64 + chunk * 16;
        return a ^ (a >> 3 & 0x30);
      }
      case 3: {
        const uint32_t a = group + row % 8 * 32 + chunk * 16;
        return a ^ (a >> 3 & 0x10);
      }
      default:
        return group + row % 8 * 16 + chunk * leading;
    }
  }
};

void LoadTile(SharedMemory& shared, int type, uint64_t descriptor, int rows, float (*out)[kMostColumns]) {
  const SharedTile tile(descriptor);
  const int each = 4 * PerWord(type);  // columns of 16 bytes
  for (int row = 0; row < rows; ++row) {
    for (int chunk = 0; chunk < 2; ++chunk) {
      const uint16_t* values = shared.LoadAsyncProxy(tile.Address(row, chunk));
      for (int i = 0; i < each; ++i) out[row][each * chunk + i] = Element(type, values, i);
    }
  }
}

// An accumulator's bits after a step. Sums of integers wrap.
uint32_t Accumulate(int types, uint32_t c, const float* a, const float* b) {
  const bool integer = TypeOfB(types) == kTypeI8;
  double sum = integer ? static_cast<double>(static_cast<int32_t>(c)) : std::bit_cast<float>(c);
  for (int k = 0; k < Columns(types); ++k) sum += static_cast<double>(a[k] * b[k]);
  return integer ? static_cast<uint32_t>(static_cast<int64_t>(sum)) : std::bit_cast<uint32_t>(static_cast<float>(sum));
}

}  // namespace

void Block::LoadMatrix(int count, uint32_t* registers, uint32_t address) {
  MatrixOperand operand{address, registers};
  if (!MeetWarp("load_matrix", count, &operand)) return;
  void** operands = warp().rendezvous.operands;
  uint32_t rows[32][4];
  for (int lane = 0; lane < 8 * count; ++lane) {
    shared_.Load(static_cast<MatrixOperand*>(operands[lane])->address, 16, rows[lane], "load_matrix");
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int j = 0; j < count; ++j) {
      static_cast<MatrixOperand*>(operands[lane])->registers[j] = rows[8 * j + lane / 4][lane % 4];
    }
  }
  ReleaseWarp();
}

void Block::Mma(int types, void* c, const uint32_t* a, uint32_t b0, uint32_t b1) {
  MmaOperand operand{c, a, {b0, b1}};
  if (!MeetWarp("mma", types, &operand)) return;
  MmaOperand* lanes[32];
  const uint32_t* a_lanes[32];
  for (int i = 0; i < 32; ++i) {
    lanes[i] = static_cast<MmaOperand*>(warp().rendezvous.operands[i]);
    a_lanes[i] = lanes[i]->a;
  }
  const int b_type = TypeOfB(types), words = PerWord(b_type);
  float a_tile[16][kMostColumns], b_tile[8][kMostColumns];
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < Columns(types); ++k) a_tile[row][k] = AFragment(TypeOfA(types), a_lanes, row, k);
  }
  for (int n = 0; n < 8; ++n) {
    for (int k = 0; k < Columns(types); ++k) {
      b_tile[n][k] = Element(b_type, &lanes[4 * n + k % (4 * words) / words]->b[k / (4 * words)], k % words);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      void* const at = static_cast<uint32_t*>(lanes[lane]->c) + i;
      uint32_t bits;
      std::memcpy(&bits, at, sizeof(bits));
      bits = Accumulate(types, bits, a_tile[lane / 4 + 8 * (i >> 1)], b_tile[2 * (lane % 4) + (i & 1)]);
      std::memcpy(at, &bits, sizeof(bits));
    }
  }
  ReleaseWarp();
}

void Block::IssueWgmma(int types, int n, float* accumulators, const uint32_t* a, uint64_t a_descriptor,
                       uint64_t b_descriptor, uint32_t accumulate) {
  const int first = thread() & ~127;
  if (n % 8 != 0 || n < 8 || n > 256) scheduler_.Fail("wgmma: N = %d, where multiples of 8 from 8 to 256 exist", n);
  if (TypeOfB(types) == kTypeI8 && n > 32 && n % 16 != 0) {
    scheduler_.Fail("wgmma: N = %d, where multiples of 16 exist for integers above 32", n);
  }
  if (first + 128 > launch_.threads) scheduler_.Fail("wgmma: the last warp group has fewer than 128 threads");
  WgmmaOperand operand{accumulators, a, a_descriptor, b_descriptor, accumulate};
  Rendezvous& rendezvous = warp_groups_[thread() / 128];
  const uint64_t immediate = static_cast<uint64_t>(types) << 32 | static_cast<uint64_t>(a != nullptr) << 16 | n;
  if (!Meet(rendezvous, first, 128, "wgmma", immediate, &operand)) return;

  for (uint64_t descriptor : {b_descriptor, a != nullptr ? b_descriptor : a_descriptor}) {
    if (descriptor >> 49 & 7) scheduler_.Fail("wgmma: a descriptor's base offset (bits 49-51) is not 0");
  }
  auto wgmma = std::make_shared<Wgmma>();
  wgmma->types = types;
  wgmma->n = n;
  wgmma->a_in_registers = a != nullptr;
  wgmma->a_descriptor = a_descriptor;
  wgmma->b_descriptor = b_descriptor;
  wgmma->accumulate = accumulate;
  for (int i = 0; i < 128; ++i) {
    const WgmmaOperand& own = *static_cast<WgmmaOperand*>(rendezvous.operands[i]);
    if (own.b_descriptor != b_descriptor || own.a_descriptor != a_descriptor || !own.accumulate != !accumulate) {
      wgmma.reset();
      scheduler_.Fail("divergence: wgmma with other descriptors or scale-d in thread %d", first + i);
    }
    wgmma->accumulators[i] = own.accumulators;
    wgmma->a[i] = own.a;
    if (own.a != nullptr) std::memcpy(wgmma->a_issued[i], own.a, 16);
    Accumulators& state = accumulators_[own.accumulators];
    if (state.in_flight == 0) {
      if (!warps_[(first + i) / 32].fenced) {
        wgmma.reset();
        scheduler_.Fail("wgmma: no wgmma_fence after the wait for, or the first writing of, its accumulators");
      }
      state.values.assign(own.accumulators, own.accumulators + n / 2);
      for (int j = 0; j < n / 2; ++j) own.accumulators[j] = std::bit_cast<float>(kInFlightPattern);
    } else if (state.values.size() != static_cast<size_t>(n / 2)) {
      wgmma.reset();
      scheduler_.Fail("wgmma: accumulators in flight under another N");
    }
    ++state.in_flight;
  }
  for (int w = first / 32; w < first / 32 + 4; ++w) warps_[w].open.push_back(wgmma);
  Release(rendezvous, first, 128);
}

void Block::WgmmaFence() {
  if (!MeetWarp("wgmma_fence", 0, nullptr)) return;
  warp().fenced = true;
  ReleaseWarp();
}

void Block::WgmmaCommit() {
  if (!MeetWarp("wgmma_commit", 0, nullptr)) return;
  warp().groups.push_back(std::move(warp().open));
  warp().open.clear();
  ReleaseWarp();
}

// The first warp that waits completes an instruction for the whole warp group: that is when the operands are read.
// Every warp sees its accumulators at its own wait.
void Block::WgmmaWait(int pending) {
  if (!MeetWarp("wgmma_wait", pending, nullptr)) return;
  Warp& own = warp();
  own.fenced = false;
  while (own.groups.size() > static_cast<size_t>(pending)) {
    for (const std::shared_ptr<Wgmma>& wgmma : own.groups.front()) {
      Compute(*wgmma);
      for (int i = thread() & ~31; i < (thread() | 31) + 1; ++i) Finish(*wgmma, i);
    }
    own.groups.pop_front();
  }
  ReleaseWarp();
}

void Block::Compute(Wgmma& wgmma) {
  if (wgmma.computed) return;
  wgmma.computed = true;
  const int types = wgmma.types;
  float a_tile[64][kMostColumns], b_tile[256][kMostColumns];
  LoadTile(shared_, TypeOfB(types), wgmma.b_descriptor, wgmma.n, b_tile);
  if (wgmma.a_in_registers) {
    for (int row = 0; row < 64; ++row) {
      for (int k = 0; k < Columns(types); ++k) {
        a_tile[row][k] = AFragment(TypeOfA(types), wgmma.a + row / 16 * 32, row % 16, k);
      }
    }
  } else {
    LoadTile(shared_, TypeOfA(types), wgmma.a_descriptor, 64, a_tile);
  }
  for (int t = 0; t < 128; ++t) {
    std::vector<float>& values = accumulators_[wgmma.accumulators[t]].values;
    for (int i = 0; i < wgmma.n / 2; ++i) {
      const int row = t / 32 * 16 + t % 32 / 4 + 8 * (i >> 1 & 1);
      const int column = i / 4 * 8 + 2 * (t % 4) + (i & 1);
      const uint32_t before = wgmma.accumulate ? std::bit_cast<uint32_t>(values[i]) : 0;
      values[i] = std::bit_cast<float>(Accumulate(types, before, a_tile[row], b_tile[column]));
    }
  }
}

void Block::Finish(Wgmma& wgmma, int thread) {
  const int t = thread % 128;
  float* accumulators = wgmma.accumulators[t];
  if (wgmma.a_in_registers && std::memcmp(wgmma.a[t], wgmma.a_issued[t], 16) != 0) {
    scheduler_.Fail("wgmma: thread %d changed the registers of operand A before its wgmma_wait", thread);
  }
  Accumulators& state = accumulators_[accumulators];
  for (int i = 0; i < wgmma.n / 2; ++i) {
    if (std::bit_cast<uint32_t>(accumulators[i]) != kInFlightPattern) {
      scheduler_.Fail("wgmma: thread %d changed its accumulators before its wgmma_wait", thread);
    }
  }
  if (--state.in_flight > 0) return;
  std::copy(state.values.begin(), state.values.end(), accumulators);
  accumulators_.erase(accumulators);
}

}  // namespace ladder::emulator
