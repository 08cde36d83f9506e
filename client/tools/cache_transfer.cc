// Export and import: files to and from streams.
#include <grpcpp/client_context.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/grpc_status.h"
#include "client/tools/cache_commands.h"
#include "client/tools/text_table.h"

namespace ladder::tools {

using client::FromGrpc;
using nlohmann::json;
namespace pb = tune::v1;

namespace {

constexpr size_t kChunkBytes = 256 << 10;

// A file that appears under its name only when it is whole: a failed export leaves no stub.
class WholeFile {
 public:
  explicit WholeFile(const std::string& path)
      : path_(path), partial_(path + ".partial"), file_(partial_, std::ios::binary | std::ios::trunc) {}
  ~WholeFile() {
    std::error_code ignored;
    if (!committed_) std::filesystem::remove(partial_, ignored);
  }
  bool ok() const { return static_cast<bool>(file_); }
  void Write(const std::string& data) { file_.write(data.data(), static_cast<std::streamsize>(data.size())); }
  bool Commit() {
    file_.close();
    std::error_code error;
    if (file_) std::filesystem::rename(partial_, path_, error);
    committed_ = file_ && !error;
    return committed_;
  }

 private:
  std::string path_, partial_;
  std::ofstream file_;
  bool committed_ = false;
};

}  // namespace

absl::Status CacheCommands::Export(const std::string& path, const std::vector<std::string>& keys) {
  WholeFile file(path);
  if (!file.ok()) return absl::InvalidArgumentError(absl::StrCat("export: ", path, " can't be written"));
  grpc::ClientContext context;
  pb::ExportRequest request;
  for (const std::string& key : keys) request.add_keys(key);
  const auto reader = admin_->Export(&context, request);
  pb::ExportChunk chunk;
  long long bytes = 0;
  while (file.ok() && reader->Read(&chunk)) {
    file.Write(chunk.data());
    bytes += static_cast<long long>(chunk.data().size());
  }
  if (!file.ok()) context.TryCancel();
  const absl::Status status = FromGrpc(reader->Finish());
  if (file.ok() && !status.ok()) return status;
  if (!file.Commit()) {
    return absl::ResourceExhaustedError(absl::StrCat("export: writing ", path, " failed; is the disk full?"));
  }
  if (json_) {
    std::cout << json{{"file", path}, {"bytes", bytes}}.dump(2) << "\n";
  } else {
    std::cout << "Exported to " << path << " (" << HumanBytes(bytes) << ").\n";
  }
  return absl::OkStatus();
}

absl::Status CacheCommands::Import(const std::string& path, bool dry_run, bool allow_unsigned) {
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  if (!file || std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(absl::StrCat("import: ", path, " can't be read; give a file made by export"));
  }
  grpc::ClientContext context;
  pb::ImportResponse response;
  const auto writer = admin_->Import(&context, &response);
  std::vector<char> buffer(kChunkBytes);
  bool first = true;
  while (first || file) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    pb::ImportChunk chunk;
    chunk.set_data(buffer.data(), static_cast<size_t>(file.gcount()));
    chunk.set_dry_run(first && dry_run);
    chunk.set_allow_unsigned(first && allow_unsigned);
    first = false;
    if (!writer->Write(chunk)) break;  // the service refused; Finish tells why
  }
  writer->WritesDone();
  if (absl::Status status = FromGrpc(writer->Finish()); !status.ok()) return status;
  if (json_) {
    std::cout << json{{"records", response.records()},
                      {"binaries", response.binaries()},
                      {"skipped", response.skipped()},
                      {"signer", response.signer()},
                      {"trusted", response.trusted()},
                      {"dry_run", dry_run},
                      {"notes", std::vector<std::string>(response.notes().begin(), response.notes().end())}}
                     .dump(2, ' ', false, json::error_handler_t::replace)
              << "\n";
    return absl::OkStatus();
  }
  std::cout << (dry_run ? "Would import " : "Imported ") << response.records() << " records and " << response.binaries()
            << " binaries, " << response.skipped() << " skipped (older than what is here); ";
  if (response.signer().empty()) {
    std::cout << "no signature that counts: configurations only, to be compiled and verified here.\n";
  } else {
    std::cout << "signed by " << response.signer() << (response.trusted() ? ", trusted.\n" : ", not trusted here.\n");
  }
  for (const std::string& note : response.notes()) std::cout << "note: " << note << "\n";
  return absl::OkStatus();
}

}  // namespace ladder::tools
