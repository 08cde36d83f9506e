// The bytes of a bundle, shared by export and import.
#ifndef LADDER_SERVER_STORAGE_BUNDLE_FORMAT_H_
#define LADDER_SERVER_STORAGE_BUNDLE_FORMAT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "server/storage/digest.h"

namespace ladder {

inline constexpr absl::string_view kBundleMagic("LADDERCB", 8);
inline constexpr uint32_t kBundleVersion = 1;

enum class FrameType : uint8_t { kManifest = 1, kBinary = 2, kTrailer = 3 };
inline constexpr size_t kFrameHeaderBytes = 9;
// Manifests are kept small: parsing multiplies what a hostile one costs.
inline constexpr size_t kManifestBytes = size_t{256} << 10;     // aimed at by the exporter
inline constexpr int64_t kMaxManifestBytes = int64_t{2} << 20;  // accepted
inline constexpr size_t kMaxExportedTrace = size_t{512} << 10;  // longer traces stay at home

inline std::string LittleEndian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text.push_back(static_cast<char>(value >> (8 * i)));
  return text;
}

inline uint64_t FromLittleEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return value;
}

// What is signed: a chain over the manifests' bytes.
class BundleDigest {
 public:
  void Add(absl::string_view manifest) { value_ = Sha256OfParts({"ladder bundle 1", value_, manifest}); }
  const std::string& value() const { return value_; }

 private:
  std::string value_;
};

}  // namespace ladder

#endif  // LADDER_SERVER_STORAGE_BUNDLE_FORMAT_H_
