#include "server/worker/vendor_compiler.h"

#include "absl/strings/match.h"

namespace ladder {

std::vector<absl::StatusOr<CompiledKernel>> VendorCompiler::Compile(std::span<const CompileRequest> requests,
                                                                    const std::function<void(size_t)>& done) {
  std::vector<absl::StatusOr<CompiledKernel>> results;
  // A worker is sent one at a time, so nothing is lost by not grouping them.
  for (size_t i = 0; i < requests.size(); i++) {
    Compiler& compiler = absl::StartsWith(requests[i].arch, "gfx") ? amd_ : nvidia_;
    results.push_back(std::move(compiler.Compile(requests.subspan(i, 1), nullptr).front()));
    if (done) done(i);
  }
  return results;
}

}  // namespace ladder
