#include "tests/emulator/memory.h"

#include <cstring>

namespace ladder::emulator {

void GlobalMemory::Check(const void* address, int64_t bytes, int64_t alignment, bool write, const char* operation) {
  const char* p = static_cast<const char*>(address);
  if (reinterpret_cast<uintptr_t>(p) % alignment != 0) {
    scheduler_.Fail("misaligned: %s of global address ...%04x, which is not a multiple of %d", operation,
                    static_cast<unsigned>(reinterpret_cast<uintptr_t>(p) & 0xffff), static_cast<int>(alignment));
  }
  for (const Buffer& buffer : launch_.buffers) {
    const char* begin = static_cast<const char*>(buffer.data);
    if (p < begin || p + bytes > begin + buffer.bytes) continue;
    if (write && !buffer.writable)
      scheduler_.Fail("%s writes to %s, which is an input", operation, buffer.name.c_str());
    if (buffer.from_previous && !previous_awaited_) {
      scheduler_.Fail("%s touches %s before wait_for_previous", operation, buffer.name.c_str());
    }
    return;
  }
  // Name the nearest buffer: "x + 4096 of 4096 bytes" says more than an address.
  const Buffer* nearest = nullptr;
  int64_t nearest_offset = 0;
  for (const Buffer& buffer : launch_.buffers) {
    const int64_t offset = p - static_cast<const char*>(buffer.data);
    const int64_t outside = offset < 0 ? -offset : offset - buffer.bytes;
    const int64_t best = nearest_offset < 0 ? -nearest_offset : nearest_offset - (nearest ? nearest->bytes : 0);
    if (nearest == nullptr || outside < best) nearest = &buffer, nearest_offset = offset;
  }
  scheduler_.Fail("out of bounds: %s of %lld bytes at %s%+lld (%lld bytes long)", operation,
                  static_cast<long long>(bytes), nearest ? nearest->name.c_str() : "?",
                  static_cast<long long>(nearest_offset), static_cast<long long>(nearest ? nearest->bytes : 0));
}

SharedMemory::SharedMemory(int64_t bytes, int threads, int first_thread, Scheduler& scheduler)
    : first_thread_(first_thread),
      scheduler_(scheduler),
      bytes_(bytes),
      in_flight_(bytes),
      writer_((bytes + 3) / 4),
      fences_(threads) {}

void SharedMemory::StartBlock() {
  std::memset(bytes_.data(), 0xff, bytes_.size());  // a NaN as fp16, bf16 and fp32
  std::memset(in_flight_.data(), 0, in_flight_.size());
  std::fill(writer_.begin(), writer_.end(), 0);
  std::fill(fences_.begin(), fences_.end(), 0);
}

void SharedMemory::CheckRange(uint32_t address, uint32_t bytes, uint32_t alignment, const char* operation) {
  if (address % alignment != 0) {
    scheduler_.Fail("misaligned: %s of shared address %u, which is not a multiple of %u", operation, address,
                    alignment);
  }
  if (address < kBase || address + static_cast<uint64_t>(bytes) > kBase + bytes_.size()) {
    scheduler_.Fail("out of bounds: %s of %u bytes at shared offset %lld of %lld bytes", operation, bytes,
                    static_cast<long long>(address) - kBase, static_cast<long long>(bytes_.size()));
  }
}

void SharedMemory::Load(uint32_t address, uint32_t bytes, void* out, const char* operation) {
  CheckRange(address, bytes, bytes, operation);
  const uint32_t offset = address - kBase;
  if (std::memchr(&in_flight_[offset], 1, bytes) != nullptr) {
    scheduler_.Fail("%s reads shared offset %u while an asynchronous copy to it has not been waited for", operation,
                    offset);
  }
  std::memcpy(out, &bytes_[offset], bytes);
}

void SharedMemory::Store(uint32_t address, uint32_t bytes, const void* in, const char* operation) {
  CheckRange(address, bytes, bytes, operation);
  const uint32_t offset = address - kBase;
  if (std::memchr(&in_flight_[offset], 1, bytes) != nullptr) {
    scheduler_.Fail("%s writes shared offset %u while an asynchronous copy to it has not been waited for", operation,
                    offset);
  }
  std::memcpy(&bytes_[offset], in, bytes);
  Stamp(offset, bytes);
}

void SharedMemory::BeginCopy(uint32_t address, uint32_t bytes, uint32_t alignment, const char* operation) {
  CheckRange(address, bytes, alignment, operation);
  const uint32_t offset = address - kBase;
  if (std::memchr(&in_flight_[offset], 1, bytes) != nullptr) {
    scheduler_.Fail("%s to shared offset %u, where another copy is still on its way", operation, offset);
  }
  std::memset(&in_flight_[offset], 1, bytes);
  std::memset(&bytes_[offset], 0xff, bytes);
}

void SharedMemory::Land(uint32_t address, uint32_t bytes, const void* data, bool ordinary) {
  const uint32_t offset = address - kBase;
  std::memset(&in_flight_[offset], 0, bytes);
  std::memcpy(&bytes_[offset], data, bytes);
  if (ordinary) {
    Stamp(offset, bytes);
  } else {
    std::fill_n(writer_.begin() + offset / 4, (bytes + 3) / 4, 0);
  }
}

void SharedMemory::Stamp(uint32_t offset, uint32_t bytes) {
  const uint64_t thread = scheduler_.current() - first_thread_;
  std::fill_n(writer_.begin() + offset / 4, (bytes + 3) / 4, (thread + 1) << 32 | fences_[thread]);
}

const uint16_t* SharedMemory::LoadAsyncProxy(uint32_t address) {
  CheckRange(address, 16, 16, "wgmma");
  const uint32_t offset = address - kBase;
  if (std::memchr(&in_flight_[offset], 1, 16) != nullptr) {
    scheduler_.Fail("wgmma reads shared offset %u while an asynchronous copy to it has not been waited for", offset);
  }
  for (uint32_t i = offset / 4; i < offset / 4 + 4; ++i) {
    if (writer_[i] == 0) continue;
    const uint32_t thread = static_cast<uint32_t>(writer_[i] >> 32) - 1;
    if (fences_[thread] == static_cast<uint32_t>(writer_[i])) {
      scheduler_.Fail("wgmma reads shared offset %u, which thread %u wrote without fence_async_proxy since", 4 * i,
                      thread);
    }
  }
  return reinterpret_cast<const uint16_t*>(&bytes_[offset]);
}

}  // namespace ladder::emulator
