// JSON from people: the daemon's configuration, and lists of operators for ladder-tune.
#include <sys/mman.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "client/tools/operator_input.h"
#include "server/config/config.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/quiet_protobuf.h"

namespace ladder {

std::vector<std::string> FuzzSeeds() {
  return {
      absl::StrCat("c", PrintConfig(DefaultConfig())),
      R"(c{"listen": "unix:///s", "drain_grace": "1m30s", "cache": {"limit_bytes": "3GiB"}, "gpu": {"list": [0, 7]}})",
      R"(c{"tcp_listen": "[::]:7171", "tls": {"certificate": "/c", "key": "/k", "client_ca": "/a"}})",
      R"(o[{"op": "matmul", "w": "nf4", "n": 8192, "k": 8192, "m": "1,16..64", "group": -1, "bias": true}])",
      R"(o{"w": "int4", "zeros": "original", "scale": "fp16", "out": "fp32", "n": 128, "k": 256, "m": [1, "2..4"]})"};
}

}  // namespace ladder

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ladder;
  if (size == 0) return 0;
  const std::string text = FuzzInput(data + 1, size - 1);
  if (data[0] == 'c') {
    const absl::StatusOr<Config> config = ParseConfig(text, "fuzz");
    if (!config.ok()) {
      FUZZ_CHECK(!config.status().message().empty());
      return 0;
    }
    const std::string printed = PrintConfig(*config);
    const absl::StatusOr<Config> again = ParseConfig(printed, "printed");
    FUZZ_CHECK(again.ok() && PrintConfig(*again) == printed);
    return 0;
  }
  // The reader wants a file; this one has no name but that of its descriptor.
  const int fd = ::memfd_create("operators", MFD_CLOEXEC);
  FUZZ_CHECK(fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  const absl::StatusOr<std::vector<tune::v1::OperatorDescriptor>> operators =
      tools::ReadOperators(absl::StrCat("/proc/self/fd/", fd));
  ::close(fd);
  if (operators.ok()) {
    for (const tune::v1::OperatorDescriptor& op : *operators) FUZZ_CHECK(!tools::Describe(op).empty());
  }
  return 0;
}
