// Has libFuzzer start from a target's seeds: they are written into the corpus folder that the command names, before
// libFuzzer reads it. Written anew each time, as some hold only in the process that made them (an import's signature).
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  for (int i = 1; i < *argc; ++i) {
    const std::filesystem::path folder = (*argv)[i];
    if (!std::filesystem::is_directory(folder)) continue;  // an option, or an input to repeat
    const std::vector<std::string> seeds = ladder::FuzzSeeds();
    for (size_t s = 0; s < seeds.size(); ++s) {
      std::ofstream file(folder / ("seed-" + std::to_string(s)), std::ios::binary);
      file.write(seeds[s].data(), static_cast<std::streamsize>(seeds[s].size()));
      file.close();
      FUZZ_CHECK(file.good());
    }
    break;  // libFuzzer writes what it finds into the first folder, too
  }
  return 0;
}
