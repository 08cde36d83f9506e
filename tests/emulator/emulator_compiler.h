// The host compiler behind the Compiler interface: the same generated text that NVRTC gets, as a shared object for the
// emulator.
#ifndef LADDER_TESTS_EMULATOR_EMULATOR_COMPILER_H_
#define LADDER_TESTS_EMULATOR_EMULATOR_COMPILER_H_

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/backend/compiler.h"

namespace ladder {

struct EmulatorCompilerOptions {
  std::string source_root;    // holds schedules/ and tests/emulator; empty: where this program was built from
  std::string host_compiler;  // empty: the compiler that built this program
  int parallel = 2;
};

// CompiledKernel::binary is the shared object itself, so whatever carries a binary carries an emulated kernel.
// Registers and spills are unknown and reported as 0. Results are kept by content for the life of the object.
class EmulatorCompiler : public Compiler {
 public:
  explicit EmulatorCompiler(EmulatorCompilerOptions options = {});
  std::string Version() const override;
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>& done) override;

 private:
  absl::StatusOr<CompiledKernel> CompileOne(const CompileRequest& request);

  EmulatorCompilerOptions options_;
  std::mutex mutex_;
  std::map<std::string, CompiledKernel> compiled_;  // by content
};

// Compiles for real first, so that a real compiler's complaint surfaces, and returns that compiler's figures with the
// emulator's binary.
class CombinedCompiler : public Compiler {
 public:
  // Keeps references.
  CombinedCompiler(Compiler& real, Compiler& emulator) : real_(real), emulator_(emulator) {}
  std::string Version() const override;
  std::vector<absl::StatusOr<CompiledKernel>> Compile(std::span<const CompileRequest> requests,
                                                      const std::function<void(size_t)>& done) override;

 private:
  Compiler& real_;
  Compiler& emulator_;
};

}  // namespace ladder

#endif  // LADDER_TESTS_EMULATOR_EMULATOR_COMPILER_H_
