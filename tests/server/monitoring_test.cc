// What the service tells about itself: metrics, the status page, request ids, structured logs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/logging/log.h"
#include "server/monitoring/status_page.h"
#include "tests/server/services_fixture.h"

namespace ladder {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class MonitoringTest : public ServicesTest {
 protected:
  void StartWithPages(const std::function<void(Config&)>& change = nullptr) {
    Start([&](Config& config) {
      config.http_listen = "127.0.0.1:0";
      if (change) change(config);
    });
  }
  std::string Get(const std::string& path, int expected = 200) {
    const std::string address = host_->http_address();
    httplib::Client client("127.0.0.1", std::stoi(address.substr(address.rfind(':') + 1)));
    const httplib::Result result = client.Get(path.c_str());
    EXPECT_TRUE(result);
    if (!result) return "";
    EXPECT_EQ(result->status, expected) << path;
    return result->body;
  }
  // By the whole name with its labels.
  static std::map<std::string, double> Values(const std::string& metrics) {
    std::map<std::string, double> values;
    for (const absl::string_view line : absl::StrSplit(metrics, '\n', absl::SkipEmpty())) {
      if (line[0] == '#') continue;
      const size_t space = line.rfind(' ');
      values[std::string(line.substr(0, space))] = std::stod(std::string(line.substr(space + 1)));
    }
    return values;
  }
};

TEST_F(MonitoringTest, MetricsCountWhatHappened) {
  StartWithPages();
  ASSERT_TRUE(Tune(Request()).status.ok());
  pb::LookupRequest request;
  pb::LookupResponse response;
  for (const int64_t n : {256, 256, 512, -1}) {
    *request.mutable_op() = Operator(n);
    Lookup(request, &response);
  }
  ASSERT_TRUE(WaitForHealth("gpu:0", true));
  const std::map<std::string, double> values = Values(Get("/metrics"));
  EXPECT_EQ(values.at(R"(ladder_calls_total{call="KernelCache/Lookup",code="OK"})"), 3);
  EXPECT_EQ(values.at(R"(ladder_calls_total{call="KernelCache/Lookup",code="INVALID_ARGUMENT"})"), 1);
  EXPECT_EQ(values.at(R"(ladder_calls_total{call="Tuner/Tune",code="OK"})"), 1);
  EXPECT_EQ(values.at(R"(ladder_call_seconds_count{call="KernelCache/Lookup"})"), 4);
  EXPECT_EQ(values.at(R"(ladder_tunes_total{outcome="done"})"), 1);
  EXPECT_EQ(values.at("ladder_tunes_running"), 0);
  EXPECT_EQ(values.at("ladder_cache_records"), 1);
  EXPECT_GE(values.at("ladder_cache_hits_total"), 2);
  EXPECT_GT(values.at("ladder_cache_binary_bytes"), 0);
  EXPECT_EQ(values.at(R"(ladder_gpu_serving{gpu="0"})"), 1);
  EXPECT_EQ(values.at(R"(ladder_gpu_worker_deaths_total{gpu="0"})"), 0);
  EXPECT_GT(values.at("process_resident_memory_bytes"), 1e6);
  EXPECT_EQ(values.at(absl::StrCat("ladder_build_info{version=\"", LADDER_VERSION, "\",compiler=\"fake compiler 1\"}")),
            1);
}

TEST_F(MonitoringTest, TheStatusPageShowsTunesWinnersAndTheCache) {
  const EnvironmentVariable delay("LADDER_FAKE_DELAY_MS", "300");
  StartWithPages();
  EXPECT_THAT(Get("/statusz"), HasSubstr("Nothing is being tuned."));
  grpc::ClientContext context;
  auto reader = tuner_->Tune(&context, Request(256, 4096));
  bool found = false;
  for (pb::TuneProgress progress; reader->Read(&progress);) {
    if (!progress.has_record() || found) continue;
    found = true;  // the first bucket is done, others are to come
    const std::string page = Get("/statusz");
    EXPECT_THAT(page, HasSubstr(progress.tune_id()));
    EXPECT_THAT(page, HasSubstr("w=nf4"));
    EXPECT_THAT(page, HasSubstr(progress.best()));
    EXPECT_THAT(page, Not(HasSubstr("No tune has ended")));
    context.TryCancel();
  }
  reader->Finish();
  EXPECT_TRUE(found);
  EXPECT_EQ(Get("/healthz"), "ok\n");
  Get("/", 302);
  Get("/etc/passwd", 404);
}

TEST(StatusPage, EscapesWhatCallersSaid) {
  Snapshot snapshot;
  snapshot.version = "1";
  snapshot.now = snapshot.started = absl::Now();
  snapshot.tunes.push_back({"t1", "<script>alert('x')</script>", {}, 2});
  snapshot.winners.push_back({snapshot.now, "<b>&", 16, "\"wgmma\"", 12.5});
  snapshot.gpus.push_back({0, "NVIDIA H200", "580", false, "its worker <died>", 5});
  snapshot.cache.totals.records = 1234567;
  snapshot.cache.limit_bytes = int64_t{20} << 30;
  snapshot.cache.totals.binary_bytes = int64_t{5} << 30;
  snapshot.cache.lookups = 1000;
  snapshot.cache.hits = 990;
  const std::string page = StatusPage(snapshot);
  EXPECT_THAT(page, Not(HasSubstr("<script>")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)"));
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;&amp;"));
  EXPECT_THAT(page, HasSubstr("&quot;wgmma&quot;"));
  EXPECT_THAT(page, HasSubstr("not serving</span> its worker &lt;died&gt;"));
  EXPECT_THAT(page, HasSubstr("99.0 %"));
  EXPECT_THAT(page, HasSubstr("1\u202f234\u202f567"));
  EXPECT_THAT(page, HasSubstr("5.0 GiB"));
  EXPECT_THAT(page, HasSubstr("width:25.0%"));
}

// Not that it looks well, but that no panel stays empty for a name that nobody exports.
TEST_F(MonitoringTest, EveryMetricOfTheDashboardExists) {
  StartWithPages();
  std::set<std::string> exported;
  for (const auto& [name, value] : Values(Get("/metrics"))) exported.insert(name.substr(0, name.find('{')));
  const nlohmann::json dashboard = nlohmann::json::parse(ReadFile(LADDER_DASHBOARD));
  std::set<std::string> named;
  const std::regex metric("(ladder|process)_[a-z_]+");
  for (const nlohmann::json& panel : dashboard.at("panels")) {
    ASSERT_FALSE(panel.at("targets").empty());
    for (const nlohmann::json& target : panel.at("targets")) {
      const std::string expression = target.at("expr");
      const std::sregex_iterator first(expression.begin(), expression.end(), metric);
      ASSERT_NE(first, std::sregex_iterator()) << expression;
      for (std::sregex_iterator it = first; it != std::sregex_iterator(); ++it) named.insert(it->str());
    }
  }
  for (const std::string& name : named) EXPECT_TRUE(exported.contains(name)) << name;
  EXPECT_GT(named.size(), 10u);
}

std::string RequestIdOf(pb::CacheAdmin::Stub& admin, const std::string& wanted) {
  grpc::ClientContext context;
  if (!wanted.empty()) context.AddMetadata("x-request-id", wanted);
  pb::StatsResponse response;
  EXPECT_TRUE(admin.Stats(&context, {}, &response).ok());
  const auto found = context.GetServerTrailingMetadata().find("x-request-id");
  return found == context.GetServerTrailingMetadata().end() ? ""
                                                            : std::string(found->second.data(), found->second.size());
}

TEST_F(MonitoringTest, EveryCallHasAnId) {
  Start();
  EXPECT_EQ(RequestIdOf(*admin_, "deploy-17.step_2"), "deploy-17.step_2");
  const std::string first = RequestIdOf(*admin_, "");
  EXPECT_EQ(first.size(), 16u);
  EXPECT_NE(RequestIdOf(*admin_, ""), first);
  for (const std::string& bad : {std::string(65, 'x'), std::string("two words"), std::string("a\"b")}) {
    EXPECT_NE(RequestIdOf(*admin_, bad), bad);
  }
}

TEST_F(MonitoringTest, TheLogNamesCallerTuneAndRequestOnOneLineEach) {
  const std::string path = folder_ / "log";
  ASSERT_TRUE(InitLogging("info", path, "json").ok());
  Start();
  {
    grpc::ClientContext context;
    context.AddMetadata("x-request-id", "from-test");
    ASSERT_TRUE(Collect(*tuner_->Tune(&context, Request())).status.ok());
  }
  host_.reset();
  LogInfo("a \"quoted\" line\nwith a break and \xff");
  FlushLog();
  ASSERT_TRUE(InitLogging("off", "", "text").ok());
  std::map<std::string, nlohmann::json> by_message;
  std::istringstream lines(ReadFile(path));
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json entry = nlohmann::json::parse(line);
    by_message[entry.at("message")] = entry;
  }
  EXPECT_EQ(by_message.at("tune wanted").at("request"), "from-test");
  EXPECT_EQ(by_message.at("tune ended").at("tune"), by_message.at("tune wanted").at("tune"));
  EXPECT_EQ(by_message.at("call").at("call"), "Tuner/Tune");
  EXPECT_EQ(by_message.at("call").at("request"), "from-test");
  EXPECT_EQ(by_message.at("call").at("code"), "0");
  EXPECT_TRUE(by_message.contains("a \"quoted\" line\nwith a break and \uFFFD"));
}

}  // namespace
}  // namespace ladder
