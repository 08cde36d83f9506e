// One launch of an emulated kernel: what a driver would be told, plus what may be touched.
#ifndef LADDER_TESTS_EMULATOR_LAUNCH_H_
#define LADDER_TESTS_EMULATOR_LAUNCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

// A TensorMap is opaque to kernels; types.cuh is plain C++ once the qualifiers are out of the way.
#define LADDER_EMULATOR "tests/emulator/host_types.h"
#include "schedules/device/types.cuh"
#undef LADDER_EMULATOR

namespace ladder::emulator {

struct Buffer {
  std::string name;
  void* data = nullptr;
  int64_t bytes = 0;
  bool writable = false;
  // Written by the kernel before (x, y, workspace; not weights): off limits before wait_for_previous.
  bool from_previous = false;
};

struct Launch {
  int threads = 0;
  int64_t blocks = 1;
  int cluster = 1;  // consecutive blocks that run together; divides `blocks`
  int64_t shared_bytes = 0;
  bool dependent_launch = false;
  std::vector<Buffer> buffers;
  // 0: threads and blocks in their order. Otherwise both orders are drawn from the seed.
  uint64_t seed = 0;
};

// What lies in the opaque bytes of a TensorMap: a row-major matrix of 16-bit elements and the box that one copy moves.
struct TensorMapContents {
  static constexpr uint64_t kMagic = 0x70616d726f736e74;
  uint64_t magic = kMagic;
  const void* base = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int box_rows = 0;
  int box_columns = 0;
  int swizzle_bytes = 0;  // 0, 32, 64, 128
};

// InvalidArgument for what the driver would refuse too: alignment, row pitch, box and swizzle.
absl::Status EncodeTensorMap(const TensorMapContents& contents, TensorMap& map);

// Builds and runs every block of a kernel: `call` is the object's kCallSymbol, `arguments` what the kernel takes by
// value. The first fault ends the launch: FailedPrecondition "block 2, thread 17: ...". See tests/emulator/README.md.
absl::Status Execute(const Launch& launch, void (*call)(const void*), const void* arguments);

}  // namespace ladder::emulator

#endif  // LADDER_TESTS_EMULATOR_LAUNCH_H_
