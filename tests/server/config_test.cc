#include "server/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/match.h"

namespace ladder {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const std::string& text) {
  return std::string(ParseConfig(text, "ladderd.json").status().message());
}

TEST(Config, WhatItPrintsItReads) {
  Config config = DefaultConfig();
  config.gpus = {1, 3};
  config.tuning_budget = absl::Minutes(2);
  config.cache_limit_bytes = 12345678;
  config.nvrtc_paths = {"/opt/cuda"};
  absl::StatusOr<Config> again = ParseConfig(PrintConfig(config), "printed");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(PrintConfig(*again), PrintConfig(config));
  EXPECT_EQ(again->gpus, config.gpus);
  EXPECT_EQ(again->tuning_budget, absl::Minutes(2));
  EXPECT_EQ(again->cache_limit_bytes, 12345678);
}

TEST(Config, DocumentsEveryKeyThatItPrints) {
  const std::string docs = PrintConfigDocs();
  for (const char* key : {"`listen`", "`tcp_listen`", "`tls.client_ca`", "`access.readers`", "`access.token_file`",
                          "`cache.path`", "`gpu.list`", "`tuning.budget`", "`log.level`"}) {
    EXPECT_THAT(docs, HasSubstr(key));
  }
}

TEST(Config, ReadsSizesAndTimes) {
  absl::StatusOr<Config> config =
      ParseConfig(R"({"cache": {"limit_bytes": "3GiB"}, "drain_grace": "1m30s", "gpu": {"list": []}})", "x");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->cache_limit_bytes, int64_t{3} << 30);
  EXPECT_EQ(config->drain_grace, absl::Seconds(90));
  EXPECT_TRUE(config->gpus.empty());
}

TEST(Config, NamesTheFileAndThePositionOfBadJson) {
  EXPECT_THAT(ErrorOf("{\n  \"listen\": ,\n}"), HasSubstr("ladderd.json: not valid JSON at line 2, column 13"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("not valid JSON at line 1, column 1"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("expected an object"));
}

TEST(Config, NamesTheKeyAndWhatItExpects) {
  EXPECT_THAT(ErrorOf(R"({"listne": "x"})"), HasSubstr("listne: unknown key; the keys are listen, "));
  EXPECT_THAT(ErrorOf(R"({"cache": {"size": 1}})"), HasSubstr("cache.size: unknown key"));
  EXPECT_THAT(ErrorOf(R"({"cache": 1})"), HasSubstr("cache: expected an object"));
  EXPECT_THAT(ErrorOf(R"({"tuning": {"candidates": 0}})"),
              HasSubstr("tuning.candidates: expected a whole number from 1 to 4096, got 0"));
  EXPECT_THAT(ErrorOf(R"({"tuning": {"candidates": 18446744073709551615}})"), HasSubstr("tuning.candidates: expected"));
  EXPECT_THAT(ErrorOf(R"({"cache": {"limit_bytes": "9999999TiB"}})"), HasSubstr("cache.limit_bytes: expected bytes"));
  EXPECT_THAT(ErrorOf(R"({"cache": {"limit_bytes": "-1"}})"), HasSubstr("cache.limit_bytes: expected bytes"));
  EXPECT_THAT(ErrorOf(R"({"drain_grace": 5})"), HasSubstr("drain_grace: expected a duration"));
  EXPECT_THAT(ErrorOf(R"({"gpu": {"list": [-1]}})"), HasSubstr("gpu.list: expected a list of GPU numbers"));
  EXPECT_THAT(ErrorOf(R"({"tuning": {"share_gpu": "yes"}})"),
              HasSubstr("tuning.share_gpu: expected one of never, asked, always, got \"yes\""));
  EXPECT_THAT(ErrorOf(R"({"tuning": {"share_duty_percent": 0}})"), HasSubstr("tuning.share_duty_percent: expected"));
  EXPECT_THAT(ErrorOf(R"({"log": {"level": "loud"}})"), HasSubstr("log.level: expected one of trace"));
}

TEST(Config, TcpNeedsEncryptionAndAWayToTellCallersApart) {
  EXPECT_THAT(ErrorOf(R"({"tcp_listen": "0.0.0.0:7171"})"), HasSubstr("set tls.certificate and tls.key"));
  EXPECT_THAT(ErrorOf(R"({"tcp_listen": "0.0.0.0:7171", "tls": {"certificate": "/c", "key": "/k"}})"),
              HasSubstr("set tls.client_ca (certificates) or access.token_file"));
  EXPECT_THAT(ErrorOf(R"({"tcp_listen": "7171", "tls": {"certificate": "/c", "key": "/k"}})"),
              HasSubstr("tcp_listen: expected HOST:PORT"));
  EXPECT_TRUE(
      ParseConfig(R"({"tcp_listen": "[::]:7171", "tls": {"certificate": "/c", "key": "/k", "client_ca": "/ca"}})", "x")
          .ok());
  EXPECT_TRUE(ParseConfig(R"({"tcp_listen": "localhost:0", "tls": {"certificate": "/c", "key": "/k"},
                              "access": {"token_file": "/t"}})",
                          "x")
                  .ok());
}

TEST(Config, PagesAreShownToThisMachineOnly) {
  EXPECT_THAT(ErrorOf(R"({"http_listen": "0.0.0.0:9188"})"), HasSubstr("http_listen: expected 127.0.0.1:PORT"));
  EXPECT_THAT(ErrorOf(R"({"http_listen": "127.0.0.1"})"), HasSubstr("http_listen: expected"));
  EXPECT_TRUE(ParseConfig(R"({"http_listen": "[::1]:9188"})", "x").ok());
  EXPECT_THAT(ErrorOf(R"({"log": {"format": "xml"}})"), HasSubstr("log.format: expected text or json"));
}

TEST(Config, RefusesSocketsThatCanNotBe) {
  EXPECT_THAT(ErrorOf(R"({"listen": "/run/x.sock"})"), HasSubstr("listen: expected unix:///absolute/path"));
  EXPECT_THAT(ErrorOf("{\"listen\": \"unix:///" + std::string(200, 'x') + "\"}"),
              HasSubstr("a Unix socket's may have 107"));
}

TEST(Config, AnUnreadableFileIsNamed) {
  EXPECT_THAT(std::string(LoadConfig("/no/such/ladderd.json").status().message()),
              HasSubstr("/no/such/ladderd.json: the configuration file can't be read"));
}

}  // namespace
}  // namespace ladder
