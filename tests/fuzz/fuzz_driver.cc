// Runs a fuzz target on mutations of its seeds, for compilers without libFuzzer. Each input is a function of (seed,
// iteration), so a finding is repeated by `--seed S --iteration I`.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <random>

#include "tests/fuzz/fuzz.h"

namespace {

uint64_t seed = 1;
uint64_t iteration = 0;

// For what ends the process: signals and, through the sanitizers' own hook, their findings.
void TellWhere() {
  char line[96];
  const int size = std::snprintf(line, sizeof line, "fuzz: repeat with --seed %llu --iteration %llu\n",
                                 static_cast<unsigned long long>(seed), static_cast<unsigned long long>(iteration));
  if (::write(2, line, static_cast<size_t>(size)) < 0) return;
}

void OnSignal(int signal) {
  TellWhere();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

class Mutator {
 public:
  Mutator(const std::vector<std::string>& seeds, std::seed_seq& mixed) : seeds_(seeds), random_(mixed) {}

  std::string Make() {
    std::string input = seeds_[Below(seeds_.size())];
    for (uint64_t changes = Below(6); changes > 0; --changes) Change(input);
    return input;
  }

 private:
  uint64_t Below(uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }
  // Between two places of a text, at most `most` apart.
  std::string Piece(const std::string& text, size_t most) {
    if (text.empty()) return "";
    return text.substr(Below(text.size()), 1 + Below(most));
  }
  std::string Interesting() {
    static const std::vector<std::string> kPieces = {std::string(1, '\0'),
                                                     "\xff",
                                                     "\x7f",
                                                     "\x80",
                                                     "\xff\xff\xff\xff",
                                                     std::string(4, '\0'),
                                                     std::string(8, '\0'),
                                                     "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                                                     "-1",
                                                     "0",
                                                     "9223372036854775808",
                                                     "1e999",
                                                     "NaN",
                                                     "[[[[[[[[",
                                                     "{\"a\":",
                                                     "\"",
                                                     "\\u0000",
                                                     "\xc3\x28",
                                                     "=",
                                                     ":",
                                                     "\n",
                                                     ";",
                                                     ".."};
    return kPieces[Below(kPieces.size())];
  }
  void Change(std::string& text) {
    const size_t at = Below(text.size() + 1);
    switch (Below(8)) {
      case 0:
        if (!text.empty()) text[Below(text.size())] ^= static_cast<char>(1 << Below(8));
        return;
      case 1:
        if (!text.empty()) text[Below(text.size())] = static_cast<char>(Below(256));
        return;
      case 2:
        text.insert(at, Interesting());
        return;
      case 3:
        text.erase(at, 1 + Below(16));
        return;
      case 4:
        text.insert(at, Piece(text, 64));  // something twice
        return;
      case 5:
        text.resize(at);
        return;
      case 6:
        text.insert(at, Piece(seeds_[Below(seeds_.size())], 256));  // something of another
        return;
      default:
        if (const std::string piece = Interesting(); at + piece.size() <= text.size())
          text.replace(at, piece.size(), piece);
    }
  }

  const std::vector<std::string>& seeds_;
  std::mt19937_64 random_;
};

void RunOne(const std::string& input) {
  // A copy of its exact size, so that a sanitizer sees a byte read beyond it.
  const std::vector<uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

}  // namespace

extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*)());

int main(int argc, char** argv) {
  double seconds = 1;
  bool only_one = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::atof(argv[i + 1]);
    if (std::strcmp(argv[i], "--seed") == 0) seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--iteration") == 0) {
      iteration = std::strtoull(argv[i + 1], nullptr, 10);
      only_one = true;
    }
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE}) std::signal(signal, OnSignal);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(TellWhere);
  const std::vector<std::string> seeds = ladder::FuzzSeeds();
  for (const std::string& input : seeds) RunOne(input);
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  const uint64_t first = iteration;
  do {
    std::seed_seq mixed{seed, iteration};
    RunOne(Mutator(seeds, mixed).Make());
    ++iteration;
  } while (!only_one && elapsed() < seconds);
  std::printf("%llu inputs from %zu seeds in %.1f s, no finding\n", static_cast<unsigned long long>(iteration - first),
              seeds.size(), elapsed());
  return 0;
}
