// Everything between the services and the request path, with a GPU and a compiler that answer at once.
#ifndef LADDER_TESTS_SERVER_SERVING_FIXTURE_H_
#define LADDER_TESTS_SERVER_SERVING_FIXTURE_H_

#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/monitoring/call_metrics.h"
#include "server/serving/executor.h"
#include "server/serving/machines.h"
#include "server/serving/serving.h"
#include "server/serving/tune_registry.h"
#include "server/serving/watch_hub.h"
#include "server/storage/sqlite_kernel_store.h"
#include "tests/core/fakes.h"
#include "tests/server/storage/temporary_folder.h"

namespace ladder {

inline ScheduleCatalog FakeCatalog() {
  ScheduleCatalog catalog;
  catalog.schedules.push_back(std::make_unique<FakeSchedule>("fake", /*count=*/6, /*predicted_us=*/1.0));
  catalog.support.text = "support";
  catalog.sources_digest = "sources";
  return catalog;
}

class ServingTest : public ::testing::Test {
 protected:
  void TearDown() override {
    quick_.Stop();
    tuner_.Stop();
  }
  static std::unique_ptr<SqliteKernelStore> OpenStore(const std::string& path) {
    SqliteStoreOptions options;
    options.path = path;
    return *SqliteKernelStore::Open(options);
  }
  static TuneSpec Spec(int64_t n, std::vector<int64_t> m) {
    OperatorDescriptor descriptor;
    descriptor.n = n;
    descriptor.k = 256;
    return {*Normalize(descriptor), std::move(m), "", {}};
  }

  const TemporaryFolder folder_;
  const Config config_ = DefaultConfig();
  const ScheduleCatalog catalog_ = FakeCatalog();
  const std::unique_ptr<SqliteKernelStore> cache_ = OpenStore(folder_ / "cache.db");
  WatchHub watches_;
  PublishingStore publishing_{*cache_, watches_};
  FakeCompiler compiler_;
  FakeDevice device_;
  Machines machines_{catalog_, publishing_, compiler_, {&device_}, ""};
  Executor quick_{"short requests", 4, 1024};
  Executor tuner_{"tuning", 3, 1024};
  TuneRegistry tunes_{machines_, tuner_};
  prometheus::Registry registry_;
  CallMetrics calls_{registry_};
  const Serving serving_{config_, catalog_, publishing_, *cache_,  compiler_, machines_,
                         quick_,  tuner_,   tunes_,      watches_, calls_};
};

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_SERVING_FIXTURE_H_
