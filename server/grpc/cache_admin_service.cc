#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/store/keys.h"
#include "ladder/tune/v1/service.grpc.pb.h"
#include "server/convert/proto_convert.h"
#include "server/grpc/import_reader.h"
#include "server/grpc/services.h"
#include "server/grpc/stream_writer.h"
#include "server/grpc/unary.h"
#include "server/serving/explain.h"
#include "server/serving/spool_file.h"
#include "server/storage/bundle.h"
#include "server/storage/keyring.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {
namespace {

namespace pb = tune::v1;

constexpr size_t kExportChunkBytes = size_t{1} << 20;

class CacheAdminService final : public pb::CacheAdmin::CallbackService {
 public:
  CacheAdminService(const Serving& serving, const CallerAccess& access)
      : serving_(serving),
        access_(access),
        folder_(std::filesystem::path(serving.cache.path()).parent_path().string()) {}

  grpc::ServerWriteReactor<pb::TuningRecord>* List(grpc::CallbackServerContext* context,
                                                   const pb::ListRequest* request) override {
    // Keys now, records as the caller reads: a cache of a million doesn't fit in memory, its keys do.
    auto keys = std::make_shared<std::vector<std::string>>();
    auto listed = std::make_shared<absl::Status>();
    const TraceMode mode = request->with_trace() ? TraceMode::kWithTrace : TraceMode::kWithoutTrace;
    using Next = absl::StatusOr<std::optional<pb::TuningRecord>>;
    auto* writer =
        new PullWriter<pb::TuningRecord>(context, [this, keys, listed, mode, next = size_t{0}]() mutable -> Next {
          if (!listed->ok()) return *listed;
          while (next < keys->size()) {
            absl::StatusOr<std::optional<TuningRecord>> record = serving_.cache.Find(CacheKey{(*keys)[next++]});
            if (!record.ok()) return record.status();
            if (record->has_value()) return ToProto(**record, mode);
          }
          return std::nullopt;
        });
    *listed = access_.Check(*context, "CacheAdmin/List");
    if (!listed->ok()) return writer->Start();
    const absl::Status submitted = serving_.quick.Submit([this, keys, listed, writer] {
      *listed = serving_.cache.ForEach([&](const TuningRecord& record) {
        keys->push_back(record.key.digest);
        return true;
      });
      writer->Start();
    });
    if (submitted.ok()) return writer;
    *listed = submitted;
    return writer->Start();
  }

  grpc::ServerUnaryReactor* Explain(grpc::CallbackServerContext* context, const pb::ExplainRequest* request,
                                    pb::ExplainResponse* response) override {
    if (absl::Status status = access_.Check(*context, "CacheAdmin/Explain"); !status.ok())
      return Answer(context, status);
    return AnswerOn(serving_.quick, context, [this, request, response] {
      absl::StatusOr<pb::ExplainResponse> explained = ladder::Explain(serving_, *request);
      if (!explained.ok()) return explained.status();
      *response = *std::move(explained);
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* Stats(grpc::CallbackServerContext* context, const pb::StatsRequest*,
                                  pb::StatsResponse* response) override {
    if (absl::Status status = access_.Check(*context, "CacheAdmin/Stats"); !status.ok()) return Answer(context, status);
    return AnswerOn(serving_.quick, context, [this, response]() -> absl::Status {
      absl::StatusOr<StoreStats> stats = serving_.cache.Stats();
      if (!stats.ok()) return stats.status();
      response->set_path(stats->path);
      response->set_records(stats->totals.records);
      response->set_seeds(stats->totals.seeds);
      response->set_binaries(stats->totals.binaries);
      response->set_binary_bytes(stats->totals.binary_bytes);
      response->set_quarantined(stats->totals.quarantined);
      response->set_file_bytes(stats->file_bytes);
      response->set_limit_bytes(stats->limit_bytes);
      response->set_lookups(stats->lookups);
      response->set_hits(stats->hits);
      response->set_schema_version(stats->schema_version);
      response->set_generation(stats->generation);
      const Keyring keyring(serving_.cache.path());
      absl::StatusOr<std::string> key = keyring.ExistingPublicKey();
      if (!key.ok()) return key.status();
      response->set_public_key(*key);
      absl::StatusOr<std::vector<std::string>> trusted = keyring.Trusted();
      if (!trusted.ok()) return trusted.status();
      for (std::string& one : *trusted) response->add_trusted_keys(std::move(one));
      return absl::OkStatus();
    });
  }

  grpc::ServerWriteReactor<pb::ExportChunk>* Export(grpc::CallbackServerContext* context,
                                                    const pb::ExportRequest* request) override {
    // Written to a file first: a slow reader must not hold a thread.
    auto spool = std::make_shared<absl::StatusOr<std::unique_ptr<SpoolFile>>>(MakeSpool(*context, "CacheAdmin/Export"));
    using Next = absl::StatusOr<std::optional<pb::ExportChunk>>;
    auto* writer = new PullWriter<pb::ExportChunk>(context, [spool]() -> Next {
      if (!spool->ok()) return spool->status();
      absl::StatusOr<std::string> bytes = (**spool)->Read(kExportChunkBytes);
      if (!bytes.ok()) return bytes.status();
      if (bytes->empty()) return std::nullopt;
      pb::ExportChunk chunk;
      chunk.set_data(*std::move(bytes));
      return chunk;
    });
    if (!spool->ok()) return writer->Start();
    ExportOptions options;
    options.keys.assign(request->keys().begin(), request->keys().end());
    const absl::Status submitted = serving_.quick.Submit([this, spool, options, writer] {
      absl::StatusOr<ExportReport> report =
          ExportBundle(serving_.cache, options, [&](absl::string_view bytes) { return (**spool)->Write(bytes); });
      if (!report.ok()) *spool = report.status();
      writer->Start();
    });
    if (submitted.ok()) return writer;
    *spool = submitted;
    return writer->Start();
  }

  grpc::ServerReadReactor<pb::ImportChunk>* Import(grpc::CallbackServerContext* context,
                                                   pb::ImportResponse* response) override {
    return new ImportReader(context, response, serving_.cache, serving_.machines, serving_.watches, serving_.quick,
                            MakeSpool(*context, "CacheAdmin/Import"));
  }

  grpc::ServerUnaryReactor* TrustKey(grpc::CallbackServerContext* context, const pb::TrustKeyRequest* request,
                                     pb::TrustKeyResponse* response) override {
    if (absl::Status status = access_.Check(*context, "CacheAdmin/TrustKey"); !status.ok())
      return Answer(context, status);
    return AnswerOn(serving_.quick, context, [this, request, response]() -> absl::Status {
      const Keyring keyring(serving_.cache.path());
      const absl::Status changed =
          request->remove() ? keyring.Distrust(request->public_key()) : keyring.Trust(request->public_key());
      if (!changed.ok()) return changed;
      absl::StatusOr<std::vector<std::string>> trusted = keyring.Trusted();
      if (!trusted.ok()) return trusted.status();
      for (std::string& one : *trusted) response->add_trusted_keys(std::move(one));
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* Evict(grpc::CallbackServerContext* context, const pb::EvictRequest* request,
                                  pb::EvictResponse* response) override {
    if (absl::Status status = access_.Check(*context, "CacheAdmin/Evict"); !status.ok()) return Answer(context, status);
    return AnswerOn(serving_.quick, context, [this, request, response]() -> absl::Status {
      if (request->down_to_bytes() < 0) {
        return absl::InvalidArgumentError(absl::StrCat("down_to_bytes: ", request->down_to_bytes(), " is negative"));
      }
      EvictSelection selection;
      selection.keys.assign(request->keys().begin(), request->keys().end());
      selection.all = request->all();
      if (selection.keys.empty() && !selection.all) {
        // Nothing said must not mean everything.
        if (request->down_to_bytes() == 0) {
          return absl::InvalidArgumentError("keys: say what to evict: keys, a size to come down to, or all");
        }
        selection.down_to_bytes = request->down_to_bytes();
      }
      absl::StatusOr<Removed> removed = serving_.cache.Evict(selection);
      if (!removed.ok()) return removed.status();
      response->set_records(removed->records);
      response->set_binaries(removed->binaries);
      response->set_bytes(removed->bytes);
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* Verify(grpc::CallbackServerContext* context, const pb::VerifyRequest*,
                                   pb::VerifyResponse* response) override {
    if (absl::Status status = access_.Check(*context, "CacheAdmin/Verify"); !status.ok())
      return Answer(context, status);
    return AnswerOn(serving_.quick, context, [this, response]() -> absl::Status {
      absl::StatusOr<VerifyReport> report = serving_.cache.Verify();
      if (!report.ok()) return report.status();
      response->set_records(report->records);
      response->set_binaries(report->binaries);
      for (std::string& problem : report->problems) response->add_problems(std::move(problem));
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* Quarantine(grpc::CallbackServerContext* context, const pb::QuarantineRequest*,
                                       pb::QuarantineResponse* response) override {
    if (absl::Status status = access_.Check(*context, "CacheAdmin/Quarantine"); !status.ok())
      return Answer(context, status);
    return AnswerOn(serving_.quick, context, [this, response]() -> absl::Status {
      absl::StatusOr<std::vector<QuarantineEntry>> entries = serving_.cache.Quarantined();
      if (!entries.ok()) return entries.status();
      for (QuarantineEntry& found : *entries) {
        pb::QuarantineResponse::Entry& entry = *response->add_entries();
        entry.set_what(std::move(found.what));
        entry.set_reason(std::move(found.reason));
        entry.set_at_unix(found.at_unix);
      }
      return absl::OkStatus();
    });
  }

 private:
  // For a call that is allowed.
  absl::StatusOr<std::unique_ptr<SpoolFile>> MakeSpool(const grpc::CallbackServerContext& context,
                                                       absl::string_view call) const {
    if (absl::Status status = access_.Check(context, call); !status.ok()) return status;
    return SpoolFile::Make(folder_);
  }

  const Serving serving_;
  const CallerAccess access_;
  const std::string folder_;  // of the cache
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCacheAdminService(const Serving& serving, const CallerAccess& access) {
  return std::make_unique<CacheAdminService>(serving, access);
}

}  // namespace ladder
