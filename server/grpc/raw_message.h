// Messages as bytes, for calls that need not be understood to be answered; for the services' .cc files only (it
// includes gRPC).
#ifndef LADDER_SERVER_GRPC_RAW_MESSAGE_H_
#define LADDER_SERVER_GRPC_RAW_MESSAGE_H_

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/grpcpp.h>

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

// The values of field 1, which is a repeated message, in a message of that alone. Nothing if it is none.
inline std::optional<std::vector<std::string_view>> SplitMessages(std::string_view message) {
  using google::protobuf::internal::WireFormatLite;
  constexpr uint32_t kTag = WireFormatLite::MakeTag(1, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(message.data()),
                                            static_cast<int>(message.size()));
  std::vector<std::string_view> values;
  for (uint32_t tag = in.ReadTag(); tag != 0; tag = in.ReadTag()) {
    if (tag != kTag) {  // a newer client's
      if (!WireFormatLite::SkipField(&in, tag)) return std::nullopt;
      continue;
    }
    int size = 0;
    if (!in.ReadVarintSizeAsInt(&size)) return std::nullopt;
    const auto at = static_cast<size_t>(in.CurrentPosition());
    if (!in.Skip(size)) return std::nullopt;
    values.push_back(message.substr(at, static_cast<size_t>(size)));
  }
  if (!in.ConsumedEntireMessage()) return std::nullopt;
  return values;
}

// Appends a field whose value is `bytes`, a message or a text.
inline void AppendField(uint32_t number, std::string_view bytes, std::string& out) {
  using google::protobuf::internal::WireFormatLite;
  uint8_t head[10];
  uint8_t* end = google::protobuf::io::CodedOutputStream::WriteVarint32ToArray(
      WireFormatLite::MakeTag(static_cast<int>(number), WireFormatLite::WIRETYPE_LENGTH_DELIMITED), head);
  end = google::protobuf::io::CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(bytes.size()), end);
  out.append(reinterpret_cast<const char*>(head), static_cast<size_t>(end - head));
  out.append(bytes);
}

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_RAW_MESSAGE_H_
