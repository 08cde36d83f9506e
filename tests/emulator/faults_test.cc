// Mistakes that a GPU would turn into wrong numbers, a hang or a crash, each named by the emulator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/emulator/run_primitive.h"

namespace ladder::emulator {
namespace {

// Runs `body` as a kernel of 128 threads with 8 KB of shared memory over 512 words of x, w and y. Empty: no fault.
std::string FaultOf(const std::string& body, uint64_t seed = 0, bool wgmma = false, int cluster = 1) {
  PrimitiveCase c;
  c.blocks = cluster;
  c.cluster = cluster;
  c.name = "fault";
  c.call = absl::StrCat("const u32 t = thread_id(); const u32 s = dynamic_shared(); ", body);
  c.wgmma = wgmma;
  c.n = 8;
  c.registers = true;
  c.x.assign(512, 0x3c003c00);
  c.w.assign(512, 0x3c003c00);
  c.y_words = 512;
  c.shared_bytes = 8192;
  EmulatorCompiler compiler;
  absl::StatusOr<std::vector<uint32_t>> y = RunPrimitive(compiler, c, seed);
  return y.ok() ? "" : std::string(y.status().message());
}

#define EXPECT_FAULT(body, text) EXPECT_PRED_FORMAT2(testing::IsSubstring, text, FaultOf(body))

TEST(FaultsTest, AMissingCopyWaitIsNamed) {
  const std::string copy = "copy_async_16(s + 16 * t, words(p.x) + 4 * t, 16); copy_async_commit(); ";
  EXPECT_FAULT(copy + "put(p, t, load_shared_u32(s + 16 * t));", "has not been waited for");
  EXPECT_FAULT(copy + copy, "another copy is still on its way");
  EXPECT_FAULT(copy + "copy_async_wait<1>(); put(p, t, load_shared_u32(s + 16 * t));", "has not been waited for");
  EXPECT_EQ(FaultOf(copy + "copy_async_wait<0>(); put(p, t, load_shared_u32(s + 16 * t));"), "");
}

TEST(FaultsTest, ABulkCopyLandsWhenItsBarrierIsWaitedFor) {
  const std::string start =
      "if (t == 0) { barrier_init(s, 1); barrier_init_fence(); barrier_arrive_expect(s, 512); "
      "copy_bulk(s + 16, p.x, 512, s); } block_sync(); ";
  EXPECT_FAULT(start + "put(p, t, load_shared_u32(s + 16 + 4 * t));", "has not been waited for");
  EXPECT_FAULT(start, "never waited for");
  EXPECT_EQ(FaultOf(start + "barrier_wait(s, 0); put(p, t, load_shared_u32(s + 16 + 4 * t));"), "");
}

TEST(FaultsTest, BytesThatWereNotAnnounced) {
  EXPECT_FAULT(
      "if (t == 0) { barrier_init(s, 1); barrier_arrive_expect(s, 256); copy_bulk(s + 16, p.x, 512, s); "
      "barrier_wait(s, 0); }",
      "512 bytes on their way to a barrier that expects 256");
  EXPECT_FAULT(
      "if (t == 0) { barrier_init(s, 1); barrier_arrive_expect(s, 512); copy_bulk(s + 16, p.x, 256, s); "
      "barrier_wait(s, 0); }",
      "deadlock: 1 threads (0 to 0) wait at barrier_wait");
  EXPECT_FAULT("if (t == 0) { barrier_init(s, 1); barrier_arrive_expect(s, 16); barrier_arrive(s); }",
               "has all of its 1 arrivals");
}

TEST(FaultsTest, BarriersNobodyMadeOrThatWereOverwritten) {
  EXPECT_FAULT("barrier_wait(s, 0);", "no barrier at shared offset 0");
  EXPECT_FAULT("if (t == 0) { barrier_init(s, 1); store_shared_u32(s, 0); barrier_arrive(s); }", "overwritten");
}

TEST(FaultsTest, ClustersMeetBeforeTheyReadEachOther) {
  EXPECT_FAULT("cluster_wait();", "without a cluster_arrive");
  EXPECT_FAULT("cluster_arrive(); cluster_arrive();", "twice without a cluster_wait");
  EXPECT_FAULT("load_cluster_v4(s, 1);", "rank 1 in a cluster of 1");
  const std::string exchange = "store_shared_u32(s + 4 * t, t); cluster_arrive(); cluster_wait(); ";
  const std::string read = "put(p, t, load_cluster_v4(s + t / 4 * 16, 1 - cluster_rank()).x); ";
  EXPECT_EQ(FaultOf(exchange + read + "cluster_arrive(); cluster_wait();", 1, false, 2), "");
  // Without the second barrier a block may have ended when another reads it: some order of the threads shows it.
  std::string fault;
  for (uint64_t seed = 1; seed < 40 && fault.empty(); ++seed) fault = FaultOf(exchange + read, seed, false, 2);
  EXPECT_THAT(fault, testing::HasSubstr("of the cluster has ended"));
  // A thread that has returned is not waited for.
  EXPECT_EQ(FaultOf("if (t >= 64) return; cluster_arrive(); cluster_wait();", 1, false, 2), "");
}

TEST(FaultsTest, Deadlocks) {
  EXPECT_FAULT("if (t < 64) block_sync();", "deadlock: 64 threads (0 to 63) wait at block_sync; 64 have returned");
  EXPECT_FAULT("if (t % 32 < 16) warp_sync();", "deadlock");
  EXPECT_FAULT("if (t < 64) named_sync(1, 128);", "wait at named_sync 1");
  EXPECT_FAULT("if (t < 32) named_arrive(1, 64);", "barrier 1 has 32 of 64 arrivals");
  EXPECT_FAULT("if (t == 0) { barrier_init(s, 2); barrier_arrive(s); barrier_wait(s, 0); }", "deadlock");
}

TEST(FaultsTest, Divergence) {
  EXPECT_FAULT("if (t % 2) warp_sync(); else put(p, t, shuffle(t, 0));", "divergence");
  EXPECT_FAULT("if (t < 64) named_sync(1, 128); else named_sync(1, 64);", "expecting");
  EXPECT_FAULT("named_sync(1, 100);", "not a multiple of 32");
}

TEST(FaultsTest, Misalignment) {
  EXPECT_FAULT("load_shared_v4(s + 4);", "misaligned: load_shared_v4");
  EXPECT_FAULT("store_shared_u32(s + 2, 0);", "misaligned: store_shared_u32");
  EXPECT_FAULT("load_global_v4(words(p.x) + 1);", "misaligned: load_global_v4");
  EXPECT_FAULT("store_shared_v4(s + 16 * t, Vec4{}); u32 r[4]; load_matrix_x4(r, s + 8);", "misaligned: load_matrix");
  EXPECT_FAULT("copy_async_16(s + 8, p.x, 16);", "misaligned: copy_async");
  EXPECT_FAULT("if (t == 0) { barrier_init(s, 1); copy_bulk(s + 16, p.x, 24, s); }",
               "misaligned: copy_bulk of 24 bytes");
}

TEST(FaultsTest, OutOfBounds) {
  EXPECT_FAULT("load_shared_u32(s + 8192);", "out of bounds: load_shared_u32 of 4 bytes at shared offset 8192 of 8192");
  EXPECT_FAULT("load_shared_u32(0);", "out of bounds");
  EXPECT_FAULT("load_global_u32(words(p.x) + 512);", "at x+2048 (2048 bytes long)");
  EXPECT_FAULT("store_global_u32(const_cast<u32*>(words(p.x)), 1);", "writes to x, which is an input");
  EXPECT_FAULT("if (t == 0) { barrier_init(s, 1); copy_bulk(s + 8176, p.x, 32, s); }", "out of bounds: copy_bulk");
}

TEST(FaultsTest, Registers) {
  EXPECT_FAULT("registers_decrease<20>();", "setmaxnreg: 20");
  EXPECT_FAULT("registers_increase<236>();", "setmaxnreg: 236");
  EXPECT_EQ(FaultOf("registers_increase<232>();"), "");
}

// One product of ones, 16 columns of A by 8 rows of B; `between` runs before the wait, `after` behind it.
std::string WgmmaFault(const std::string& fence, const std::string& between, const std::string& after) {
  return FaultOf(absl::StrCat("const u32 tile = (s + 1023) & ~1023u; stage_tile(tile, p.x, 8); ", fence,
                              " u32 a[4] = {0x3c003c00, 0x3c003c00, 0x3c003c00, 0x3c003c00}; float acc[4] = {}; "
                              "wgmma_fence(); wgmma_rs<F16, 8>(acc, a, wgmma_descriptor(tile), 1); wgmma_commit(); ",
                              between, after),
                 0, true);
}

TEST(FaultsTest, Wgmma) {
  const std::string fence = "fence_async_proxy(); block_sync();", wait = "wgmma_wait<0>(); block_sync(); ";
  const std::string use = "if (acc[0] == 16.0f && acc[3] == 16.0f) put(p, t, 1); else put(p, t, load_shared_u32(0));";
  EXPECT_EQ(WgmmaFault(fence, wait, use), "");
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "without fence_async_proxy", WgmmaFault("block_sync();", wait, use));
  // Without the wait the accumulators are NaN (here: the wrong branch is taken), and the warp returns too early.
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "out of bounds", WgmmaFault(fence, "", use));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "without waiting for its wgmma", WgmmaFault(fence, "", ""));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "changed its accumulators", WgmmaFault(fence, "acc[1] = 0;" + wait, use));
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "changed the registers of operand A",
                      WgmmaFault(fence, "a[0] = t;" + wait, use));
  // Operand B is read at the wait: overwriting it before shows in the result.
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "without fence_async_proxy",
                      WgmmaFault(fence, "store_shared_u32(tile + 4 * t, 0);" + wait, use));
  EXPECT_PRED_FORMAT2(
      testing::IsSubstring, "out of bounds",
      WgmmaFault(fence, "store_shared_u32(tile + 4 * t, 0); fence_async_proxy(); block_sync();" + wait, use));
  EXPECT_PRED_FORMAT2(
      testing::IsSubstring, "no wgmma_fence",
      WgmmaFault(fence, wait + "wgmma_rs<F16, 8>(acc, a, wgmma_descriptor(tile), 1); wgmma_commit();", wait));
}

// Threads of different warps race without a barrier: some order shows it.
TEST(FaultsTest, OrdersDisagreeAboutARace) {
  PrimitiveCase c;
  c.name = "race";
  c.call =
      "const u32 t = thread_id(); store_shared_u32(dynamic_shared(), t); put(p, t, load_shared_u32(dynamic_shared()))";
  c.x.assign(4, 0);
  c.w.assign(4, 0);
  c.y_words = 128;
  c.shared_bytes = 16;
  EmulatorCompiler compiler;
  absl::StatusOr<std::vector<uint32_t>> first = RunPrimitive(compiler, c, 0), second = RunPrimitive(compiler, c, 5);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(*first, *second);
  EXPECT_EQ(*RunPrimitive(compiler, c, 5), *second);  // an order is repeatable
}

TEST(FaultsTest, DependentLaunchesWaitForThePreviousKernel) {
  PrimitiveCase c;
  c.call = "put(p, thread_id(), load_global_u32(words(p.x) + thread_id()))";
  c.x.assign(128, 1);
  c.y_words = 128;
  for (bool waits : {false, true}) {
    if (waits) c.call = absl::StrCat("wait_for_previous(); ", c.call);
    const CompileRequest request = PrimitiveRequest(c, "sm_90a");
    EmulatorCompiler compiler;
    auto compiled = compiler.Compile({&request, 1}, nullptr)[0];
    ASSERT_TRUE(compiled.ok()) << compiled.status();
    auto image = KernelImage::Load(compiled->binary);
    ASSERT_TRUE(image.ok()) << image.status();
    DeviceBuffer x = ToBuffer(c.x), y(512);
    MatmulArguments arguments = {};
    arguments.x = x.data();
    arguments.y = y.data();
    Launch launch;
    launch.threads = 128;
    launch.dependent_launch = true;
    launch.buffers = {{"x", x.data(), x.size(), false, true}, {"y", y.data(), y.size(), true, true}};
    const absl::Status status = (*image)->Run(launch, &arguments);
    EXPECT_EQ(status.ok(), waits) << status;
    if (waits) continue;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("touches x before wait_for_previous"));
  }
}

}  // namespace
}  // namespace ladder::emulator
