// A kernel built for the emulator, loaded into this process.
#ifndef LADDER_TESTS_EMULATOR_KERNEL_IMAGE_H_
#define LADDER_TESTS_EMULATOR_KERNEL_IMAGE_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "tests/emulator/launch.h"

namespace ladder::emulator {

class KernelImage {
 public:
  // `binary` is what EmulatorCompiler makes: a shared object's bytes. InvalidArgument if it is something else.
  static absl::StatusOr<std::unique_ptr<KernelImage>> Load(std::string_view binary);
  ~KernelImage();
  KernelImage(const KernelImage&) = delete;
  KernelImage& operator=(const KernelImage&) = delete;

  // Size of the structure that the kernel takes.
  int64_t argument_bytes() const { return argument_bytes_; }
  // See Execute in launch.h. Thread-safe: launches share nothing but the code.
  absl::Status Run(const Launch& launch, const void* arguments) const { return Execute(launch, call_, arguments); }

 private:
  explicit KernelImage(void* handle) : handle_(handle) {}
  void* handle_;
  void (*call_)(const void*) = nullptr;
  int64_t argument_bytes_ = 0;
};

}  // namespace ladder::emulator

#endif  // LADDER_TESTS_EMULATOR_KERNEL_IMAGE_H_
