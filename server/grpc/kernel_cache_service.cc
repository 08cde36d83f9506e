#include <grpcpp/grpcpp.h>

#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/kernel_service.h"
#include "ladder/tune/v1/service.grpc.pb.h"
#include "server/convert/proto_convert.h"
#include "server/grpc/raw_message.h"
#include "server/grpc/services.h"
#include "server/grpc/stream_writer.h"
#include "server/grpc/unary.h"
#include "server/serving/known_answers.h"
#include "server/serving/lookup.h"
#include "server/serving/machines.h"
#include "server/serving/watch_hub.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {
namespace {

namespace pb = tune::v1;

constexpr size_t kMaxBatch = 1024;
constexpr int kMaxWatched = 1024;
constexpr size_t kBinaryChunkBytes = size_t{1} << 20;

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

// Look-ups are the many calls; they come and go as bytes, so that what was answered before isn't read and written
// again.
using RawLookups = pb::KernelCache::WithRawCallbackMethod_Lookup<
    pb::KernelCache::WithRawCallbackMethod_BatchLookup<pb::KernelCache::CallbackService>>;

// One of a batch. What isn't remembered is understood.
struct BatchItem {
  std::string_view bytes;
  std::shared_ptr<const KnownAnswer> answer;
  pb::LookupRequest request;  // where there is no answer
};
struct Batch {
  grpc::Slice message;  // what the items' bytes are of
  std::vector<BatchItem> items;
};

class KernelCacheService final : public RawLookups {
 public:
  KernelCacheService(const Serving& serving, const CallerAccess& access)
      : serving_(serving), access_(access), answers_(serving) {}

  grpc::ServerUnaryReactor* Lookup(grpc::CallbackServerContext* context, const grpc::ByteBuffer* message,
                                   grpc::ByteBuffer* response) override {
    if (absl::Status status = access_.Check(*context, "KernelCache/Lookup"); !status.ok())
      return Answer(context, status);
    const std::optional<grpc::Slice> slice = Flatten(*message);
    if (!slice.has_value()) return Answer(context, NoMessage("LookupRequest"));
    const AnswerBasis basis = answers_.Basis();
    if (std::shared_ptr<const KnownAnswer> answer = answers_.Recall(View(*slice), basis)) {
      *response = Share(answer, answer->bytes);
      return Answer(context, absl::OkStatus());
    }
    pb::LookupRequest request;
    if (!request.ParseFromArray(slice->begin(), static_cast<int>(slice->size()))) {
      return Answer(context, NoMessage("LookupRequest"));
    }
    if (absl::Status status = CheckOnMiss(*context, request); !status.ok()) return Answer(context, status);
    if (request.on_miss() == pb::ON_MISS_NOT_FOUND) {
      const absl::StatusOr<std::optional<pb::LookupResponse>> known = LookUpKnown(serving_, request);
      if (!known.ok()) return Answer(context, known.status());
      if (known->has_value()) {
        const std::shared_ptr<const KnownAnswer> answer = answers_.Write(View(*slice), basis, request, **known);
        *response = Share(answer, answer->bytes);
        return Answer(context, absl::OkStatus());
      }
    }
    return AnswerOn(serving_.quick, context, [this, request = std::move(request), response] {
      const absl::StatusOr<pb::LookupResponse> made = LookUpOrMake(serving_, request);
      if (!made.ok()) return made.status();
      const auto bytes = std::make_shared<const std::string>(made->SerializeAsString());
      *response = Share(bytes, *bytes);
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* BatchLookup(grpc::CallbackServerContext* context, const grpc::ByteBuffer* message,
                                        grpc::ByteBuffer* response) override {
    if (absl::Status status = access_.Check(*context, "KernelCache/BatchLookup"); !status.ok())
      return Answer(context, status);
    const AnswerBasis basis = answers_.Basis();
    absl::StatusOr<std::shared_ptr<Batch>> batch = ReadBatch(*context, *message, basis);
    if (!batch.ok()) return Answer(context, batch.status());
    const auto out = std::make_shared<std::string>();
    size_t known_bytes = 0;
    for (const BatchItem& item : (*batch)->items) known_bytes += item.answer == nullptr ? 0 : AnswerSize(*item.answer);
    out->reserve(known_bytes);
    for (const BatchItem& item : (*batch)->items) {
      if (item.answer != nullptr) {
        AppendAnswer(*item.answer, *out);
        continue;
      }
      const absl::StatusOr<std::optional<pb::LookupResponse>> known =
          item.request.on_miss() == pb::ON_MISS_NOT_FOUND
              ? LookUpKnown(serving_, item.request)
              : absl::StatusOr<std::optional<pb::LookupResponse>>(std::nullopt);
      if (!known.ok()) {
        AppendError(known.status(), *out);
      } else if (known->has_value()) {
        AppendAnswer(*answers_.Write(item.bytes, basis, item.request, **known), *out);
      } else {  // the whole batch may have to wait
        return AnswerOn(serving_.quick, context, [this, batch = *std::move(batch), response] {
          const auto made = std::make_shared<std::string>();
          for (const BatchItem& one : batch->items) MakeItem(one, *made);
          *response = Share(made, *made);
          return absl::OkStatus();
        });
      }
    }
    *response = Share(out, *out);
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
          chunk.set_data(blob->substr(offset, kBinaryChunkBytes));
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

  static absl::Status NoMessage(absl::string_view type) {
    return absl::InvalidArgumentError(absl::StrCat("the bytes of the request are no ", type));
  }

  // Answers what is remembered, understands the rest and checks that the caller may ask it, before anything is done.
  absl::StatusOr<std::shared_ptr<Batch>> ReadBatch(const grpc::CallbackServerContext& context,
                                                   const grpc::ByteBuffer& message, const AnswerBasis& basis) {
    const std::optional<grpc::Slice> slice = Flatten(message);
    if (!slice.has_value()) return NoMessage("BatchLookupRequest");
    auto batch = std::make_shared<Batch>();
    batch->message = *slice;
    const std::optional<std::vector<std::string_view>> requests = SplitMessages(View(batch->message));
    if (!requests.has_value()) return NoMessage("BatchLookupRequest");
    if (requests->size() > kMaxBatch) {
      return absl::InvalidArgumentError(
          absl::StrCat("requests: ", requests->size(), " look-ups in one batch; at most ", kMaxBatch));
    }
    batch->items.reserve(requests->size());
    for (const std::string_view bytes : *requests) {
      BatchItem& item = batch->items.emplace_back();
      item.bytes = bytes;
      item.answer = answers_.Recall(bytes, basis);
      if (item.answer != nullptr) continue;
      if (!item.request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        return NoMessage("BatchLookupRequest");
      }
      if (absl::Status status = CheckOnMiss(context, item.request); !status.ok()) return status;
    }
    return batch;
  }

  // An Item of one response: { response = 3 }, its code 0 being the default.
  static constexpr uint32_t kItems = pb::BatchLookupResponse::kItemsFieldNumber;
  static constexpr uint32_t kItemResponse = pb::BatchLookupResponse::Item::kResponseFieldNumber;
  static size_t AnswerSize(const KnownAnswer& answer) {
    return FieldSize(kItems, FieldSize(kItemResponse, answer.bytes.size()));
  }
  static void AppendAnswer(const KnownAnswer& answer, std::string& out) {
    AppendHead(kItems, FieldSize(kItemResponse, answer.bytes.size()), out);
    AppendField(kItemResponse, answer.bytes, out);
  }
  static void AppendError(const absl::Status& status, std::string& out) {
    pb::BatchLookupResponse::Item item;
    item.set_code(static_cast<int>(status.code()));
    item.set_message(std::string(status.message()));
    AppendField(kItems, item.SerializeAsString(), out);
  }
  void MakeItem(const BatchItem& item, std::string& out) const {
    if (item.answer != nullptr) return AppendAnswer(*item.answer, out);
    const absl::StatusOr<pb::LookupResponse> made = LookUpOrMake(serving_, item.request);
    if (!made.ok()) return AppendError(made.status(), out);
    pb::BatchLookupResponse::Item message;
    *message.mutable_response() = *made;
    AppendField(kItems, message.SerializeAsString(), out);
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
  KnownAnswers answers_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeKernelCacheService(const Serving& serving, const CallerAccess& access) {
  return std::make_unique<KernelCacheService>(serving, access);
}

}  // namespace ladder
