// How a test makes one candidate of a real tune bad: it writes the name of a fault into the file that the environment
// names, and the compile worker of the test gives that fault to the next kernel it compiles.
#ifndef LADDER_TESTS_SERVER_ORDERED_FAULT_H_
#define LADDER_TESTS_SERVER_ORDERED_FAULT_H_

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace ladder {

inline constexpr char kFaultFileVariable[] = "LADDER_TEST_FAULT_FILE";

// The fault that is ordered, once; empty if none is.
inline std::string TakeOrderedFault() {
  const char* const path = std::getenv(kFaultFileVariable);
  if (path == nullptr) return "";
  std::string fault;
  std::ifstream(path) >> fault;
  if (!fault.empty()) std::remove(path);
  return fault;
}

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_ORDERED_FAULT_H_
