// Asynchronous copies and what announces their arrival. A copy lands when a thread waits for it, no sooner.
#include <algorithm>
#include <cstring>

#include "tests/emulator/block.h"

namespace ladder::emulator {
namespace {

// An initialised barrier's 8 bytes: anything else there means that it was overwritten or never made.
constexpr uint64_t kBarrierPattern = 0xbabe1e55b0a7f00d;

// The hardware swizzles by address bits: 16-byte chunks are exchanged within lines of 32, 64 or 128 bytes.
uint32_t Swizzle(uint32_t address, int swizzle_bytes) {
  switch (swizzle_bytes) {
    case 128:
      return address ^ (address >> 3 & 0x70);
    case 64:
      return address ^ (address >> 3 & 0x30);
    case 32:
      return address ^ (address >> 3 & 0x10);
    default:
      return address;
  }
}

}  // namespace

void Block::Land(const PendingCopy& copy, bool ordinary) {
  uint8_t piece[16];
  if (copy.map == nullptr) {
    for (uint32_t done = 0; done < copy.size; done += 16) {
      const uint32_t size = std::min(16u, copy.size - done);
      const uint32_t real = done < copy.bytes ? std::min(size, copy.bytes - done) : 0;
      std::memset(piece, 0, sizeof(piece));
      if (real > 0) std::memcpy(piece, copy.source + done, real);
      shared_.Land(copy.shared + done, size, piece, ordinary);
    }
    return;
  }
  const TensorMapContents& map = *copy.map;
  const uint16_t* matrix = static_cast<const uint16_t*>(map.base);
  for (int r = 0; r < map.box_rows; ++r) {
    for (int c = 0; c < map.box_columns; c += 8) {
      uint16_t values[8] = {};
      const int64_t row = static_cast<int64_t>(copy.row) + r;
      for (int i = 0; i < 8; ++i) {
        const int64_t column = static_cast<int64_t>(copy.column) + c + i;
        if (row < 0 || row >= map.rows || column < 0 || column >= map.columns) continue;
        const uint16_t* element = matrix + row * map.columns + column;
        global_.Check(element, 2, 2, false, "copy_tensor_2d");
        values[i] = *element;
      }
      shared_.Land(Swizzle(copy.shared + (r * map.box_columns + c) * 2, map.swizzle_bytes), 16, values, false);
    }
  }
}

void Block::CopyAsync(uint32_t shared, const void* global, uint32_t size, uint32_t bytes) {
  if (bytes > size) scheduler_.Fail("cp.async of %u bytes from %u", size, bytes);
  if (bytes > 0) global_.Check(global, bytes, size, false, "copy_async");
  shared_.BeginCopy(shared, size, size, "copy_async");
  PendingCopy copy;
  copy.shared = shared;
  copy.source = static_cast<const uint8_t*>(global);
  copy.size = size;
  copy.bytes = bytes;
  threads_[thread()].open.push_back(copy);
}

void Block::CopyAsyncCommit() {
  Thread& own = threads_[thread()];
  own.groups.push_back(std::move(own.open));
  own.open.clear();
}

void Block::CopyAsyncWait(int pending) {
  Thread& own = threads_[thread()];
  while (own.groups.size() > static_cast<size_t>(pending)) {
    for (const PendingCopy& copy : own.groups.front()) Land(copy, true);
    own.groups.pop_front();
  }
}

void Block::BarrierInit(uint32_t barrier, uint32_t arrivals) {
  if (arrivals == 0) scheduler_.Fail("barrier_init: no arrivals");
  shared_.Store(barrier, 8, &kBarrierPattern, "barrier_init");
  MBarrier& made = barriers_[barrier];
  made = MBarrier{};
  made.arrivals = made.pending = arrivals;
}

MBarrier& Block::FindBarrier(uint32_t barrier, const char* operation) {
  uint64_t pattern = 0;
  shared_.Load(barrier, 8, &pattern, operation);
  auto found = barriers_.find(barrier);
  if (found == barriers_.end() || pattern != kBarrierPattern) {
    scheduler_.Fail("%s: no barrier at shared offset %u: not initialised yet, or overwritten", operation,
                    barrier - SharedMemory::kBase);
  }
  return found->second;
}

// Completes the current phase if everybody has arrived and every announced byte is on its way; the copies land now.
bool Block::TryComplete(MBarrier& barrier) {
  if (barrier.pending != 0 || barrier.issued != barrier.announced) return false;
  for (const PendingCopy& copy : barrier.copies) Land(copy, false);
  barrier.copies.clear();
  ++barrier.phase;
  barrier.pending = barrier.arrivals;
  barrier.announced = barrier.issued = 0;
  for (int other : barrier.waiting) Wake(other);  // each looks at the phase again
  barrier.waiting.clear();
  return true;
}

void Block::BarrierArrive(uint32_t address, uint32_t bytes) {
  scheduler_.MaybeYield();
  MBarrier& barrier = FindBarrier(address, "barrier_arrive");
  if (barrier.pending == 0 && !TryComplete(barrier)) {
    scheduler_.Fail(
        "barrier_arrive: barrier at shared offset %u has all of its %u arrivals and still expects %lld bytes",
        address - SharedMemory::kBase, barrier.arrivals, static_cast<long long>(barrier.announced - barrier.issued));
  }
  barrier.announced += bytes;
  --barrier.pending;
  if (barrier.pending == 0 && barrier.issued > barrier.announced) {
    scheduler_.Fail("barrier_arrive: %lld bytes on their way to a barrier that expects %lld",
                    static_cast<long long>(barrier.issued), static_cast<long long>(barrier.announced));
  }
  if (!barrier.waiting.empty()) TryComplete(barrier);
}

void Block::BarrierWait(uint32_t address, uint32_t parity) {
  scheduler_.MaybeYield();
  if (parity > 1) scheduler_.Fail("barrier_wait: parity %u", parity);
  MBarrier& barrier = FindBarrier(address, "barrier_wait");
  while ((barrier.phase & 1) == parity) {
    if (TryComplete(barrier)) continue;
    barrier.waiting.push_back(thread());
    scheduler_.Suspend("barrier_wait at shared offset", address - SharedMemory::kBase);
  }
}

void Block::IssueCopy(uint32_t address, const PendingCopy& copy, const char* operation) {
  MBarrier& barrier = FindBarrier(address, operation);
  if (barrier.pending == 0) TryComplete(barrier);
  shared_.BeginCopy(copy.shared, copy.size, copy.map != nullptr ? 128 : 16, operation);
  barrier.copies.push_back(copy);
  barrier.issued += copy.size;
  if (barrier.pending == 0 && barrier.issued > barrier.announced) {
    scheduler_.Fail("%s: %lld bytes on their way to a barrier that expects %lld", operation,
                    static_cast<long long>(barrier.issued), static_cast<long long>(barrier.announced));
  }
  if (!barrier.waiting.empty()) TryComplete(barrier);
}

void Block::CopyBulk(uint32_t shared, const void* global, uint32_t bytes, uint32_t barrier) {
  if (bytes == 0 || bytes % 16 != 0) scheduler_.Fail("misaligned: copy_bulk of %u bytes, not a multiple of 16", bytes);
  global_.Check(global, bytes, 16, false, "copy_bulk");
  PendingCopy copy;
  copy.shared = shared;
  copy.source = static_cast<const uint8_t*>(global);
  copy.size = copy.bytes = bytes;
  IssueCopy(barrier, copy, "copy_bulk");
}

void Block::CopyTensor(uint32_t shared, const void* map, uint32_t barrier, int column, int row) {
  const TensorMapContents* contents = static_cast<const TensorMapContents*>(map);
  if (contents->magic != TensorMapContents::kMagic) scheduler_.Fail("copy_tensor_2d: not a tensor map");
  if (contents->swizzle_bytes != 0 && shared % (8 * contents->swizzle_bytes) != 0) {
    scheduler_.Fail("misaligned: copy_tensor_2d with a %d-byte swizzle to shared address %u, not a multiple of %d",
                    contents->swizzle_bytes, shared, 8 * contents->swizzle_bytes);
  }
  if (contents->rows > 0) global_.Check(contents->base, 16, 16, false, "copy_tensor_2d");
  PendingCopy copy;
  copy.shared = shared;
  copy.size = contents->box_rows * contents->box_columns * 2;
  copy.map = contents;
  copy.column = column;
  copy.row = row;
  IssueCopy(barrier, copy, "copy_tensor_2d");
}

}  // namespace ladder::emulator
