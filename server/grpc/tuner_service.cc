#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/kernel_service.h"
#include "core/tuning/quiet.h"
#include "ladder/tune/v1/service.grpc.pb.h"
#include "server/convert/proto_convert.h"
#include "server/grpc/call_observer.h"
#include "server/grpc/services.h"
#include "server/grpc/stream_writer.h"
#include "server/grpc/unary.h"
#include "server/logging/log.h"
#include "server/serving/lookup.h"
#include "server/serving/machines.h"
#include "server/serving/tune_registry.h"
#include "server/storage/sqlite_kernel_store.h"

namespace ladder {
namespace {

namespace pb = tune::v1;

constexpr int kMaxCandidates = 4096;
constexpr int64_t kMaxBudgetMs = 24 * 3600 * 1000;
constexpr int kMaxYardsticks = 16;
constexpr absl::Duration kProgressPause = absl::Milliseconds(500);

pb::TuneProgress ToProto(const std::string& id, const TuneUpdate& update) {
  pb::TuneProgress out;
  out.set_tune_id(id);
  out.set_m(update.m);
  const auto phase = Name(update.progress.phase);
  out.set_phase(std::string(phase.data(), phase.size()));
  out.set_done(update.progress.done);
  out.set_failed(update.progress.failed);
  out.set_total(update.progress.total);
  out.set_best_us(update.progress.best_us);
  out.set_best(update.progress.best);
  out.set_eta_ms(update.eta_ms);
  if (update.record != nullptr) *out.mutable_record() = ladder::ToProto(*update.record, TraceMode::kWithTrace);
  out.set_cache_hit(update.cache_hit);
  return out;
}

// Which updates a caller hears: the first, each new best, each result, and of the rest two a second.
class Pace {
 public:
  bool Due(const TuneUpdate& update) {
    const bool better = update.progress.best_us > 0 && update.progress.best_us != best_us_;
    best_us_ = update.progress.best_us;
    const absl::Time now = absl::Now();
    if (update.record == nullptr && !better && now - last_ < kProgressPause) return false;
    last_ = now;
    return true;
  }

 private:
  double best_us_ = 0;
  absl::Time last_ = absl::InfinitePast();
};

class TunerService final : public pb::Tuner::CallbackService {
 public:
  TunerService(const Serving& serving, const CallerAccess& access) : serving_(serving), access_(access) {}

  grpc::ServerWriteReactor<pb::TuneProgress>* Tune(grpc::CallbackServerContext* context,
                                                   const pb::TuneRequest* request) override {
    auto writer = PushWriter<pb::TuneProgress>::Make(context);
    const absl::Status allowed = access_.Check(*context, "Tuner/Tune");
    absl::StatusOr<TuneSpec> spec = allowed.ok() ? ReadSpec(*request) : allowed;
    absl::StatusOr<std::string> id = spec.ok() ? serving_.tunes.Start(*spec, false) : spec.status();
    if (id.ok()) {
      LogEvent(LogLevel::kInfo, "tune wanted",
               {{"tune", *id}, {"op", spec->op.ToString()}, {"request", RequestId(*context)}});
      Follow(*id, writer);
    } else {
      writer->End(id.status());
    }
    return writer.get();
  }

  grpc::ServerWriteReactor<pb::TuneProgress>* WaitTune(grpc::CallbackServerContext* context,
                                                       const pb::WaitTuneRequest* request) override {
    auto writer = PushWriter<pb::TuneProgress>::Make(context);
    if (absl::Status status = access_.Check(*context, "Tuner/WaitTune"); !status.ok()) {
      writer->End(status);
      return writer.get();
    }
    Follow(request->tune_id(), writer);
    return writer.get();
  }

  grpc::ServerUnaryReactor* CancelTune(grpc::CallbackServerContext* context, const pb::CancelTuneRequest* request,
                                       pb::CancelTuneResponse*) override {
    if (absl::Status status = access_.Check(*context, "Tuner/CancelTune"); !status.ok()) return Answer(context, status);
    return Answer(context, serving_.tunes.Cancel(request->tune_id()));
  }

  grpc::ServerUnaryReactor* ListTunes(grpc::CallbackServerContext* context, const pb::ListTunesRequest*,
                                      pb::ListTunesResponse* response) override {
    if (absl::Status status = access_.Check(*context, "Tuner/ListTunes"); !status.ok()) return Answer(context, status);
    for (TuneSummary& tune : serving_.tunes.Running()) {
      pb::ListTunesResponse::Entry& entry = *response->add_tunes();
      tune.latest.record = nullptr;  // a list is short
      *entry.mutable_progress() = ToProto(tune.id, tune.latest);
      entry.set_tune_id(tune.id);
      entry.set_op_text(tune.op_text);
      entry.set_callers(tune.callers);
    }
    return Answer(context, absl::OkStatus());
  }

  grpc::ServerUnaryReactor* Plan(grpc::CallbackServerContext* context, const pb::PlanRequest* request,
                                 pb::PlanResponse* response) override {
    if (absl::Status status = access_.Check(*context, "Tuner/Plan"); !status.ok()) return Answer(context, status);
    return AnswerOn(serving_.quick, context, [this, request, response]() -> absl::Status {
      absl::StatusOr<OperatorRequest> op = ReadOperator(request->op());
      if (!op.ok()) return op.status();
      absl::StatusOr<Place> place = serving_.machines.Resolve(request->target());
      if (!place.ok()) return place.status();
      response->set_target(place->target.ToString());
      for (const int64_t m : op->m) {
        absl::StatusOr<std::vector<PlannedCandidate>> plan = place->service->Plan(op->op, m, place->target);
        if (!plan.ok()) return plan.status();
        for (const PlannedCandidate& planned : *plan) {
          pb::PlanResponse::Entry& entry = *response->add_entries();
          entry.set_m(m);
          *entry.mutable_candidate() = ladder::ToProto(planned.candidate);
          entry.set_predicted_us(planned.predicted_us);
        }
      }
      return absl::OkStatus();
    });
  }

  grpc::ServerUnaryReactor* Compare(grpc::CallbackServerContext* context, const pb::CompareRequest* request,
                                    pb::CompareResponse* response) override {
    if (absl::Status status = access_.Check(*context, "Tuner/Compare"); !status.ok()) return Answer(context, status);
    if (request->yardsticks_size() == 0 || request->yardsticks_size() > kMaxYardsticks) {
      return Answer(context, absl::InvalidArgumentError(absl::StrCat("yardsticks: name 1 to ", kMaxYardsticks)));
    }
    return AnswerOn(serving_.tuner, context, [this, request, response] { return TimeYardsticks(*request, *response); });
  }

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context, const pb::DescribeRequest*,
                                     pb::DescribeResponse* response) override {
    if (absl::Status status = access_.Check(*context, "Tuner/Describe"); !status.ok()) return Answer(context, status);
    return AnswerOn(serving_.quick, context, [this, response] {
      const Machines::Summary machine = serving_.machines.Describe();
      if (machine.target.has_value()) response->set_target(machine.target->ToString());
      response->set_driver(machine.driver);
      response->set_no_gpu_reason(machine.no_gpu_reason);
      response->set_compiler(serving_.compiler.Version());
      response->set_version(LADDER_VERSION);
      response->set_cache_path(serving_.cache.path());
      return absl::OkStatus();
    });
  }

 private:
  absl::StatusOr<TuneSpec> ReadSpec(const pb::TuneRequest& request) const {
    absl::StatusOr<OperatorRequest> op = ReadOperator(request.op());
    if (!op.ok()) return op.status();
    const pb::TuneOptions& options = request.options();
    if (options.candidates() < 0 || options.candidates() > kMaxCandidates) {
      return absl::InvalidArgumentError(
          absl::StrCat("options.candidates: expected 0 to ", kMaxCandidates, ", got ", options.candidates()));
    }
    if (options.budget_ms() < 0 || options.budget_ms() > kMaxBudgetMs) {
      return absl::InvalidArgumentError(
          absl::StrCat("options.budget_ms: expected 0 to ", kMaxBudgetMs, ", got ", options.budget_ms()));
    }
    if (options.share_duty_percent() < 0 || options.share_duty_percent() > 100) {
      return absl::InvalidArgumentError(
          absl::StrCat("options.share_duty_percent: expected 0 to 100, got ", options.share_duty_percent()));
    }
    const Config& config = serving_.config;
    if (options.share_gpu() && config.tuning_share_gpu == "never") {
      return absl::FailedPreconditionError(
          "options.share_gpu: this service never tunes on a GPU that others use (its configuration's tuning.share_gpu "
          "is \"never\")");
    }
    TuneSpec spec{std::move(op->op), std::move(op->m), request.target(), {}};
    spec.options.candidates = options.candidates() > 0 ? options.candidates() : config.tuning_candidates;
    spec.options.finalists = config.tuning_finalists;
    spec.options.budget = options.budget_ms() > 0 ? absl::Milliseconds(options.budget_ms()) : config.tuning_budget;
    spec.options.force = options.force();
    spec.options.share_gpu = options.share_gpu() || config.tuning_share_gpu == "always";
    spec.options.share_duty_percent =
        options.share_duty_percent() > 0 ? options.share_duty_percent() : config.tuning_share_duty_percent;
    return spec;
  }

  // Sends a tune's progress until it ends or the caller leaves; the tune goes on either way.
  void Follow(const std::string& id, const std::shared_ptr<PushWriter<pb::TuneProgress>>& writer) {
    auto pace = std::make_shared<Pace>();
    TuneListener listener;
    listener.update = [id, writer, pace](const TuneUpdate& update) {
      if (pace->Due(update)) writer->Push(ToProto(id, update));
    };
    listener.end = [writer](const absl::Status& status) { writer->End(status); };
    absl::StatusOr<std::function<void()>> detach = serving_.tunes.Attach(id, std::move(listener));
    if (detach.ok()) {
      writer->OnOver(*std::move(detach));
    } else {
      writer->End(detach.status());
    }
  }

  absl::Status TimeYardsticks(const pb::CompareRequest& request, pb::CompareResponse& response) {
    absl::StatusOr<OperatorRequest> op = ReadOperator(request.op());
    if (!op.ok()) return op.status();
    absl::StatusOr<Place> place = serving_.machines.Resolve("");
    if (!place.ok()) return place.status();
    absl::StatusOr<CompiledKernel> support = place->service->Support(place->target);
    if (!support.ok()) return support.status();
    if (absl::Status status = place->device->LoadSupport(*support); !status.ok()) return status;
    const std::string& sharing = serving_.config.tuning_share_gpu;
    if (sharing != "always" && !(sharing == "asked" && request.share_gpu())) {
      absl::StatusOr<DeviceConditions> conditions = place->device->GetConditions();
      if (!conditions.ok()) return conditions.status();
      if (IsShared(*conditions)) return RefuseToShare(*conditions, "share_gpu");
    }
    for (const int64_t m : op->m) {
      for (const std::string& yardstick : request.yardsticks()) {
        pb::CompareResponse::Entry& entry = *response.add_entries();
        entry.set_m(m);
        entry.set_yardstick(yardstick);
        absl::StatusOr<Measurement> measurement =
            place->device->ProfileYardstick(Workload{op->op, m, 0}, yardstick, ProfilePolicy{});
        if (measurement.ok()) {
          *entry.mutable_measurement() = ladder::ToProto(*measurement);
        } else {
          entry.set_error(std::string(measurement.status().message()));
        }
      }
    }
    return absl::OkStatus();
  }

  const Serving serving_;
  const CallerAccess access_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeTunerService(const Serving& serving, const CallerAccess& access) {
  return std::make_unique<TunerService>(serving, access);
}

}  // namespace ladder
