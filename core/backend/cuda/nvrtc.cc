#include "core/backend/cuda/nvrtc.h"

#include <nvrtc.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/backend/compile_log.h"
#include "core/backend/dynamic_library.h"

namespace ladder {
namespace {

constexpr const char* kLibraryNames[] = {"libnvrtc.so.13", "libnvrtc.so.12"};
constexpr size_t kExcerptBytes = 2000;

bool IsFolder(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

void AddFileOrFolder(const std::string& path, std::vector<std::string>& out) {
  if (path.empty()) return;
  if (!IsFolder(path)) {
    out.push_back(path);
    return;
  }
  for (const char* name : kLibraryNames) out.push_back(absl::StrCat(path, "/", name));
}

void AddFolder(const std::string& folder, std::vector<std::string>& out) {
  for (const char* name : kLibraryNames) out.push_back(absl::StrCat(folder, "/", name));
}

// NVRTC opens its built-in functions by name, which the loader doesn't find beside an NVRTC that was opened by its path
// (wheels, a toolkit outside ld.so.conf). Once opened from here, the name is known to it.
void OpenBuiltins(const std::string& nvrtc) {
  const std::filesystem::path path(nvrtc);
  std::string version = path.filename().string();
  if (!path.has_parent_path() || !absl::StartsWith(version, "libnvrtc.so")) return;
  // "libnvrtc.so.13" or "libnvrtc.so.13.0.88" -> "libnvrtc-builtins.so.13", of which "libnvrtc-builtins.so.13.0" is
  // one.
  version.erase(0, sizeof("libnvrtc.so") - 1);
  const std::string prefix = absl::StrCat("libnvrtc-builtins.so", version.substr(0, version.find('.', 1)));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path.parent_path(), error)) {
    if (!absl::StartsWith(entry.path().filename().string(), prefix)) continue;
    // Where this fails, NVRTC's own attempt fails too and its log says so.
    DynamicLibrary::Open(entry.path().string()).IgnoreError();
  }
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

std::vector<std::string> NvrtcCandidates(const std::vector<std::string>& search_paths) {
  std::vector<std::string> out;
  for (const std::string& path : search_paths) AddFileOrFolder(path, out);
  AddFileOrFolder(Environment("LADDER_NVRTC"), out);
  if (const std::string program = ProgramFolder(); !program.empty()) {
    for (const char* folder :
         {"/../lib", "/../nvrtc", "/../nvrtc/lib", "/../nvrtc/nvidia/cu13/lib", "/../nvrtc/nvidia/cuda_nvrtc/lib"}) {
      AddFolder(program + folder, out);
    }
  }
  if (const std::string home = Environment("CUDA_HOME"); !home.empty()) AddFolder(home + "/lib64", out);
  AddFolder("/usr/local/cuda/lib64", out);
  for (const char* name : kLibraryNames) out.emplace_back(name);
  return out;
}

absl::StatusOr<std::string> FindNvrtc(const std::vector<std::string>& search_paths) {
  const std::vector<std::string> candidates = NvrtcCandidates(search_paths);
  const absl::StatusOr<DynamicLibrary> library = DynamicLibrary::OpenFirst(candidates);
  if (library.ok()) return library->path();
  return absl::FailedPreconditionError(absl::StrCat(
      "no CUDA run-time compiler was found: install the CUDA toolkit or the PyPI package nvidia-cuda-nvrtc, or set "
      "LADDER_NVRTC to libnvrtc.so.13 or its folder; looked at ",
      absl::StrJoin(candidates, ", ")));
}

// The functions used, and what the library is.
class CudaCompiler::Library {
 public:
  static absl::StatusOr<std::unique_ptr<Library>> Load(const std::vector<std::string>& search_paths) {
    const absl::StatusOr<std::string> path = FindNvrtc(search_paths);
    if (!path.ok()) return path.status();
    OpenBuiltins(*path);
    const absl::StatusOr<DynamicLibrary> opened = DynamicLibrary::Open(*path);
    if (!opened.ok()) return opened.status();
    auto library = std::make_unique<Library>();
    for (const absl::Status& status :
         {opened->Load("nvrtcVersion", library->version), opened->Load("nvrtcGetErrorString", library->error_string),
          opened->Load("nvrtcCreateProgram", library->create), opened->Load("nvrtcDestroyProgram", library->destroy),
          opened->Load("nvrtcCompileProgram", library->compile),
          opened->Load("nvrtcGetProgramLogSize", library->log_size), opened->Load("nvrtcGetProgramLog", library->log),
          opened->Load("nvrtcGetCUBINSize", library->cubin_size), opened->Load("nvrtcGetCUBIN", library->cubin),
          opened->Load("nvrtcGetPTXSize", library->ptx_size), opened->Load("nvrtcGetPTX", library->ptx),
          opened->Load("nvrtcGetNumSupportedArchs", library->architecture_count),
          opened->Load("nvrtcGetSupportedArchs", library->architectures)}) {
      if (!status.ok()) return status;
    }
    if (absl::Status status = library->Describe(); !status.ok()) return status;
    return library;
  }

  decltype(&nvrtcVersion) version = nullptr;
  decltype(&nvrtcGetErrorString) error_string = nullptr;
  decltype(&nvrtcCreateProgram) create = nullptr;
  decltype(&nvrtcDestroyProgram) destroy = nullptr;
  decltype(&nvrtcCompileProgram) compile = nullptr;
  decltype(&nvrtcGetProgramLogSize) log_size = nullptr;
  decltype(&nvrtcGetProgramLog) log = nullptr;
  decltype(&nvrtcGetCUBINSize) cubin_size = nullptr;
  decltype(&nvrtcGetCUBIN) cubin = nullptr;
  decltype(&nvrtcGetPTXSize) ptx_size = nullptr;
  decltype(&nvrtcGetPTX) ptx = nullptr;
  decltype(&nvrtcGetNumSupportedArchs) architecture_count = nullptr;
  decltype(&nvrtcGetSupportedArchs) architectures = nullptr;

  std::string full_version;
  std::vector<int> known;
  bool has_no_cache = false;

  // A program, destroyed with the object.
  struct Program {
    const Library& library;
    nvrtcProgram handle = nullptr;
    explicit Program(const Library& l) : library(l) {}
    Program(const Program&) = delete;
    ~Program() {
      if (handle != nullptr) library.destroy(&handle);
    }
  };

  absl::StatusOr<std::string> Read(nvrtcProgram program, decltype(&nvrtcGetPTXSize) size_of,
                                   decltype(&nvrtcGetPTX) read, const char* what) const {
    size_t size = 0;
    nvrtcResult result = size_of(program, &size);
    std::string out(size, '\0');
    if (result == NVRTC_SUCCESS && size > 0) result = read(program, out.data());
    if (result != NVRTC_SUCCESS) {
      return absl::InternalError(absl::StrCat("reading the ", what, " from NVRTC failed: ", error_string(result)));
    }
    return out;
  }

 private:
  absl::Status Describe() {
    int major = 0, minor = 0, count = 0;
    if (version(&major, &minor) != NVRTC_SUCCESS || architecture_count(&count) != NVRTC_SUCCESS) {
      return absl::InternalError("NVRTC does not say its version");
    }
    known.resize(count);
    if (count > 0 && architectures(known.data()) != NVRTC_SUCCESS) {
      return absl::InternalError("NVRTC does not say which architectures it knows");
    }
    has_no_cache = major > 12 || (major == 12 && minor >= 9);
    full_version = absl::StrCat(major, ".", minor, PatchVersion());
    return absl::OkStatus();
  }

  // nvrtcVersion tells no patch level, yet two patches generate different code; the PTX it writes names it
  // ("Cuda compilation tools, release 13.0, V13.0.88").
  std::string PatchVersion() const {
    Program program(*this);
    if (create(&program.handle, "", "version", 0, nullptr, nullptr) != NVRTC_SUCCESS) return "";
    if (compile(program.handle, 0, nullptr) != NVRTC_SUCCESS) return "";
    const absl::StatusOr<std::string> text = Read(program.handle, ptx_size, ptx, "PTX");
    if (!text.ok()) return "";
    const size_t at = text->find(", V");
    if (at == std::string::npos) return "";
    size_t dot = at + 3;
    for (int dots = 0; dot < text->size() && dots < 2; dot++) dots += (*text)[dot] == '.';
    size_t end = dot;
    while (end < text->size() && absl::ascii_isdigit((*text)[end])) end++;
    return end > dot ? absl::StrCat(".", text->substr(dot, end - dot)) : "";
  }
};

CudaCompiler::CudaCompiler(std::map<std::string, std::string> headers, const std::vector<std::string>& search_paths,
                           int threads)
    : headers_(std::move(headers)),
      threads_(threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()) - 1)),
      library_(Library::Load(search_paths)) {}

CudaCompiler::~CudaCompiler() = default;

std::string CudaCompiler::Version() const {
  return library_.ok() ? absl::StrCat("nvrtc ", (*library_)->full_version) : "";
}

std::vector<int> CudaCompiler::Architectures() const { return library_.ok() ? (*library_)->known : std::vector<int>(); }

std::vector<absl::StatusOr<CompiledKernel>> CudaCompiler::Compile(std::span<const CompileRequest> requests,
                                                                  const std::function<void(size_t)>& done) {
  std::vector<absl::StatusOr<CompiledKernel>> results(requests.size(), absl::UnknownError("not compiled"));
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < requests.size(); i = next++) {
      results[i] = CompileOne(requests[i]);
      if (done) done(i);
    }
  };
  std::vector<std::thread> helpers;
  for (size_t i = 1; i < std::min<size_t>(threads_, requests.size()); i++) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  return results;
}

absl::StatusOr<CompiledKernel> CudaCompiler::CompileOne(const CompileRequest& request) const {
  if (!library_.ok()) return library_.status();
  const Library& nvrtc = **library_;
  const bool to_ptx = absl::StartsWith(request.arch, "compute_");
  const size_t prefix = to_ptx ? 8 : absl::StartsWith(request.arch, "sm_") ? 3 : 0;
  std::string digits = request.arch.substr(prefix);
  while (!digits.empty() && absl::ascii_isalpha(digits.back())) digits.pop_back();
  int number = 0;
  if (prefix == 0 || !absl::SimpleAtoi(digits, &number) || std::ranges::count(nvrtc.known, number) == 0) {
    return absl::InvalidArgumentError(absl::StrCat("architecture '", request.arch, "' is unknown to ", Version(),
                                                   "; it knows sm_", absl::StrJoin(nvrtc.known, ", sm_")));
  }

  std::vector<const char*> names, texts;
  for (const auto* headers : {&headers_, &request.source.extra_headers}) {
    for (const auto& [name, text] : *headers) {
      names.push_back(name.c_str());
      texts.push_back(text.c_str());
    }
  }
  const auto start = std::chrono::steady_clock::now();
  Library::Program program(nvrtc);
  nvrtcResult result = nvrtc.create(&program.handle, request.source.text.c_str(), "ladder.cu",
                                    static_cast<int>(names.size()), texts.data(), names.data());
  if (result != NVRTC_SUCCESS) {
    return absl::InternalError(absl::StrCat("NVRTC could not take the source: ", nvrtc.error_string(result)));
  }
  const std::string architecture = absl::StrCat("--gpu-architecture=", request.arch);
  // Unannotated constexpr helpers count as device functions.
  std::vector<const char*> options = {architecture.c_str(), "-std=c++17", "-default-device"};
  if (!to_ptx) options.push_back("--ptxas-options=-v");
  if (nvrtc.has_no_cache) options.push_back("-no-cache");
  result = nvrtc.compile(program.handle, static_cast<int>(options.size()), options.data());

  CompiledKernel kernel;
  absl::StatusOr<std::string> log = nvrtc.Read(program.handle, nvrtc.log_size, nvrtc.log, "log");
  if (!log.ok()) return log.status();
  kernel.log = *std::move(log);
  while (!kernel.log.empty() && kernel.log.back() == '\0') kernel.log.pop_back();
  if (result != NVRTC_SUCCESS) {
    return absl::InvalidArgumentError(absl::StrCat(Version(), " (", request.arch, "): ", nvrtc.error_string(result),
                                                   ": ", ErrorExcerpt(kernel.log, kExcerptBytes)));
  }
  absl::StatusOr<std::string> binary = to_ptx ? nvrtc.Read(program.handle, nvrtc.ptx_size, nvrtc.ptx, "PTX")
                                              : nvrtc.Read(program.handle, nvrtc.cubin_size, nvrtc.cubin, "cubin");
  if (!binary.ok()) return binary.status();
  kernel.binary = *std::move(binary);
  const CompileResources resources = ParsePtxasLog(kernel.log, request.entry);
  kernel.registers = resources.registers;
  kernel.spill_bytes = resources.spill_bytes;
  kernel.local_bytes = resources.local_bytes;
  kernel.static_shared_bytes = resources.static_shared_bytes;
  kernel.compile_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return kernel;
}

}  // namespace ladder
