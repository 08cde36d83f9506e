// ldmatrix, mma.sync and wgmma. Products of 16-bit values are exact in fp32; a k16 step adds its 16 products and the
// accumulator in double and rounds once, so a result doesn't depend on the machine.
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
  float* c;
  const uint32_t* a;
  uint32_t b[2];
};

struct WgmmaOperand {
  float* accumulators;
  const uint32_t* a;
  uint64_t a_descriptor, b_descriptor;
  uint32_t accumulate;
};

// Element (row, column) of a 16 x 16 A fragment: register and half in the lane that holds it.
float AFragment(int type, const uint32_t* const* lanes, int row, int column) {
  const int lane = row % 8 * 4 + column % 8 / 2;
  const uint32_t word = lanes[lane][row / 8 + 2 * (column / 8)];
  return ToFloat(type, word >> (16 * (column & 1)) & 0xffff);
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

void LoadTile(SharedMemory& shared, int type, uint64_t descriptor, int rows, float (*out)[16]) {
  const SharedTile tile(descriptor);
  for (int row = 0; row < rows; ++row) {
    for (int chunk = 0; chunk < 2; ++chunk) {
      const uint16_t* values = shared.LoadAsyncProxy(tile.Address(row, chunk));
      for (int i = 0; i < 8; ++i) out[row][8 * chunk + i] = ToFloat(type, values[i]);
    }
  }
}

float Accumulate(float c, const float* a, const float* b) {
  double sum = c;
  for (int k = 0; k < 16; ++k) sum += static_cast<double>(a[k] * b[k]);
  return static_cast<float>(sum);
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

void Block::Mma16816(int type, float* c, const uint32_t* a, uint32_t b0, uint32_t b1) {
  MmaOperand operand{c, a, {b0, b1}};
  if (!MeetWarp("mma_16816", type, &operand)) return;
  MmaOperand* lanes[32];
  const uint32_t* a_lanes[32];
  for (int i = 0; i < 32; ++i) {
    lanes[i] = static_cast<MmaOperand*>(warp().rendezvous.operands[i]);
    a_lanes[i] = lanes[i]->a;
  }
  float a_tile[16][16], b_tile[8][16];
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; ++k) a_tile[row][k] = AFragment(type, a_lanes, row, k);
  }
  for (int n = 0; n < 8; ++n) {
    for (int k = 0; k < 16; ++k) {
      b_tile[n][k] = ToFloat(type, lanes[4 * n + k % 8 / 2]->b[k / 8] >> (16 * (k & 1)) & 0xffff);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      float& value = lanes[lane]->c[i];
      value = Accumulate(value, a_tile[lane / 4 + 8 * (i >> 1)], b_tile[2 * (lane % 4) + (i & 1)]);
    }
  }
  ReleaseWarp();
}

void Block::IssueWgmma(int type, int n, float* accumulators, const uint32_t* a, uint64_t a_descriptor,
                       uint64_t b_descriptor, uint32_t accumulate) {
  const int first = thread() & ~127;
  if (n % 8 != 0 || n < 8 || n > 256) scheduler_.Fail("wgmma: N = %d, where multiples of 8 from 8 to 256 exist", n);
  if (first + 128 > launch_.threads) scheduler_.Fail("wgmma: the last warp group has fewer than 128 threads");
  WgmmaOperand operand{accumulators, a, a_descriptor, b_descriptor, accumulate};
  Rendezvous& rendezvous = warp_groups_[thread() / 128];
  const uint64_t immediate = static_cast<uint64_t>(type) << 32 | static_cast<uint64_t>(a != nullptr) << 16 | n;
  if (!Meet(rendezvous, first, 128, "wgmma", immediate, &operand)) return;

  for (uint64_t descriptor : {b_descriptor, a != nullptr ? b_descriptor : a_descriptor}) {
    if (descriptor >> 49 & 7) scheduler_.Fail("wgmma: a descriptor's base offset (bits 49-51) is not 0");
  }
  auto wgmma = std::make_shared<Wgmma>();
  wgmma->type = type;
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
  float a_tile[64][16], b_tile[256][16];
  LoadTile(shared_, wgmma.type, wgmma.b_descriptor, wgmma.n, b_tile);
  if (wgmma.a_in_registers) {
    for (int row = 0; row < 64; ++row) {
      for (int k = 0; k < 16; ++k) a_tile[row][k] = AFragment(wgmma.type, wgmma.a + row / 16 * 32, row % 16, k);
    }
  } else {
    LoadTile(shared_, wgmma.type, wgmma.a_descriptor, 64, a_tile);
  }
  for (int t = 0; t < 128; ++t) {
    std::vector<float>& values = accumulators_[wgmma.accumulators[t]].values;
    for (int i = 0; i < wgmma.n / 2; ++i) {
      const int row = t / 32 * 16 + t % 32 / 4 + 8 * (i >> 1 & 1);
      const int column = i / 4 * 8 + 2 * (t % 4) + (i & 1);
      values[i] = Accumulate(wgmma.accumulate ? values[i] : 0.0f, a_tile[row], b_tile[column]);
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
