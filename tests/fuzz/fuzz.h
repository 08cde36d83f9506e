// What a fuzz target defines: libFuzzer's entry, and inputs that are right, to start from.
#ifndef LADDER_TESTS_FUZZ_FUZZ_H_
#define LADDER_TESTS_FUZZ_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

// Returns 0. A property that doesn't hold ends the process (FUZZ_CHECK), as a sanitizer's finding does.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace ladder {

std::vector<std::string> FuzzSeeds();

inline std::string FuzzInput(const uint8_t* data, size_t size) {
  return size == 0 ? std::string() : std::string(reinterpret_cast<const char*>(data), size);
}

}  // namespace ladder

#define FUZZ_CHECK(condition)                                                             \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

#endif  // LADDER_TESTS_FUZZ_FUZZ_H_
