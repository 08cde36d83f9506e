// Messages as bytes, for calls that need not be understood to be answered; for the services' .cc files only (it
// includes gRPC).
#ifndef LADDER_SERVER_GRPC_RAW_MESSAGE_H_
#define LADDER_SERVER_GRPC_RAW_MESSAGE_H_

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ladder {

inline std::string_view View(const grpc::Slice& slice) {
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

// The whole message in one piece, without a copy where it came in one.
inline std::optional<grpc::Slice> Flatten(const grpc::ByteBuffer& message) {
  grpc::Slice slice;
  if (message.TrySingleSlice(&slice).ok() || message.DumpToSingleSlice(&slice).ok()) return slice;
  return std::nullopt;
}

// A message that shares `bytes` with `owner`, which it keeps alive.
template <typename Owner>
grpc::ByteBuffer Share(std::shared_ptr<Owner> owner, const std::string& bytes) {
  if (bytes.empty()) {
    const grpc::Slice empty;
    return grpc::ByteBuffer(&empty, 1);
  }
  auto* kept = new std::shared_ptr<Owner>(std::move(owner));
  const grpc::Slice slice(
      const_cast<char*>(bytes.data()), bytes.size(),
      [](void* pointer) { delete static_cast<std::shared_ptr<Owner>*>(pointer); }, kept);
  return grpc::ByteBuffer(&slice, 1);
}

// Reading of fields that accepts what protobuf's parser does, which CodedInputStream doesn't: that takes tags and
// lengths of ten bytes. Each takes what it reads off the front of `in`.
namespace wire {

constexpr uint32_t kGroupEnd = 4;
constexpr int kMaxDepth = 100;  // protobuf's own limit

inline std::optional<uint64_t> TakeVarint(std::string_view& in, size_t most_bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < std::min(most_bytes, in.size()); ++i) {
    const auto byte = static_cast<uint8_t>(in[i]);
    value |= uint64_t{byte & 0x7fU} << (7 * i);
    if (byte < 0x80) {
      in.remove_prefix(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

// 0, which is no field's, if there is none.
inline uint32_t TakeTag(std::string_view& in) { return static_cast<uint32_t>(TakeVarint(in, 5).value_or(0)); }

inline std::optional<std::string_view> TakeBytes(std::string_view& in, std::optional<uint64_t> size) {
  if (!size.has_value() || *size > in.size()) return std::nullopt;
  const std::string_view bytes = in.substr(0, *size);
  in.remove_prefix(*size);
  return bytes;
}

// The value behind a tag; groups with all that is in them, `depth` deep at most.
inline bool SkipValue(std::string_view& in, uint32_t tag, int depth) {
  if (tag >> 3 == 0) return false;
  switch (tag & 7) {
    case 0:
      return TakeVarint(in, 10).has_value();
    case 1:
      return TakeBytes(in, 8).has_value();
    case 2:
      return TakeBytes(in, TakeVarint(in, 5)).has_value();
    case 3:
      for (uint32_t inner = TakeTag(in); depth > 0; inner = TakeTag(in)) {
        if ((inner & 7) == kGroupEnd) return inner >> 3 == tag >> 3;
        if (!SkipValue(in, inner, depth - 1)) return false;
      }
      return false;
    case 5:
      return TakeBytes(in, 4).has_value();
    default:
      return false;
  }
}

}  // namespace wire

// The values of field 1, which is a repeated message, in a message of that alone. Nothing if it is none.
inline std::optional<std::vector<std::string_view>> SplitMessages(std::string_view message) {
  constexpr uint32_t kTag = 1 << 3 | 2;
  std::vector<std::string_view> values;
  while (!message.empty()) {
    const uint32_t tag = wire::TakeTag(message);
    if (tag == kTag) {
      const std::optional<std::string_view> value = wire::TakeBytes(message, wire::TakeVarint(message, 5));
      if (!value.has_value()) return std::nullopt;
      values.push_back(*value);
    } else if (!wire::SkipValue(message, tag, wire::kMaxDepth)) {  // a newer client's
      return std::nullopt;
    }
  }
  return values;
}

namespace wire {

inline uint32_t TagOf(uint32_t number) {
  using google::protobuf::internal::WireFormatLite;
  return WireFormatLite::MakeTag(static_cast<int>(number), WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}

}  // namespace wire

// What a field takes whose value, a message or a text, has that size.
inline size_t FieldSize(uint32_t number, size_t value_size) {
  using google::protobuf::io::CodedOutputStream;
  return CodedOutputStream::VarintSize32(wire::TagOf(number)) +
         CodedOutputStream::VarintSize32(static_cast<uint32_t>(value_size)) + value_size;
}

// Appends what comes before the value of a field, for one that is written piece by piece.
inline void AppendHead(uint32_t number, size_t value_size, std::string& out) {
  using google::protobuf::io::CodedOutputStream;
  uint8_t head[10];
  uint8_t* end = CodedOutputStream::WriteVarint32ToArray(wire::TagOf(number), head);
  end = CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(value_size), end);
  out.append(reinterpret_cast<const char*>(head), static_cast<size_t>(end - head));
}

// Appends a field whose value is `bytes`, a message or a text.
inline void AppendField(uint32_t number, std::string_view bytes, std::string& out) {
  AppendHead(number, bytes.size(), out);
  out.append(bytes);
}

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_RAW_MESSAGE_H_
