#include "core/backend/dynamic_library.h"

#include <dlfcn.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace ladder {

absl::StatusOr<DynamicLibrary> DynamicLibrary::Open(const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle != nullptr) return DynamicLibrary(path, handle);
  const char* message = dlerror();
  return absl::NotFoundError(message != nullptr ? message : absl::StrCat(path, ": cannot be opened"));
}

absl::StatusOr<DynamicLibrary> DynamicLibrary::OpenFirst(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    absl::StatusOr<DynamicLibrary> library = Open(path);
    if (library.ok()) return library;
  }
  return absl::NotFoundError(absl::StrCat("none of these libraries could be opened: ", absl::StrJoin(paths, ", ")));
}

void* DynamicLibrary::Find(const char* name) const { return dlsym(handle_, name); }

absl::Status DynamicLibrary::Missing(const char* name) const {
  return absl::FailedPreconditionError(absl::StrCat(path_, " has no function ", name, ": install a newer version"));
}

std::string ProgramFolder() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string() : program.parent_path().string();
}

}  // namespace ladder
