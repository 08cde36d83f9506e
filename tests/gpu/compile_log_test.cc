#include "core/backend/compile_log.h"

#include <gtest/gtest.h>

namespace ladder {
namespace {

constexpr char kLog[] =
    "ptxas info    : 0 bytes gmem\n"
    "ptxas info    : Compiling entry function 'first' for 'sm_90a'\n"
    "ptxas info    : Function properties for first\n"
    "    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads\n"
    "ptxas info    : Used 40 registers, used 1 barriers, 8 bytes cumulative stack size, 1024 bytes smem\n"
    "ptxas info    : Compiling entry function 'second' for 'sm_90a'\n"
    "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
    "ptxas info    : Used 168 registers, used 3 barriers\n";

TEST(CompileLog, ReadsTheEntryAskedFor) {
  const CompileResources first = ParsePtxasLog(kLog, "first");
  EXPECT_EQ(first.registers, 40);
  EXPECT_EQ(first.spill_bytes, 28);
  EXPECT_EQ(first.local_bytes, 8);
  EXPECT_EQ(first.static_shared_bytes, 1024);
  const CompileResources second = ParsePtxasLog(kLog, "second");
  EXPECT_EQ(second.registers, 168);
  EXPECT_EQ(second.spill_bytes, 0);
}

TEST(CompileLog, TakesTheLargestOfAllWithoutTheEntry) {
  const CompileResources all = ParsePtxasLog(kLog, "third");
  EXPECT_EQ(all.registers, 168);
  EXPECT_EQ(all.spill_bytes, 28);
}

TEST(CompileLog, AnEmptyLogSaysNothing) {
  EXPECT_EQ(ParsePtxasLog("", "first").registers, 0);
  EXPECT_FALSE(HasSerialisedWgmma(""));
}

TEST(CompileLog, FindsSerialisedWgmma) {
  EXPECT_TRUE(
      HasSerialisedWgmma("ptxas info : (C7510) Potential Performance Loss: wgmma.mma_async instructions are "
                         "serialized due to insufficient register resources"));
  EXPECT_TRUE(HasSerialisedWgmma("ptxas info : (C7504) Potential Performance Loss: 'setmaxnreg' ignored"));
  EXPECT_TRUE(HasSerialisedWgmma("(C7508)"));
  EXPECT_TRUE(HasSerialisedWgmma("(C7519)"));
  EXPECT_FALSE(HasSerialisedWgmma("(C7507) (C7520) C75"));
  EXPECT_FALSE(HasSerialisedWgmma(kLog));
}

TEST(CompileLog, ExcerptsErrorsAndElseTheEnd) {
  EXPECT_EQ(ErrorExcerpt("a.cu(1): warning: x\n  a.cu(2): error: y\nz\n", 100), "a.cu(2): error: y");
  EXPECT_EQ(ErrorExcerpt("nothing of the kind\n", 4), "kind");
}

}  // namespace
}  // namespace ladder
