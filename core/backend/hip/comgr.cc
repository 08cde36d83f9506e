#include "core/backend/hip/comgr.h"

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace ladder::hip {
namespace {

// Spilled vector registers cost memory traffic; scalar ones go to lanes of vector registers.
constexpr int64_t kBytesPerRegister = 4;

// The one that hipRTC generates code with: found through its handle where it is linked to it. Builds of ROCm that open
// it on first use name it so (version 3 since ROCm 6.3).
absl::StatusOr<DynamicLibrary> OpenLibrary(const DynamicLibrary& hiprtc) {
  if (hiprtc.Find("amd_comgr_get_isa_count") != nullptr) return hiprtc;
  return DynamicLibrary::OpenFirst({"libamd_comgr.so.3", "libamd_comgr.so.2"});
}

}  // namespace

absl::StatusOr<Comgr> Comgr::Open(const DynamicLibrary& hiprtc) {
  const absl::StatusOr<DynamicLibrary> library = OpenLibrary(hiprtc);
  if (!library.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("hipRTC is there, but not the code object manager that it needs: install Debian's package "
                     "libamd-comgr2 or ROCm's "
                     "comgr; ",
                     library.status().message()));
  }
  Comgr comgr;
  for (const absl::Status& status : {library->Load("amd_comgr_get_isa_count", comgr.isa_count_),
                                     library->Load("amd_comgr_get_isa_name", comgr.isa_name_),
                                     library->Load("amd_comgr_create_data", comgr.create_data_),
                                     library->Load("amd_comgr_release_data", comgr.release_data_),
                                     library->Load("amd_comgr_set_data", comgr.set_data_),
                                     library->Load("amd_comgr_get_data_metadata", comgr.data_metadata_),
                                     library->Load("amd_comgr_destroy_metadata", comgr.destroy_metadata_),
                                     library->Load("amd_comgr_metadata_lookup", comgr.look_up_),
                                     library->Load("amd_comgr_get_metadata_list_size", comgr.list_size_),
                                     library->Load("amd_comgr_index_list_metadata", comgr.list_entry_),
                                     library->Load("amd_comgr_get_metadata_string", comgr.string_)}) {
    if (!status.ok()) return status;
  }
  if (absl::Status status = comgr.ListArchitectures(); !status.ok()) return status;
  return comgr;
}

absl::Status Comgr::ListArchitectures() {
  size_t count = 0;
  if (isa_count_(&count) != 0) return absl::InternalError("comgr does not say which architectures it knows");
  for (size_t i = 0; i < count; i++) {
    const char* name = nullptr;
    if (isa_name_(i, &name) != 0 || name == nullptr) continue;
    absl::string_view arch = name;  // "amdgcn-amd-amdhsa--gfx90a"
    if (!absl::ConsumePrefix(&arch, "amdgcn-amd-amdhsa--")) continue;
    architectures_.emplace_back(arch.substr(0, arch.find(':')));
  }
  std::ranges::sort(architectures_);
  architectures_.erase(std::unique(architectures_.begin(), architectures_.end()), architectures_.end());
  return absl::OkStatus();
}

std::string Comgr::Text(ComgrMetadata kernel, const char* key) const {
  ComgrMetadata value;
  if (look_up_(kernel, key, &value) != 0) return "";
  size_t bytes = 0;  // with the terminating zero
  std::string text;
  if (string_(value, &bytes, nullptr) == 0 && bytes > 0) {
    text.resize(bytes);
    if (string_(value, &bytes, text.data()) != 0) text.clear();
  }
  destroy_metadata_(value);
  if (!text.empty()) text.pop_back();
  return text;
}

int64_t Comgr::Number(ComgrMetadata kernel, const char* key) const {
  int64_t value = 0;
  return absl::SimpleAtoi(Text(kernel, key), &value) ? value : 0;
}

absl::StatusOr<CompileResources> Comgr::Resources(absl::string_view code_object, absl::string_view entry) const {
  const auto unreadable = [](absl::string_view what) {
    return absl::InternalError(absl::StrCat("comgr cannot read ", what, " of what hipRTC compiled"));
  };
  ComgrData data;
  if (create_data_(kComgrExecutable, &data) != 0) return unreadable("the form");
  const absl::Cleanup release = [&] { release_data_(data); };
  ComgrMetadata root, kernels;
  if (set_data_(data, code_object.size(), code_object.data()) != 0) return unreadable("the bytes");
  if (data_metadata_(data, &root) != 0) return unreadable("the metadata");
  const absl::Cleanup destroy_root = [&] { destroy_metadata_(root); };
  if (look_up_(root, "amdhsa.kernels", &kernels) != 0) return unreadable("the kernels");
  const absl::Cleanup destroy_kernels = [&] { destroy_metadata_(kernels); };
  size_t count = 0;
  if (list_size_(kernels, &count) != 0) return unreadable("the number of kernels");

  CompileResources largest;
  for (size_t i = 0; i < count; i++) {
    ComgrMetadata kernel;
    if (list_entry_(kernels, i, &kernel) != 0) return unreadable("a kernel");
    const absl::Cleanup destroy_kernel = [&] { destroy_metadata_(kernel); };
    CompileResources here;
    here.registers = static_cast<int>(Number(kernel, ".vgpr_count"));
    here.spill_bytes = kBytesPerRegister * Number(kernel, ".vgpr_spill_count");
    here.local_bytes = Number(kernel, ".private_segment_fixed_size");
    here.static_shared_bytes = Number(kernel, ".group_segment_fixed_size");
    if (Text(kernel, ".name") == entry) return here;
    largest.registers = std::max(largest.registers, here.registers);
    largest.spill_bytes = std::max(largest.spill_bytes, here.spill_bytes);
    largest.local_bytes = std::max(largest.local_bytes, here.local_bytes);
    largest.static_shared_bytes = std::max(largest.static_shared_bytes, here.static_shared_bytes);
  }
  return largest;
}

}  // namespace ladder::hip
