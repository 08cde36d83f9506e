// AMD's code object manager: which architectures hipRTC can compile for, and what a code object asks of the GPU.
// Internal to this folder.
#ifndef LADDER_CORE_BACKEND_HIP_COMGR_H_
#define LADDER_CORE_BACKEND_HIP_COMGR_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/backend/compile_log.h"
#include "core/backend/dynamic_library.h"
#include "core/backend/hip/api.h"

namespace ladder::hip {

class Comgr {
 public:
  // The one that `hiprtc` uses. FailedPrecondition naming what to install if it is not there or lacks a function.
  static absl::StatusOr<Comgr> Open(const DynamicLibrary& hiprtc);

  // "gfx90a", ...: all that it can generate code for, without the forms that fix a feature ("gfx90a:xnack+").
  const std::vector<std::string>& architectures() const { return architectures_; }

  // The figures of kernel `entry` in the metadata of a code object; the largest of all kernels if none has that name,
  // as ParsePtxasLog does. Internal if the code object can't be read.
  absl::StatusOr<CompileResources> Resources(absl::string_view code_object, absl::string_view entry) const;

 private:
  Comgr() = default;
  absl::Status ListArchitectures();
  // 0 if the kernel has no such field.
  int64_t Number(ComgrMetadata kernel, const char* key) const;
  std::string Text(ComgrMetadata kernel, const char* key) const;

  ComgrGetIsaCount isa_count_ = nullptr;
  ComgrGetIsaName isa_name_ = nullptr;
  ComgrCreateData create_data_ = nullptr;
  ComgrReleaseData release_data_ = nullptr;
  ComgrSetData set_data_ = nullptr;
  ComgrGetDataMetadata data_metadata_ = nullptr;
  ComgrDestroyMetadata destroy_metadata_ = nullptr;
  ComgrMetadataLookup look_up_ = nullptr;
  ComgrGetMetadataListSize list_size_ = nullptr;
  ComgrIndexListMetadata list_entry_ = nullptr;
  ComgrGetMetadataString string_ = nullptr;
  std::vector<std::string> architectures_;
};

}  // namespace ladder::hip

#endif  // LADDER_CORE_BACKEND_HIP_COMGR_H_
