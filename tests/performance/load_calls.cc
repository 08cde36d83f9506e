#include "tests/performance/load_calls.h"

#include <google/protobuf/arena.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "absl/time/clock.h"

namespace ladder {
namespace {

namespace pb = tune::v1;

CallTimes Summarize(std::vector<double>& ms, absl::Duration took, int64_t failed) {
  CallTimes times;
  times.calls = static_cast<int64_t>(ms.size());
  times.failed = failed;
  if (ms.empty()) return times;
  std::sort(ms.begin(), ms.end());
  times.per_second = static_cast<double>(ms.size()) / absl::ToDoubleSeconds(took);
  times.p50_ms = ms[ms.size() / 2];
  times.p99_ms = ms[ms.size() * 99 / 100];
  return times;
}

// One of the outstanding calls, over and over.
class Caller {
 public:
  Caller(pb::KernelCache::Stub& stub, const std::vector<int64_t>& operators, size_t first, absl::Time end)
      : stub_(stub), end_(end), next_(first) {
    for (const int64_t n : operators) *requests_.emplace_back().mutable_op() = LoadOperator(n);
  }
  void Start() { Call(); }
  void Wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return ended_; });
  }
  const std::vector<double>& ms() const { return ms_; }
  int64_t failed() const { return failed_; }

 private:
  void Call() {
    context_ = std::make_unique<grpc::ClientContext>();
    begin_ = absl::Now();
    stub_.async()->Lookup(context_.get(), &requests_[next_++ % requests_.size()], &response_,
                          [this](const grpc::Status& status) { Done(status); });
  }
  void Done(const grpc::Status& status) {
    const absl::Time now = absl::Now();
    ms_.push_back(absl::ToDoubleMilliseconds(now - begin_));
    if (!status.ok() || response_.results_size() != 1 || response_.results(0).match() != pb::MATCH_EXACT) ++failed_;
    if (now < end_) {
      Call();
      return;
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    done_.notify_all();
  }

  pb::KernelCache::Stub& stub_;
  const absl::Time end_;
  std::vector<pb::LookupRequest> requests_;
  size_t next_;
  std::unique_ptr<grpc::ClientContext> context_;
  pb::LookupResponse response_;
  absl::Time begin_;
  std::vector<double> ms_;
  int64_t failed_ = 0;
  std::mutex mutex_;
  std::condition_variable done_;
  bool ended_ = false;
};

pb::TuneRequest TuneRequestOf(int64_t n) {
  pb::TuneRequest request;
  *request.mutable_op() = LoadOperator(n);
  request.mutable_options()->set_candidates(2);
  return request;
}

}  // namespace

pb::OperatorDescriptor LoadOperator(int64_t n) {
  pb::OperatorDescriptor op;
  op.set_op("matmul");
  op.set_a("fp16");
  op.set_w("int4");
  op.set_n(n);
  op.set_k(512);
  op.add_m()->set_first(1);
  op.mutable_m(0)->set_last(1);
  return op;
}

CallTimes LookUp(const std::shared_ptr<grpc::Channel>& channel, const std::vector<int64_t>& operators, int outstanding,
                 absl::Duration duration) {
  const std::unique_ptr<pb::KernelCache::Stub> stub = pb::KernelCache::NewStub(channel);
  const absl::Time begin = absl::Now();
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < outstanding; ++i) {
    callers.push_back(std::make_unique<Caller>(*stub, operators, static_cast<size_t>(i), begin + duration));
  }
  for (const auto& caller : callers) caller->Start();
  std::vector<double> ms;
  int64_t failed = 0;
  for (const auto& caller : callers) caller->Wait();
  const absl::Duration took = absl::Now() - begin;
  for (const auto& caller : callers) {
    ms.insert(ms.end(), caller->ms().begin(), caller->ms().end());
    failed += caller->failed();
  }
  return Summarize(ms, took, failed);
}

CallTimes LookUpInBatches(const std::shared_ptr<grpc::Channel>& channel, const std::vector<int64_t>& operators,
                          int size, absl::Duration duration) {
  const std::unique_ptr<pb::KernelCache::Stub> stub = pb::KernelCache::NewStub(channel);
  pb::BatchLookupRequest request;
  for (int i = 0; i < size; ++i) {
    *request.add_requests()->mutable_op() = LoadOperator(operators[static_cast<size_t>(i) % operators.size()]);
  }
  std::vector<double> ms;
  int64_t failed = 0;
  // A client that asks again and again keeps its room: each answer has hundreds of small parts, and giving each of them
  // memory of its own would cost more than all else does.
  std::vector<char> room(size_t{1} << 20);
  google::protobuf::ArenaOptions options;
  options.initial_block = room.data();
  options.initial_block_size = room.size();
  google::protobuf::Arena arena(options);
  const absl::Time begin = absl::Now();
  while (absl::Now() < begin + duration) {
    grpc::ClientContext context;
    const absl::Time start = absl::Now();
    arena.Reset();
    auto& response = *google::protobuf::Arena::CreateMessage<pb::BatchLookupResponse>(&arena);
    const grpc::Status status = stub->BatchLookup(&context, request, &response);
    ms.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    for (const auto& item : response.items()) {
      failed += item.response().results_size() == 1 && item.response().results(0).match() == pb::MATCH_EXACT ? 0 : 1;
    }
    failed += status.ok() && response.items_size() == size ? 0 : 1;
  }
  CallTimes times = Summarize(ms, absl::Now() - begin, failed);
  times.per_second *= size;
  return times;
}

bool TuneAll(const std::shared_ptr<grpc::Channel>& channel, const std::vector<int64_t>& operators) {
  const std::unique_ptr<pb::Tuner::Stub> stub = pb::Tuner::NewStub(channel);
  for (const int64_t n : operators) {
    grpc::ClientContext context;
    const auto reader = stub->Tune(&context, TuneRequestOf(n));
    for (pb::TuneProgress progress; reader->Read(&progress);) {
    }
    if (!reader->Finish().ok()) return false;
  }
  return true;
}

SharedTune TuneTogether(const std::shared_ptr<grpc::Channel>& channel, int64_t n, int callers, int staying) {
  const std::unique_ptr<pb::Tuner::Stub> stub = pb::Tuner::NewStub(channel);
  SharedTune result;
  result.callers = callers;
  std::mutex mutex;
  std::set<uint64_t> generations;
  std::atomic<int> listening = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&, i] {
      grpc::ClientContext context;
      const auto reader = stub->Tune(&context, TuneRequestOf(n));
      pb::TuneProgress progress;
      bool heard = reader->Read(&progress);
      ++listening;
      if (i >= staying) {
        while (listening < callers) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        context.TryCancel();
      }
      uint64_t generation = 0;
      while (heard) {
        if (progress.has_record()) generation = progress.record().generation();
        heard = reader->Read(&progress);
      }
      const grpc::Status status = reader->Finish();
      const std::lock_guard lock(mutex);
      if (status.error_code() == grpc::StatusCode::CANCELLED) ++result.cancelled;
      if (status.ok() && generation != 0) {
        ++result.completed;
        generations.insert(generation);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  result.generations = static_cast<int64_t>(generations.size());
  return result;
}

}  // namespace ladder
