#include "tests/emulator/emulator_compiler.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/emulator/runtime_table.h"

extern char** environ;

namespace ladder {
namespace {

namespace fs = std::filesystem;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "ladder-emulator-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool WriteFile(const fs::path& path, std::string_view text) {
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  std::ofstream file(path, std::ios::binary);
  file << text;
  return static_cast<bool>(file);
}

// Runs a command with stdout and stderr in a file. The exit status, or -1.
int RunCommand(std::vector<std::string> command, const fs::path& output) {
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return -1;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// "sm_90a" -> 900, what __CUDA_ARCH__ says there.
std::string ArchitectureMacro(std::string_view arch) {
  std::string digits;
  for (char c : arch) {
    if (c >= '0' && c <= '9') digits += c;
  }
  return digits.empty() ? "0" : digits + "0";
}

// What makes the entry callable through a pointer, whichever structure it takes.
std::string Trampoline(const std::string& entry) {
  const std::string visible = "\nextern \"C\" __attribute__((visibility(\"default\"))) ";
  return absl::StrCat("\nusing namespace ladder;", visible, "void ", emulator::kCallSymbol,
                      "(const void* arguments) { ladder::emulator::Call(&", entry, ", arguments); }", visible,
                      "unsigned long ", emulator::kArgumentBytesSymbol, "() { return ladder::emulator::ArgumentBytes(&",
                      entry, "); }", visible, "void ", emulator::kBindSymbol,
                      "(const ladder::emulator::RuntimeTable* table) { ladder::emulator::runtime = table; }\n");
}

}  // namespace

EmulatorCompiler::EmulatorCompiler(EmulatorCompilerOptions options) : options_(std::move(options)) {
  if (options_.source_root.empty()) options_.source_root = LADDER_SOURCE_ROOT;
  if (options_.host_compiler.empty()) options_.host_compiler = LADDER_HOST_COMPILER;
  options_.parallel = std::max(1, options_.parallel);
}

std::string EmulatorCompiler::Version() const {
  return absl::StrCat("emulator ", fs::path(options_.host_compiler).filename().string(), " ", __VERSION__);
}

std::vector<absl::StatusOr<CompiledKernel>> EmulatorCompiler::Compile(std::span<const CompileRequest> requests,
                                                                      const std::function<void(size_t)>& done) {
  std::vector<absl::StatusOr<CompiledKernel>> results(requests.size(), absl::UnknownError("not compiled"));
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t i; (i = next++) < requests.size();) {
      results[i] = CompileOne(requests[i]);
      if (done) done(i);
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min<size_t>(options_.parallel, requests.size()); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return results;
}

absl::StatusOr<CompiledKernel> EmulatorCompiler::CompileOne(const CompileRequest& request) {
  std::string content = absl::StrCat(request.arch, "\n", request.entry, "\n", request.source.text);
  for (const auto& [name, text] : request.source.extra_headers) absl::StrAppend(&content, "\n// ", name, "\n", text);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (auto found = compiled_.find(content); found != compiled_.end()) return found->second;
  }
  const auto start = std::chrono::steady_clock::now();
  TemporaryFolder folder;
  if (folder.path().empty()) return absl::UnavailableError("cannot create a temporary folder for the host compiler");
  const fs::path source = folder.path() / "kernel.cc", object = folder.path() / "kernel.so",
                 log = folder.path() / "log";
  // The emulator's own headers come first on the path: they replace generated ones of the same name.
  bool written = WriteFile(source, request.source.text + Trampoline(request.entry));
  for (const auto& [name, text] : request.source.extra_headers) {
    written = written && WriteFile(folder.path() / "generated" / name, text);
  }
  if (!written) return absl::UnavailableError(absl::StrCat("cannot write to ", folder.path().string()));
  std::vector<std::string> command = {options_.host_compiler,
                                      "-std=c++20",
                                      "-O1",
                                      "-shared",
                                      "-fPIC",
                                      "-w",
                                      "-fvisibility=hidden",
                                      "-nostdlib",
                                      "-fno-exceptions",
                                      "-fno-rtti",
                                      "-fno-stack-protector",
                                      "-ffp-contract=off",
                                      "-DLADDER_EMULATOR=\"tests/emulator/primitives.h\"",
                                      absl::StrCat("-D__CUDA_ARCH__=", ArchitectureMacro(request.arch)),
                                      absl::StrCat("-I", options_.source_root, "/tests/emulator/headers"),
                                      absl::StrCat("-I", (folder.path() / "generated").string()),
                                      absl::StrCat("-I", options_.source_root),
                                      source.string(),
                                      "-o",
                                      object.string()};
#if !defined(__clang__)
  // Operands of wgmma are read at its wait, maybe after their scope: let nobody else have their place on the stack.
  command.insert(command.begin() + 1, "-fstack-reuse=none");
#endif
  const int status = RunCommand(command, log);
  if (status != 0) {
    return absl::InvalidArgumentError(absl::StrCat(options_.host_compiler, " refused the kernel (status ", status,
                                                   "): ", ReadFile(log).substr(0, 4000)));
  }
  CompiledKernel kernel;
  kernel.binary = ReadFile(object);
  kernel.log = ReadFile(log);
  kernel.compile_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  std::lock_guard<std::mutex> lock(mutex_);
  compiled_[content] = kernel;
  return kernel;
}

std::string CombinedCompiler::Version() const { return absl::StrCat(real_.Version(), " + ", emulator_.Version()); }

std::vector<absl::StatusOr<CompiledKernel>> CombinedCompiler::Compile(std::span<const CompileRequest> requests,
                                                                      const std::function<void(size_t)>& done) {
  std::vector<absl::StatusOr<CompiledKernel>> results = real_.Compile(requests, nullptr);
  std::vector<size_t> good;
  std::vector<CompileRequest> again;
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].ok()) {
      good.push_back(i);
      again.push_back(requests[i]);
    } else if (done) {
      done(i);
    }
  }
  std::vector<absl::StatusOr<CompiledKernel>> emulated = emulator_.Compile(again, [&](size_t i) {
    if (done) done(good[i]);
  });
  for (size_t i = 0; i < good.size(); ++i) {
    absl::StatusOr<CompiledKernel>& result = results[good[i]];
    if (emulated[i].ok()) {
      result->binary = std::move(emulated[i]->binary);
      result->compile_ms += emulated[i]->compile_ms;
    } else {
      result = emulated[i].status();
    }
  }
  return results;
}

}  // namespace ladder
