#include "tests/emulator/kernel_image.h"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/emulator/runtime.h"

namespace ladder::emulator {
namespace {

// dlopen remembers objects by name and file, so every image gets a name of its own for the moment of loading.
absl::StatusOr<void*> LoadObject(std::string_view bytes) {
  static std::atomic<int> count{0};
  const char* folder = std::getenv("TMPDIR");
  std::string path =
      absl::StrCat(folder != nullptr ? folder : "/tmp", "/ladder-image-", getpid(), "-", ++count, "-XXXXXX");
  const int file = mkstemp(path.data());
  if (file < 0) return absl::UnavailableError(absl::StrCat("cannot create ", path, " to load an emulated kernel from"));
  bool written = true;
  for (size_t done = 0; done < bytes.size() && written;) {
    const ssize_t n = write(file, bytes.data() + done, bytes.size() - done);
    written = n > 0;
    if (written) done += n;
  }
  close(file);
  void* handle = written ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  const char* error = handle == nullptr ? dlerror() : nullptr;
  unlink(path.c_str());
  if (handle != nullptr) return handle;
  return absl::InvalidArgumentError(
      absl::StrCat("emulated kernel cannot be loaded: ", error != nullptr ? error : "the temporary folder is full"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<KernelImage>> KernelImage::Load(std::string_view binary) {
  if (binary.substr(0, 4) !=
      "\x7f"
      "ELF") {
    return absl::InvalidArgumentError(
        "binary is not an emulated kernel: the emulator runs what EmulatorCompiler makes");
  }
  absl::StatusOr<void*> handle = LoadObject(binary);
  if (!handle.ok()) return handle.status();
  std::unique_ptr<KernelImage> image(new KernelImage(*handle));
  auto bind = reinterpret_cast<void (*)(const RuntimeTable*)>(dlsym(*handle, kBindSymbol));
  auto bytes = reinterpret_cast<unsigned long (*)()>(dlsym(*handle, kArgumentBytesSymbol));
  image->call_ = reinterpret_cast<void (*)(const void*)>(dlsym(*handle, kCallSymbol));
  if (bind == nullptr || bytes == nullptr || image->call_ == nullptr) {
    return absl::InvalidArgumentError("binary is a shared object, but no emulated kernel");
  }
  bind(&Runtime());
  image->argument_bytes_ = static_cast<int64_t>(bytes());
  return image;
}

KernelImage::~KernelImage() { dlclose(handle_); }

}  // namespace ladder::emulator
