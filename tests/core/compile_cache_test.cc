#include "core/backend/compile_cache.h"

#include <set>
#include <thread>

#include "gtest/gtest.h"
#include "tests/core/fakes.h"

namespace ladder {
namespace {

CompileRequest Request(const std::string& text) { return {"sm_90a", {text, {}}, "ladder_kernel"}; }

TEST(CompileCacheTest, ASourceIsCompiledOnceAndEachRequestIsToldOf) {
  FakeCompiler compiler;
  CompileCache cache(compiler, 1 << 20);
  const std::vector<CompileRequest> requests = {Request("a"), Request("b"), Request("a")};
  for (int round = 0; round < 2; round++) {
    std::multiset<size_t> told;
    const auto results = cache.Compile(requests, [&](size_t i) { told.insert(i); });
    ASSERT_EQ(results.size(), 3u);
    EXPECT_EQ(results[0]->binary, "binary of a");
    EXPECT_EQ(results[1]->binary, "binary of b");
    EXPECT_EQ(results[2]->binary, "binary of a");
    EXPECT_EQ(told, (std::multiset<size_t>{0, 1, 2}));
  }
  EXPECT_EQ(compiler.compiled, 2);
}

TEST(CompileCacheTest, WhateverABinaryDependsOnTellsRequestsApart) {
  FakeCompiler compiler;
  CompileCache cache(compiler, 1 << 20);
  CompileRequest other_arch = Request("a"), other_entry = Request("a"), other_header = Request("a");
  other_arch.arch = "sm_80";
  other_entry.entry = "other";
  other_header.source.extra_headers["h"] = "1";
  const std::vector<CompileRequest> requests = {Request("a"), other_arch, other_entry, other_header};
  (void)cache.Compile(requests, nullptr);
  EXPECT_EQ(compiler.compiled, 4);
  compiler.version = "fake 2";
  (void)cache.Compile(requests, nullptr);
  EXPECT_EQ(compiler.compiled, 8);
}

TEST(CompileCacheTest, AFailureIsToldAndTriedAgain) {
  FakeCompiler compiler;
  compiler.fails = "a";
  CompileCache cache(compiler, 1 << 20);
  const CompileRequest request = Request("a");
  EXPECT_EQ(cache.Compile({&request, 1}, nullptr).front().status().message(), "error: expected ';'");
  compiler.fails = "";
  EXPECT_TRUE(cache.Compile({&request, 1}, nullptr).front().ok());
}

TEST(CompileCacheTest, TheOldestGoWhenTheLimitIsReached) {
  FakeCompiler compiler;
  CompileCache cache(compiler, 2 * std::string("binary of a").size());
  for (const char* text : {"a", "b", "c", "c", "b", "a"}) {
    const CompileRequest request = Request(text);
    EXPECT_EQ(cache.Compile({&request, 1}, nullptr).front()->binary, std::string("binary of ") + text);
  }
  EXPECT_EQ(compiler.compiled, 4);  // the second a was gone
}

TEST(CompileCacheTest, CallersAtTheSameTimeShareACompilation) {
  FakeCompiler compiler;
  CompileCache cache(compiler, 1 << 20);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; t++) {
    threads.emplace_back([&cache] {
      for (int i = 0; i < 100; i++) {
        const CompileRequest request = Request(std::to_string(i));
        EXPECT_EQ(cache.Compile({&request, 1}, nullptr).front()->binary, "binary of " + std::to_string(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(compiler.compiled, 100);
}

}  // namespace
}  // namespace ladder
