// The server's end of CacheAdmin.Import, for cache_admin_service.cc only (it includes gRPC).
#ifndef LADDER_SERVER_GRPC_IMPORT_READER_H_
#define LADDER_SERVER_GRPC_IMPORT_READER_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ladder/tune/v1/service.pb.h"
#include "server/grpc/call_status.h"
#include "server/serving/executor.h"
#include "server/serving/machines.h"
#include "server/serving/spool_file.h"
#include "server/serving/watch_hub.h"
#include "server/storage/bundle.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {

// Collects the chunks in a spool file, then imports them on an executor. Deletes itself.
class ImportReader final : public grpc::ServerReadReactor<tune::v1::ImportChunk> {
 public:
  ImportReader(grpc::CallbackServerContext* context, tune::v1::ImportResponse* response, SqliteKernelStore& cache,
               Machines& machines, WatchHub& watches, Executor& executor,
               absl::StatusOr<std::unique_ptr<SpoolFile>> spool)
      : context_(context),
        response_(response),
        cache_(cache),
        machines_(machines),
        watches_(watches),
        executor_(executor),
        spool_(std::move(spool)) {
    if (spool_.ok()) {
      StartRead(&chunk_);
    } else {
      End(spool_.status());
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) {  // the caller has sent everything, or has gone
      const absl::Status submitted = executor_.Submit([this] { End(Import()); });
      if (!submitted.ok()) End(submitted);
      return;
    }
    if (first_) {
      options_.dry_run = chunk_.dry_run();
      options_.allow_unsigned = chunk_.allow_unsigned();
      first_ = false;
    }
    absl::Status status = (*spool_)->Write(chunk_.data());
    if (status.ok() && (*spool_)->size() > options_.caps.total_bytes) {
      status = absl::InvalidArgumentError(
          absl::StrCat("data: more than ", options_.caps.total_bytes, " bytes; export fewer records at a time"));
    }
    if (!status.ok()) {
      End(status);
      return;
    }
    StartRead(&chunk_);
  }
  void OnDone() override { delete this; }

 private:
  static constexpr size_t kChunkBytes = size_t{1} << 20;

  void End(const absl::Status& status) { Finish(ToCallStatus(status, *context_)); }

  absl::Status Import() {
    if (context_->IsCancelled()) return absl::CancelledError("the caller has gone");
    // Any request path tells what is current here; this starts nothing.
    const absl::StatusOr<std::optional<Place>> place = machines_.ResolveKnown(Target::Names().front());
    if (!place.ok()) return place.status();
    if (place->has_value()) {
      options_.is_current = [service = (*place)->service](const TuningRecord& record) {
        return service->CheckCurrent(record).ok();
      };
    }
    absl::StatusOr<ImportReport> report =
        ImportBundle(cache_, options_, [this] { return (*spool_)->Read(kChunkBytes); });
    if (!report.ok()) return report.status();
    response_->set_records(report->records);
    response_->set_binaries(report->binaries);
    response_->set_skipped(report->skipped);
    response_->set_signer(report->signer);
    response_->set_trusted(report->trusted);
    for (std::string& note : report->notes) response_->add_notes(std::move(note));
    // Watchers hear of what came for them and can be served; each takes only what is newer than it knows.
    for (const std::string& key : watches_.Keys()) {
      absl::StatusOr<std::optional<TuningRecord>> record = cache_.Find(CacheKey{key});
      if (!record.ok() || !record->has_value()) continue;
      if (options_.is_current == nullptr || options_.is_current(**record)) watches_.Publish(**record);
    }
    return absl::OkStatus();
  }

  grpc::CallbackServerContext* context_;
  tune::v1::ImportResponse* response_;
  SqliteKernelStore& cache_;
  Machines& machines_;
  WatchHub& watches_;
  Executor& executor_;
  absl::StatusOr<std::unique_ptr<SpoolFile>> spool_;
  tune::v1::ImportChunk chunk_;
  ImportOptions options_;
  bool first_ = true;
};

}  // namespace ladder

#endif  // LADDER_SERVER_GRPC_IMPORT_READER_H_
