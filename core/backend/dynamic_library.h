// A shared library opened at run time, so that one build serves machines with and without it.
#ifndef LADDER_CORE_BACKEND_DYNAMIC_LIBRARY_H_
#define LADDER_CORE_BACKEND_DYNAMIC_LIBRARY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ladder {

// Stays loaded for the life of the process: the vendors' libraries don't survive being unloaded.
class DynamicLibrary {
 public:
  // NotFound with the loader's message otherwise. A name without a slash goes through the loader's own search.
  static absl::StatusOr<DynamicLibrary> Open(const std::string& path);
  // The first of `paths` that opens. NotFound listing all of them otherwise.
  static absl::StatusOr<DynamicLibrary> OpenFirst(const std::vector<std::string>& paths);

  // Null if the library has no such function.
  void* Find(const char* name) const;
  // Sets `function` or returns FailedPrecondition naming what is missing.
  template <typename Function>
  absl::Status Load(const char* name, Function& function) const {
    function = reinterpret_cast<Function>(Find(name));
    return function != nullptr ? absl::OkStatus() : Missing(name);
  }
  // What was asked for.
  const std::string& path() const { return path_; }

 private:
  DynamicLibrary(std::string path, void* handle) : path_(std::move(path)), handle_(handle) {}
  absl::Status Missing(const char* name) const;
  std::string path_;
  void* handle_;
};

// The folder of this process's program, without a trailing slash; empty if it can't be told.
std::string ProgramFolder();

}  // namespace ladder

#endif  // LADDER_CORE_BACKEND_DYNAMIC_LIBRARY_H_
