#include <grpcpp/grpcpp.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/kernel_service.h"
#include "ladder/tune/v1/service.grpc.pb.h"
#include "server/convert/proto_convert.h"
#include "server/grpc/services.h"
#include "server/grpc/stream_writer.h"
#include "server/grpc/unary.h"
#include "server/serving/lookup.h"
#include "server/serving/machines.h"
#include "server/serving/watch_hub.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {
namespace {

namespace pb = tune::v1;

constexpr int kMaxBatch = 1024;
constexpr int kMaxWatched = 1024;
constexpr size_t kChunkBytes = size_t{1} << 20;

bool IsHexDigest(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// The keys a watch means, with what is stored for each.
struct Watched {
  std::vector<std::string> keys;
  std::vector<TuningRecord> current;
};

absl::StatusOr<Watched> FindWatched(const Serving& serving, const pb::WatchRequest& request) {
  Watched watched;
  for (int i = 0; i < request.requests_size(); ++i) {
    const pb::LookupRequest& one = request.requests(i);
    absl::StatusOr<OperatorRequest> op = ReadOperator(one.op());
    if (!op.ok()) return op.status();
    absl::StatusOr<Place> place = serving.machines.Resolve(one.target());
    if (!place.ok()) return place.status();
    for (const int64_t m : op->m) {
      watched.keys.push_back(MakeCacheKey(op->op, m, place->target).digest);
      absl::StatusOr<std::optional<TuningRecord>> record = place->service->LookUp(op->op, m, place->target);
      if (!record.ok()) return record.status();
      if (record->has_value()) watched.current.push_back(**std::move(record));
    }
  }
  return watched;
}

// One caller's watch: forwards records, each generation once, whatever order they come in.
class Watcher {
 public:
  Watcher(std::shared_ptr<PushWriter<pb::WatchEvent>> writer, bool with_trace)
      : writer_(std::move(writer)), with_trace_(with_trace) {}
  void Tell(const TuningRecord& record) {
    if (record.kind == RecordKind::kSeed) return;
    const std::lock_guard lock(mutex_);
    uint64_t& told = told_[record.key.digest];
    if (record.generation <= told) return;
    told = record.generation;
    pb::WatchEvent event;
    FillResult(record, with_trace_, *event.mutable_result());
    writer_->Push(std::move(event));
  }

 private:
  const std::shared_ptr<PushWriter<pb::WatchEvent>> writer_;
  const bool with_trace_;
  std::mutex mutex_;
  std::map<std::string, uint64_t> told_;  // newest generation by key
};

class KernelCacheService final : public pb::KernelCache::CallbackService {
 public:
  KernelCacheService(const Serving& serving, const CallerAccess& access) : serving_(serving), access_(access) {}

  grpc::ServerUnaryReactor* Lookup(grpc::CallbackServerContext* context, const pb::LookupRequest* request,
                                   pb::LookupResponse* response) override {
    if (absl::Status status = access_.Check(*context, "KernelCache/Lookup"); !status.ok())
      return Answer(context, status);
    if (absl::Status status = CheckOnMiss(*context, *request); !status.ok()) return Answer(context, status);
    if (request->on_miss() == pb::ON_MISS_NOT_FOUND) {
      absl::StatusOr<std::optional<pb::LookupResponse>> known = LookUpKnown(serving_, *request);
      if (!known.ok()) return Answer(context, known.status());
      if (known->has_value()) {
        *response = **std::move(known);
        return Answer(context, absl::OkStatus());
      }
    }
    return AnswerOn(serving_.quick, context, [this, request, response] {
      absl::StatusOr<pb::LookupResponse> made = LookUpOrMake(serving_, *request);
      if (!made.ok()) return made.status();
      *response = *std::move(made);
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* BatchLookup(grpc::CallbackServerContext* context, const pb::BatchLookupRequest* request,
                                        pb::BatchLookupResponse* response) override {
    if (absl::Status status = access_.Check(*context, "KernelCache/BatchLookup"); !status.ok())
      return Answer(context, status);
    if (request->requests_size() > kMaxBatch) {
      return Answer(context, absl::InvalidArgumentError(absl::StrCat("requests: ", request->requests_size(),
                                                                     " look-ups in one batch; at most ", kMaxBatch)));
    }
    for (const pb::LookupRequest& one : request->requests()) {
      if (absl::Status status = CheckOnMiss(*context, one); !status.ok()) return Answer(context, status);
    }
    for (int i = 0; i < request->requests_size(); ++i) {
      absl::StatusOr<std::optional<pb::LookupResponse>> known =
          request->requests(i).on_miss() == pb::ON_MISS_NOT_FOUND
              ? LookUpKnown(serving_, request->requests(i))
              : absl::StatusOr<std::optional<pb::LookupResponse>>(std::nullopt);
      if (known.ok() && !known->has_value()) {  // the whole batch may have to wait
        response->Clear();
        return AnswerOn(serving_.quick, context, [this, request, response] {
          for (const pb::LookupRequest& one : request->requests()) {
            FillItem(LookUpOrMake(serving_, one), *response->add_items());
          }
          return absl::OkStatus();
        });
      }
      FillItem(known.ok() ? absl::StatusOr<pb::LookupResponse>(**std::move(known)) : known.status(),
               *response->add_items());
    }
    return Answer(context, absl::OkStatus());
  }

  grpc::ServerWriteReactor<pb::BlobChunk>* ReadBlob(grpc::CallbackServerContext* context,
                                                    const pb::ReadBlobRequest* request) override {
    const absl::Status allowed = access_.Check(*context, "KernelCache/ReadBlob");
    absl::StatusOr<std::string> blob =
        !allowed.ok() ? allowed
        : IsHexDigest(request->sha256())
            ? serving_.store.ReadBlob(request->sha256())
            : absl::InvalidArgumentError("sha256: expected 64 hexadecimal digits in lower case");
    using Next = absl::StatusOr<std::optional<pb::BlobChunk>>;
    auto* writer =
        new PullWriter<pb::BlobChunk>(context, [blob = std::move(blob), offset = size_t{0}]() mutable -> Next {
          if (!blob.ok()) return blob.status();
          if (offset >= blob->size()) return std::nullopt;
          pb::BlobChunk chunk;
          chunk.set_data(blob->substr(offset, kChunkBytes));
          offset += chunk.data().size();
          return chunk;
        });
    return writer->Start();
  }

  grpc::ServerWriteReactor<pb::WatchEvent>* Watch(grpc::CallbackServerContext* context,
                                                  const pb::WatchRequest* request) override {
    auto writer = PushWriter<pb::WatchEvent>::Make(context);
    if (absl::Status status = access_.Check(*context, "KernelCache/Watch"); !status.ok()) {
      writer->End(status);
      return writer.get();
    }
    if (request->requests_size() == 0 || request->requests_size() > kMaxWatched) {
      writer->End(absl::InvalidArgumentError(absl::StrCat("requests: expected 1 to ", kMaxWatched)));
      return writer.get();
    }
    // Which keys are meant may have to be asked of the GPU.
    const absl::Status submitted =
        serving_.quick.Submit([this, writer, request = *request] { StartWatch(writer, request); });
    if (!submitted.ok()) writer->End(submitted);
    return writer.get();
  }

  grpc::ServerUnaryReactor* ReportFailure(grpc::CallbackServerContext* context, const pb::ReportFailureRequest* request,
                                          pb::ReportFailureResponse*) override {
    if (absl::Status status = access_.Check(*context, "KernelCache/ReportFailure"); !status.ok())
      return Answer(context, status);
    return AnswerOn(serving_.quick, context, [this, request] { return Quarantine(*request); });
  }

  grpc::ServerUnaryReactor* GetSupport(grpc::CallbackServerContext* context, const pb::GetSupportRequest* request,
                                       pb::GetSupportResponse* response) override {
    if (absl::Status status = access_.Check(*context, "KernelCache/GetSupport"); !status.ok())
      return Answer(context, status);
    return AnswerOn(serving_.quick, context, [this, request, response] {
      absl::StatusOr<Place> place = serving_.machines.Resolve(request->target());
      if (!place.ok()) return place.status();
      absl::StatusOr<CompiledKernel> support = place->service->Support(place->target);
      if (support.ok()) response->set_binary(std::move(support->binary));
      return support.status();
    });
  }

 private:
  // A look-up that makes what is missing costs compilers and the GPU.
  absl::Status CheckOnMiss(const grpc::CallbackServerContext& context, const pb::LookupRequest& request) const {
    if (request.on_miss() == pb::ON_MISS_NOT_FOUND) return absl::OkStatus();
    return access_.Require(context, Role::kTuner, "on_miss: making what is missing");
  }

  static void FillItem(absl::StatusOr<pb::LookupResponse> result, pb::BatchLookupResponse::Item& item) {
    item.set_code(static_cast<int>(result.status().code()));
    if (result.ok()) {
      *item.mutable_response() = *std::move(result);
    } else {
      item.set_message(std::string(result.status().message()));
    }
  }

  void StartWatch(const std::shared_ptr<PushWriter<pb::WatchEvent>>& writer, const pb::WatchRequest& request) {
    absl::StatusOr<Watched> watched = FindWatched(serving_, request);
    if (!watched.ok()) {
      writer->End(watched.status());
      return;
    }
    auto watcher = std::make_shared<Watcher>(writer, request.requests(0).with_trace());
    WatchHub& hub = serving_.watches;
    // Listens before it tells what is there, and looks again after: no record falls between.
    const uint64_t id = hub.Watch(
        watched->keys, [watcher](const TuningRecord& record) { watcher->Tell(record); },
        [writer] { writer->End(absl::UnavailableError("the service is shutting down")); });
    writer->OnOver([&hub, id] { hub.Unwatch(id); });
    for (const TuningRecord& record : watched->current) watcher->Tell(record);
    absl::StatusOr<Watched> again = FindWatched(serving_, request);
    if (again.ok()) {
      for (const TuningRecord& record : again->current) watcher->Tell(record);
    }
  }

  absl::Status Quarantine(const pb::ReportFailureRequest& request) {
    if (!IsHexDigest(request.key())) {
      return absl::InvalidArgumentError("key: expected 64 hexadecimal digits in lower case");
    }
    absl::StatusOr<std::optional<TuningRecord>> record = serving_.cache.Find(CacheKey{request.key()});
    if (!record.ok()) return record.status();
    if (!record->has_value()) return absl::NotFoundError("key: no record is stored under it");
    // A report about a kernel that was replaced meanwhile says nothing about the present one.
    if ((*record)->ranked.empty() || (*record)->winner().blob_sha256 != request.blob_sha256()) {
      return absl::NotFoundError("blob_sha256: the record has another kernel by now");
    }
    return serving_.cache.QuarantineBlob(
        request.blob_sha256(), absl::StrCat("a client reported: ", request.reason().substr(0, kMaxTextLength)));
  }

  const Serving serving_;
  const CallerAccess access_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeKernelCacheService(const Serving& serving, const CallerAccess& access) {
  return std::make_unique<KernelCacheService>(serving, access);
}

}  // namespace ladder
