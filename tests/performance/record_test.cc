// Are the committed records (results/*.json) of these kernels? While kernels change they can't be, so a stale record is
// a printed warning; LADDER_RECORD_STRICT=1 makes it a failure, for what is released.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "schedules/catalog.h"

namespace ladder {
namespace {

TEST(Records, AreOfTheseSources) {
  const std::string sources = MakeCatalog().sources_digest;
  const char* strict = std::getenv("LADDER_RECORD_STRICT");
  int records = 0;
  for (const auto& entry : std::filesystem::directory_iterator(LADDER_RESULTS)) {
    if (entry.path().extension() != ".json") continue;
    const nlohmann::json record = nlohmann::json::parse(std::ifstream(entry.path()), nullptr, false);
    ASSERT_TRUE(record.is_object() && record.contains("schedules_digest")) << entry.path() << " is no record";
    records++;
    const std::string measured = record["schedules_digest"];
    if (measured == sources) {
      std::printf("%s is of these sources\n", entry.path().filename().c_str());
      continue;
    }
    std::printf(
        "warning: %s is stale: measured on sources %.12s (commit %s), these are %.12s; run ladder-bench again\n",
        entry.path().filename().c_str(), measured.c_str(), record.value("commit", "unknown").c_str(), sources.c_str());
    if (strict != nullptr && *strict == '1') ADD_FAILURE() << entry.path() << " is stale";
  }
  EXPECT_GT(records, 0) << "no record in " << LADDER_RESULTS;
}

// What ladder_gpu_cells_test kept: every element of 60 cells within the bound.
TEST(Records, CellsAreWithinTheirBound) {
  for (const auto& entry : std::filesystem::directory_iterator(LADDER_RESULTS "/cells")) {
    const nlohmann::json record = nlohmann::json::parse(std::ifstream(entry.path()), nullptr, false);
    ASSERT_TRUE(record.is_object() && record.contains("cells")) << entry.path() << " is no record of cells";
    EXPECT_EQ(record["cells"].size(), 60u) << entry.path();
    for (const nlohmann::json& cell : record["cells"]) {
      EXPECT_EQ(cell["wrong_elements"], 0) << cell.dump();
      EXPECT_LE(cell["error_over_bound"], 1) << cell.dump();
    }
  }
}

}  // namespace
}  // namespace ladder
