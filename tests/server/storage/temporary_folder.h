// A folder that goes away with the test.
#ifndef LADDER_TESTS_SERVER_STORAGE_TEMPORARY_FOLDER_H_
#define LADDER_TESTS_SERVER_STORAGE_TEMPORARY_FOLDER_H_

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace ladder {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ladder_storage_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Flips a bit at every place where `text` is found (a database may hold stale copies); returns how many there were.
inline int FlipEverywhere(std::string& bytes, const std::string& text) {
  int found = 0;
  for (size_t at = bytes.find(text); at != std::string::npos; at = bytes.find(text, at + 1)) {
    bytes[at] = static_cast<char>(bytes[at] ^ 1);  // a hex digit mostly stays one
    ++found;
  }
  return found;
}

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_STORAGE_TEMPORARY_FOLDER_H_
