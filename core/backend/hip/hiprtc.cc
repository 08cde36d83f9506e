#include "core/backend/hip/hiprtc.h"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/backend/compile_log.h"
#include "core/backend/dynamic_library.h"
#include "core/backend/hip/api.h"
#include "core/backend/hip/comgr.h"

namespace ladder {
namespace {

constexpr const char* kLibraryNames[] = {"libhiprtc.so.7", "libhiprtc.so.6",   "libhiprtc.so.5",
                                         "libhiprtc.so",   "libamdhip64.so.5", "libamdhip64.so"};
constexpr size_t kExcerptBytes = 2000;

void AddFolder(const std::string& folder, std::vector<std::string>& out) {
  for (const char* name : kLibraryNames) out.push_back(absl::StrCat(folder, "/", name));
}

// hiprtcVersion says 9.0 whatever the release, and two releases generate different code; the file's full name has the
// release: "libamdhip64.so.5.2.21153".
std::string FileVersion(const void* function) {
  Dl_info info;
  if (dladdr(function, &info) == 0 || info.dli_fname == nullptr) return "";
  std::error_code error;
  const std::string name = std::filesystem::canonical(info.dli_fname, error).filename().string();
  const size_t at = name.find(".so.");
  return error || at == std::string::npos ? "" : name.substr(at + 4);
}

}  // namespace

std::vector<std::string> HiprtcCandidates() {
  std::vector<std::string> out;
  std::error_code error;
  if (const char* named = std::getenv("LADDER_HIPRTC"); named != nullptr && *named != '\0') {
    if (std::filesystem::is_directory(named, error)) {
      AddFolder(named, out);
    } else {
      out.emplace_back(named);
    }
  }
  if (const std::string program = ProgramFolder(); !program.empty()) AddFolder(program + "/../lib", out);
  if (const char* rocm = std::getenv("ROCM_PATH"); rocm != nullptr) AddFolder(absl::StrCat(rocm, "/lib"), out);
  AddFolder("/opt/rocm/lib", out);
  for (const char* name : kLibraryNames) out.emplace_back(name);
  return out;
}

// The functions used, and what the library is.
class HiprtcCompiler::Library {
 public:
  static absl::StatusOr<std::unique_ptr<Library>> Load(const std::vector<std::string>& candidates) {
    // A library that opens may be a newer libamdhip64, which has no hipRTC.
    std::optional<DynamicLibrary> opened;
    for (const std::string& path : candidates) {
      const absl::StatusOr<DynamicLibrary> attempt = DynamicLibrary::Open(path);
      if (!attempt.ok() || attempt->Find("hiprtcCompileProgram") == nullptr) continue;
      opened = *attempt;
      break;
    }
    if (!opened.has_value()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "no AMD run-time compiler was found: install ROCm's hiprtc or Debian's package libamdhip64-5, or set "
          "LADDER_HIPRTC to libhiprtc.so or its folder; looked at ",
          absl::StrJoin(candidates, ", ")));
    }
    auto library = std::make_unique<Library>();
    for (const absl::Status& status :
         {opened->Load("hiprtcVersion", library->version), opened->Load("hiprtcGetErrorString", library->error_string),
          opened->Load("hiprtcCreateProgram", library->create), opened->Load("hiprtcDestroyProgram", library->destroy),
          opened->Load("hiprtcCompileProgram", library->compile),
          opened->Load("hiprtcGetProgramLogSize", library->log_size), opened->Load("hiprtcGetProgramLog", library->log),
          opened->Load("hiprtcGetCodeSize", library->code_size), opened->Load("hiprtcGetCode", library->code)}) {
      if (!status.ok()) return status;
    }
    absl::StatusOr<hip::Comgr> comgr = hip::Comgr::Open(*opened);
    if (!comgr.ok()) return comgr.status();
    library->comgr = *std::move(comgr);
    library->full_version = FileVersion(reinterpret_cast<const void*>(library->compile));
    int major = 0, minor = 0;
    if (library->full_version.empty() && library->version(&major, &minor) == 0) {
      library->full_version = absl::StrCat(major, ".", minor);
    }
    return library;
  }

  hip::RtcVersion version = nullptr;
  hip::RtcGetErrorString error_string = nullptr;
  hip::RtcCreateProgram create = nullptr;
  hip::RtcDestroyProgram destroy = nullptr;
  hip::RtcCompileProgram compile = nullptr;
  hip::RtcGetSize log_size = nullptr;
  hip::RtcGetText log = nullptr;
  hip::RtcGetSize code_size = nullptr;
  hip::RtcGetText code = nullptr;
  std::optional<hip::Comgr> comgr;
  std::string full_version;

  // A program, destroyed with the object.
  struct Program {
    const Library& library;
    hip::RtcProgram handle = nullptr;
    explicit Program(const Library& l) : library(l) {}
    Program(const Program&) = delete;
    ~Program() {
      if (handle != nullptr) library.destroy(&handle);
    }
  };

  absl::StatusOr<std::string> Read(hip::RtcProgram program, hip::RtcGetSize size_of, hip::RtcGetText read,
                                   const char* what) const {
    size_t size = 0;
    hip::RtcResult result = size_of(program, &size);
    std::string out(size, '\0');
    if (result == 0 && size > 0) result = read(program, out.data());
    if (result != 0) {
      return absl::InternalError(absl::StrCat("reading the ", what, " from hipRTC failed: ", error_string(result)));
    }
    return out;
  }
};

HiprtcCompiler::HiprtcCompiler(std::map<std::string, std::string> headers, std::vector<std::string> candidates)
    : headers_(std::move(headers)), candidates_(std::move(candidates)), library_(absl::UnknownError("not loaded")) {}

HiprtcCompiler::~HiprtcCompiler() = default;

const absl::StatusOr<std::unique_ptr<HiprtcCompiler::Library>>& HiprtcCompiler::Loaded() const {
  std::call_once(once_, [this] { library_ = Library::Load(candidates_); });
  return library_;
}

std::string HiprtcCompiler::Version() const {
  return Loaded().ok() ? absl::StrCat("hiprtc ", (*Loaded())->full_version) : "";
}

std::vector<std::string> HiprtcCompiler::Architectures() const {
  return Loaded().ok() ? (*Loaded())->comgr->architectures() : std::vector<std::string>();
}

std::vector<absl::StatusOr<CompiledKernel>> HiprtcCompiler::Compile(std::span<const CompileRequest> requests,
                                                                    const std::function<void(size_t)>& done) {
  // hipRTC holds a lock while it compiles; threads would only wait for it.
  std::vector<absl::StatusOr<CompiledKernel>> results;
  for (size_t i = 0; i < requests.size(); i++) {
    results.push_back(CompileOne(requests[i]));
    if (done) done(i);
  }
  return results;
}

absl::StatusOr<CompiledKernel> HiprtcCompiler::CompileOne(const CompileRequest& request) const {
  if (!Loaded().ok()) return Loaded().status();
  const Library& hiprtc = **Loaded();
  const std::vector<std::string>& known = hiprtc.comgr->architectures();
  if (std::ranges::count(known, request.arch) == 0) {
    return absl::InvalidArgumentError(absl::StrCat("architecture '", request.arch, "' is unknown to ", Version(),
                                                   "; it knows ", absl::StrJoin(known, ", ")));
  }

  std::vector<const char*> names, texts;
  for (const auto* headers : {&headers_, &request.source.extra_headers}) {
    for (const auto& [name, text] : *headers) {
      names.push_back(name.c_str());
      texts.push_back(text.c_str());
    }
  }
  const auto start = std::chrono::steady_clock::now();
  Library::Program program(hiprtc);
  hip::RtcResult result = hiprtc.create(&program.handle, request.source.text.c_str(), "ladder.hip",
                                        static_cast<int>(names.size()), texts.data(), names.data());
  if (result != 0) {
    return absl::InternalError(absl::StrCat("hipRTC could not take the source: ", hiprtc.error_string(result)));
  }
  const std::string architecture = absl::StrCat("--offload-arch=", request.arch);
  std::vector<const char*> options = {architecture.c_str(), "-std=c++17", "-O3"};
  result = hiprtc.compile(program.handle, static_cast<int>(options.size()), options.data());

  CompiledKernel kernel;
  absl::StatusOr<std::string> log = hiprtc.Read(program.handle, hiprtc.log_size, hiprtc.log, "log");
  if (!log.ok()) return log.status();
  kernel.log = *std::move(log);
  while (!kernel.log.empty() && kernel.log.back() == '\0') kernel.log.pop_back();
  if (result != 0) {
    return absl::InvalidArgumentError(absl::StrCat(Version(), " (", request.arch, "): ", hiprtc.error_string(result),
                                                   ": ", ErrorExcerpt(kernel.log, kExcerptBytes)));
  }
  absl::StatusOr<std::string> binary = hiprtc.Read(program.handle, hiprtc.code_size, hiprtc.code, "code object");
  if (!binary.ok()) return binary.status();
  kernel.binary = *std::move(binary);
  const absl::StatusOr<CompileResources> resources = hiprtc.comgr->Resources(kernel.binary, request.entry);
  if (!resources.ok()) return resources.status();
  kernel.registers = resources->registers;
  kernel.spill_bytes = resources->spill_bytes;
  kernel.local_bytes = resources->local_bytes;
  kernel.static_shared_bytes = resources->static_shared_bytes;
  kernel.compile_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return kernel;
}

}  // namespace ladder
