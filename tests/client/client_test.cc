// The whole path of a client, with a service in this process and a driver that records.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include "client/launch_plan.h"
#include "tests/client/client_fixture.h"

namespace ladder::client {
namespace {

bool Eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 500; i++) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST_F(ClientTest, ChoosesTheKernelOfTheBucket) {
  service_.AddRecord(1, "one");
  service_.AddRecord(16, "sixteen");
  service_.AddRecord(4096, "many");
  const std::shared_ptr<Matmul> matmul = Get().value();
  for (int64_t m : {1, 2, 16, 17, 4096, 9000}) ASSERT_TRUE(matmul->Launch(Arguments(m), kStream).ok());
  const char* expected[] = {"one", "sixteen", "sixteen", "many", "many", "many"};
  ASSERT_EQ(gpu_.launches.size(), 6u);
  for (size_t i = 0; i < 6; i++) EXPECT_EQ(gpu_.launches[i].function, std::string(expected[i]) + ":ladder_kernel") << i;
}

TEST_F(ClientTest, FewerRowsNeverTakeAKernelThatIsSlowerThanThatOfMore) {
  const auto add = [this](int64_t m, const char* name, double us) {
    service_.AddRecord(m, name).mutable_record()->mutable_ranked(0)->mutable_measurement()->set_median_us(us);
  };
  add(1, "one", 3);
  add(16, "sixteen", 9);  // tuned before what follows was found
  add(32, "thirty-two", 8);
  add(64, "sixty-four", 7);
  add(128, "more", 20);
  pb::TuningRecord& fast = *service_.AddRecord(256, "fast").mutable_record();
  fast.set_kind(pb::RECORD_KIND_FAST);
  fast.mutable_ranked(0)->clear_measurement();
  const std::shared_ptr<Matmul> matmul = Get().value();
  for (int64_t m : {1, 2, 16, 17, 33, 65, 129}) ASSERT_TRUE(matmul->Launch(Arguments(m), kStream).ok());
  const char* expected[] = {"one", "sixty-four", "sixty-four", "sixty-four", "sixty-four", "more", "fast"};
  for (size_t i = 0; i < 7; i++) EXPECT_EQ(gpu_.launches[i].function, std::string(expected[i]) + ":ladder_kernel") << i;
  const KernelInfo sixteen = matmul->Kernels().at(1);
  EXPECT_EQ(sixteen.bucket_m, 16);
  EXPECT_EQ(sixteen.tuned_m, 64);
  EXPECT_EQ(sixteen.measured_us, 7);
}

TEST_F(ClientTest, AWinnerOfMoreRowsIsSwappedInForFewerToo) {
  const auto measured = [this](int64_t m, const char* name, double us) {
    pb::LookupResult& result = service_.AddRecord(m, name);
    result.mutable_record()->mutable_ranked(0)->mutable_measurement()->set_median_us(us);
    return result;
  };
  measured(16, "sixteen", 9);
  const std::shared_ptr<Matmul> matmul = Get({.watch = true}).value();
  service_.Publish(measured(64, "better", 5));
  ASSERT_TRUE(Eventually([&] { return matmul->swaps() == 1; }));
  ASSERT_TRUE(matmul->Launch(Arguments(16), kStream).ok());
  EXPECT_EQ(gpu_.launches.at(0).function, "better:ladder_kernel");
  // The bucket's own record, told again, changes nothing; a faster one does.
  service_.Publish(measured(16, "own", 4));
  ASSERT_TRUE(Eventually([&] { return matmul->swaps() == 2; }));
  ASSERT_TRUE(matmul->Launch(Arguments(16), kStream).ok());
  EXPECT_EQ(gpu_.launches.at(1).function, "own:ladder_kernel");
}

TEST_F(ClientTest, PassesTheLaunchAsDescribed) {
  service_.AddRecord(64, "kernel");
  const std::shared_ptr<Matmul> matmul = Get().value();
  ASSERT_TRUE(matmul->Launch(Arguments(33), kStream).ok());
  const RecordedLaunch& launch = gpu_.launches.at(0);
  EXPECT_EQ(launch.config.grid_x, 3u * 32);  // ceil(33 / 16) tiles of 32 blocks
  EXPECT_EQ(launch.config.block_x, 256u);
  EXPECT_EQ(launch.config.shared_bytes, 100'000u);
  EXPECT_EQ(launch.config.stream, kStream);
  EXPECT_TRUE(launch.attributes.empty());
  EXPECT_EQ(gpu_.reserved_shared, std::vector<int>{100'000});
  EXPECT_EQ(launch.matmul.base.m, 33);
  EXPECT_EQ(launch.matmul.base.x, reinterpret_cast<void*>(0x10000));
  EXPECT_EQ(launch.matmul.base.bias, nullptr);
  EXPECT_EQ(gpu_.synchronizations, 0);
}

TEST_F(ClientTest, ServesMoreRowsThanAKernelTakesInSlices) {
  pb::LookupResult& result = service_.AddRecord(16, "kernel");
  result.mutable_record()->mutable_ranked(0)->mutable_launch()->set_max_m(16);
  const std::shared_ptr<Matmul> matmul = Get().value();
  ASSERT_TRUE(matmul->Launch(Arguments(40), kStream).ok());
  ASSERT_EQ(gpu_.launches.size(), 3u);
  const int rows[] = {16, 16, 8};
  for (size_t i = 0; i < 3; i++) {
    EXPECT_EQ(gpu_.launches[i].matmul.base.m, rows[i]);
    EXPECT_EQ(gpu_.launches[i].matmul.base.x, reinterpret_cast<void*>(0x10000 + i * 16 * 512 * 2));
    EXPECT_EQ(gpu_.launches[i].matmul.base.y, reinterpret_cast<void*>(0x20000 + i * 16 * 1024 * 2));
    EXPECT_EQ(gpu_.launches[i].config.grid_x, 32u);
  }
}

TEST_F(ClientTest, PassesOutputScaleAndResidual) {
  pb::LookupResult& result = service_.AddRecord(16, "kernel");
  result.mutable_record()->mutable_op()->set_output_scale(true);
  result.mutable_record()->mutable_op()->set_tensor_scale(true);
  result.mutable_record()->mutable_op()->set_residual(true);
  result.mutable_record()->mutable_ranked(0)->mutable_launch()->set_max_m(16);
  const std::shared_ptr<Matmul> matmul = Get().value();
  LaunchArguments arguments = Arguments(20);
  EXPECT_EQ(matmul->Launch(arguments, kStream).message().find("residual:"), 0u);
  arguments.residual = arguments.y;
  arguments.output_scale = 0.25f;
  arguments.tensor_scale = 2;
  ASSERT_TRUE(matmul->Launch(arguments, kStream).ok());
  ASSERT_EQ(gpu_.launches.size(), 2u);
  for (const RecordedLaunch& launch : gpu_.launches) {
    EXPECT_EQ(launch.matmul.base.output_scale, 0.5f);
    EXPECT_EQ(launch.matmul.base.residual, launch.matmul.base.y);  // each slice its own rows
  }
}

TEST_F(ClientTest, ScalesOf8BitActivationsMultiplySums) {
  pb::LookupResult& result = service_.AddRecord(16, "kernel");
  pb::OperatorDescriptor& op = *result.mutable_record()->mutable_op();
  op.set_a("int8");
  op.set_a_scale("row");
  op.set_tensor_scale(true);
  op.set_output_scale(true);
  result.mutable_record()->mutable_ranked(0)->mutable_launch()->set_max_m(16);
  const std::shared_ptr<Matmul> matmul = Get().value();
  LaunchArguments arguments = Arguments(20);
  arguments.output_scale = 0.25f;
  arguments.tensor_scale = 2;
  EXPECT_EQ(matmul->Launch(arguments, kStream).message().find("row_scale:"), 0u);
  arguments.row_scale = reinterpret_cast<const void*>(0x30000);
  ASSERT_TRUE(matmul->Launch(arguments, kStream).ok());
  ASSERT_EQ(gpu_.launches.size(), 2u);
  for (size_t i = 0; i < 2; i++) {
    const auto& base = gpu_.launches[i].matmul.base;
    EXPECT_EQ(base.output_scale, 0.25f);
    EXPECT_EQ(base.sum_scale, 2.0f);
    EXPECT_EQ(base.row_scale, reinterpret_cast<void*>(0x30000 + i * 16 * 4));
    EXPECT_EQ(base.x, reinterpret_cast<void*>(0x10000 + i * 16 * 512));
  }
}

TEST_F(ClientTest, SlicesHaveTheScalesOfTheirMxActivations) {
  pb::LookupResult& result = service_.AddRecord(16, "kernel");
  result.mutable_record()->mutable_op()->set_a("mxfp8_e4m3");
  result.mutable_record()->mutable_ranked(0)->mutable_launch()->set_max_m(16);
  const std::shared_ptr<Matmul> matmul = Get().value();
  LaunchArguments arguments = Arguments(20);
  EXPECT_EQ(matmul->Launch(arguments, kStream).message().find("row_scale:"), 0u);
  arguments.row_scale = reinterpret_cast<const void*>(0x30000);
  ASSERT_TRUE(matmul->Launch(arguments, kStream).ok());
  ASSERT_EQ(gpu_.launches.size(), 2u);
  for (size_t i = 0; i < 2; i++) {
    EXPECT_EQ(gpu_.launches[i].matmul.base.row_scale, reinterpret_cast<void*>(0x30000 + i * 16 * (512 / 32)));
  }
}

TEST_F(ClientTest, BuildsTensorMapsOfXAndW) {
  pb::LookupResult& result = service_.AddRecord(128, "kernel");
  FakeService::AddTensorMap(result, pb::TENSOR_OPERAND_X, 128);
  FakeService::AddTensorMap(result, pb::TENSOR_OPERAND_W, 64);
  const std::shared_ptr<Matmul> matmul = Get().value();
  ASSERT_TRUE(matmul->Launch(Arguments(100), kStream).ok());
  ASSERT_EQ(gpu_.maps.size(), 2u);
  EXPECT_EQ(gpu_.maps[0].address, reinterpret_cast<void*>(0x10000));
  EXPECT_EQ(gpu_.maps[0].columns, 512u);
  EXPECT_EQ(gpu_.maps[0].rows, 100u);  // what lies beyond m reads as zero
  EXPECT_EQ(gpu_.maps[0].stride, 1024u);
  EXPECT_EQ(gpu_.maps[0].box_rows, 128u);
  EXPECT_EQ(gpu_.maps[0].swizzle, kTensorSwizzle128B);
  EXPECT_EQ(gpu_.maps[0].type, kTensorFloat16);
  EXPECT_EQ(gpu_.maps[1].address, memory);
  EXPECT_EQ(gpu_.maps[1].rows, 1024u);
  EXPECT_EQ(gpu_.launches.at(0).matmul.x_map.opaque[0], 1u);
  EXPECT_EQ(gpu_.launches.at(0).matmul.w_map.opaque[0], 2u);
}

TEST_F(ClientTest, BuildsATensorMapOfTheRowsBeyondTheLastWholeBox) {
  pb::LookupResult& result = service_.AddRecord(128, "kernel");
  FakeService::AddTensorMap(result, pb::TENSOR_OPERAND_X, 64);
  FakeService::AddTensorMap(result, pb::TENSOR_OPERAND_X_TAIL, 64);
  const std::shared_ptr<Matmul> matmul = Get().value();
  ASSERT_TRUE(matmul->Launch(Arguments(100), kStream).ok());
  ASSERT_EQ(gpu_.maps.size(), 2u);
  EXPECT_EQ(gpu_.maps[0].box_rows, 64u);
  EXPECT_EQ(gpu_.maps[1].box_rows, 36u);
  EXPECT_EQ(gpu_.maps[1].address, gpu_.maps[0].address);
  EXPECT_EQ(gpu_.maps[1].rows, 100u);
  EXPECT_EQ(gpu_.launches.at(0).matmul.x_map.opaque[0], 1u);
  EXPECT_EQ(gpu_.launches.at(0).matmul.x_tail_map.opaque[0], 2u);
  ASSERT_TRUE(matmul->Launch(Arguments(128), kStream).ok());
  EXPECT_EQ(gpu_.maps.size(), 3u) << "there are none at 128";
}

TEST_F(ClientTest, SetsClusterAndProgrammaticLaunch) {
  pb::LookupResult& result = service_.AddRecord(128, "kernel");
  pb::LaunchSpec& launch = *result.mutable_record()->mutable_ranked(0)->mutable_launch();
  launch.set_cluster(2);
  launch.set_dependent_launch(true);
  const std::shared_ptr<Matmul> matmul = Get().value();
  LaunchArguments arguments = Arguments(1);
  ASSERT_TRUE(matmul->Launch(arguments, kStream).ok());
  arguments.overlap_predecessor = false;
  ASSERT_TRUE(matmul->Launch(arguments, kStream).ok());
  ASSERT_EQ(gpu_.launches.at(0).attributes.size(), 2u);
  EXPECT_EQ(gpu_.launches[0].attributes[0].id, kClusterDimension);
  EXPECT_EQ(gpu_.launches[0].attributes[0].value.cluster.x, 2u);
  EXPECT_EQ(gpu_.launches[0].attributes[1].id, kProgrammaticStreamSerialization);
  EXPECT_EQ(gpu_.launches[0].attributes[1].value.allowed, 1);
  ASSERT_EQ(gpu_.launches.at(1).attributes.size(), 1u);
  EXPECT_EQ(gpu_.launches[1].attributes[0].id, kClusterDimension);
}

TEST_F(ClientTest, ChecksArgumentsBeforeLaunching) {
  service_.AddRecord(16, "kernel");
  const std::shared_ptr<Matmul> matmul = Get().value();
  const auto refused = [&](const char* field, const std::function<void(LaunchArguments&)>& spoil) {
    LaunchArguments arguments = Arguments(16);
    spoil(arguments);
    const absl::Status status = matmul->Launch(arguments, kStream);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << field;
    EXPECT_EQ(status.message().find(field), 0u) << status;
  };
  refused("m:", [](LaunchArguments& a) { a.m = 0; });
  refused("x:", [](LaunchArguments& a) { a.x = nullptr; });
  refused("y:", [](LaunchArguments& a) { a.y = nullptr; });
  refused("weight:", [](LaunchArguments& a) { a.weight = nullptr; });
  refused("scale:", [](LaunchArguments& a) { a.scale = nullptr; });
  refused("bias:", [](LaunchArguments& a) { a.bias = memory; });
  refused("residual:", [](LaunchArguments& a) { a.residual = memory; });
  refused("output_scale:", [](LaunchArguments& a) { a.output_scale = 2; });
  refused("tensor_scale:", [](LaunchArguments& a) { a.tensor_scale = 2; });
  refused("a_scale:", [](LaunchArguments& a) { a.a_scale = 2; });
  refused("row_scale:", [](LaunchArguments& a) { a.row_scale = memory; });
  EXPECT_TRUE(gpu_.launches.empty());
}

TEST_F(ClientTest, AsksForAWorkspaceThatIsLargeEnough) {
  pb::LookupResult& result = service_.AddRecord(64, "kernel");
  result.mutable_record()->mutable_ranked(0)->mutable_launch()->set_workspace_bytes_per_m_tile(16 << 20);
  const std::shared_ptr<Matmul> matmul = Get().value();
  EXPECT_EQ(matmul->WorkspaceBytes(64), kCounterBytes + 4 * (16 << 20));
  LaunchArguments arguments = Arguments(64);
  EXPECT_EQ(matmul->Launch(arguments, kStream).code(), StatusCode::kInvalidArgument);
  const Workspace workspace = client_->MakeWorkspace(matmul->WorkspaceBytes(64)).value();
  EXPECT_EQ(static_cast<const char*>(workspace.data())[kCounterBytes - 1], 0);
  arguments.workspace = workspace.data();
  arguments.workspace_bytes = workspace.bytes();
  EXPECT_TRUE(matmul->Launch(arguments, kStream).ok());
  EXPECT_EQ(gpu_.allocated, 1u);
}

TEST_F(ClientTest, FetchesABinaryOnce) {
  service_.AddRecord(1, "same");
  service_.AddRecord(16, "same");
  const std::shared_ptr<Matmul> first = Get().value();
  const std::shared_ptr<Matmul> second = client_->Get({.w = "nf4", .n = 1024, .k = 512}, {.watch = false}).value();
  EXPECT_EQ(service_.blob_reads, 1);
  EXPECT_EQ(gpu_.loaded, std::vector<std::string>{"same"});
}

TEST_F(ClientTest, NeverLoadsABinaryOfAnotherDigest) {
  pb::LookupResult& result = service_.AddRecord(1, "right");
  service_.blobs[result.record().ranked(0).blob_sha256()] = "wrong";
  const auto matmul = Get();
  EXPECT_EQ(matmul.status().code(), StatusCode::kDataLoss);
  EXPECT_TRUE(gpu_.loaded.empty());
  ASSERT_EQ(service_.failures.size(), 1u);
  EXPECT_EQ(service_.failures[0].key(), "key1");
}

TEST_F(ClientTest, NeverLaunchesASeedOrASibling) {
  service_.AddRecord(1, "kernel").mutable_record()->set_kind(pb::RECORD_KIND_SEED);
  EXPECT_EQ(Get().status().code(), StatusCode::kNotFound);
  service_.response.Clear();
  service_.AddRecord(1, "kernel").set_match(pb::MATCH_SIBLING_DEVICE);
  EXPECT_EQ(Get().status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(gpu_.loaded.empty());
}

TEST_F(ClientTest, OtherBucketsServeOneThatDoesNotLoad) {
  service_.blobs.erase(service_.AddRecord(1, "lost").record().ranked(0).blob_sha256());
  service_.AddRecord(16, "kernel");
  const std::shared_ptr<Matmul> matmul = Get().value();
  ASSERT_TRUE(matmul->Launch(Arguments(1), kStream).ok());
  EXPECT_EQ(gpu_.launches.at(0).function, "kernel:ladder_kernel");
}

TEST_F(ClientTest, ReportsWhatTheDriverRefuses) {
  service_.AddRecord(1, "kernel");
  gpu_.load_result = 209;
  const auto matmul = Get();
  EXPECT_EQ(matmul.status().code(), StatusCode::kInternal);
  EXPECT_NE(matmul.status().message().find("CUDA_ERROR_FAKE"), absl::string_view::npos);
  EXPECT_EQ(service_.failures.size(), 1u);
}

TEST_F(ClientTest, RefusesKernelsOfAnotherArchitecture) {
  service_.AddRecord(1, "kernel");
  gpu_.major = 8;
  const auto matmul = Get();
  EXPECT_EQ(matmul.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(matmul.status().message().find("sm_90a"), absl::string_view::npos);
}

TEST_F(ClientTest, SaysSoWithoutAGpu) {
  gpu_.devices = 0;
  ClientOptions options;
  options.driver = &FakeGpu::Driver();
  const auto client = Client::FromChannel(service_.Channel(), options);
  EXPECT_EQ(client.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(gpu_.contexts_held, 0);
}

TEST_F(ClientTest, SaysSoWithoutAService) {
  ClientOptions options;
  options.driver = &FakeGpu::Driver();
  const auto client = Client::Connect("/nonexistent/ladderd.sock", options);
  EXPECT_EQ(client.status().code(), StatusCode::kUnavailable);
  EXPECT_NE(client.status().message().find("/nonexistent/ladderd.sock"), absl::string_view::npos);
}

TEST_F(ClientTest, AsksForWhatWasSaid) {
  service_.AddRecord(1, "kernel");
  client_ = Connect();
  const MatmulDescriptor descriptor = {.a = "bf16",
                                       .w = "uint4",
                                       .zeros = "original",
                                       .group = 32,
                                       .bias = true,
                                       .act = "silu",
                                       .output_scale = true,
                                       .residual = true,
                                       .n = 3,
                                       .k = 64,
                                       .m = {{1, 1}, {2, 64}}};
  (void)client_->Get(descriptor, {.on_miss = OnMiss::kTune, .watch = false, .at_generation = 7});
  const pb::OperatorDescriptor& op = service_.last_lookup.op();
  EXPECT_EQ(op.a(), "bf16");
  EXPECT_EQ(op.w(), "uint4");
  EXPECT_EQ(op.zeros(), "original");
  EXPECT_EQ(op.group(), 32);
  EXPECT_TRUE(op.bias());
  EXPECT_EQ(op.act(), "silu");
  EXPECT_TRUE(op.output_scale() && op.residual());
  EXPECT_EQ(op.n(), 3);
  EXPECT_EQ(op.k(), 64);
  EXPECT_EQ(op.m(1).last(), 64);
  EXPECT_EQ(service_.last_lookup.on_miss(), pb::ON_MISS_TUNE);
  EXPECT_EQ(service_.last_lookup.at_generation(), 7u);
  EXPECT_FALSE(op.has_element());

  (void)client_->Get({.w = "mine", .w_table = {-1, 0, 0.5f, 2}, .n = 3, .k = 64}, {.watch = false});
  EXPECT_EQ(service_.last_lookup.op().w(), "mine");
  const pb::ElementDefinition& element = service_.last_lookup.op().element();
  EXPECT_EQ(element.bits(), 2);
  EXPECT_EQ(std::vector<float>(element.table().begin(), element.table().end()), (std::vector<float>{-1, 0, 0.5f, 2}));
}

TEST_F(ClientTest, SwapsWinnersInAndKeepsOldModulesLoaded) {
  service_.AddRecord(16, "fast").mutable_record()->set_kind(pb::RECORD_KIND_FAST);
  const std::shared_ptr<Matmul> matmul = Get({.watch = true}).value();
  EXPECT_FALSE(matmul->Kernels().at(0).searched);
  const pb::LookupResult winner = service_.AddRecord(16, "winner");
  service_.Publish(winner);
  ASSERT_TRUE(Eventually([&] { return matmul->swaps() == 1; }));
  ASSERT_TRUE(matmul->Launch(Arguments(3), kStream).ok());
  EXPECT_EQ(gpu_.launches.at(0).function, "winner:ladder_kernel");
  EXPECT_TRUE(matmul->Kernels().at(0).searched);
  EXPECT_TRUE(gpu_.unloaded.empty());  // a captured graph may still hold the former one
  service_.Publish(winner);            // the same again changes nothing
  const pb::LookupResult more = service_.AddRecord(64, "more");
  service_.Publish(more);
  ASSERT_TRUE(Eventually([&] { return matmul->Kernels().size() == 2; }));
  EXPECT_EQ(matmul->swaps(), 2);
}

TEST_F(ClientTest, KeepsWhatItPromisedAboutTheWorkspace) {
  service_.AddRecord(16, "fast").mutable_record()->set_kind(pb::RECORD_KIND_FAST);
  const std::shared_ptr<Matmul> matmul = Get({.watch = true}).value();
  const int64_t promised = matmul->WorkspaceBytes(16);
  pb::LookupResult hungry = service_.AddRecord(16, "hungry");
  hungry.mutable_record()->mutable_ranked(0)->mutable_launch()->set_workspace_bytes_per_m_tile(promised);
  service_.Publish(hungry);
  service_.Publish(service_.AddRecord(64, "modest"));
  ASSERT_TRUE(Eventually([&] { return matmul->Kernels().size() == 2; }));
  EXPECT_EQ(matmul->WorkspaceBytes(16), promised);
  ASSERT_TRUE(matmul->Launch(Arguments(16), kStream).ok());
  EXPECT_EQ(gpu_.launches.at(0).function, "fast:ladder_kernel");
}

TEST_F(ClientTest, ReleasesEverything) {
  service_.AddRecord(1, "kernel");
  std::shared_ptr<Matmul> matmul = Get({.watch = true}).value();
  client_.reset();
  EXPECT_EQ(gpu_.contexts_held, 1);  // what a client made may outlive it
  ASSERT_TRUE(matmul->Launch(Arguments(1), kStream).ok());
  matmul.reset();
  EXPECT_EQ(gpu_.contexts_held, 0);
  EXPECT_EQ(gpu_.unloaded, std::vector<std::string>{"kernel"});
}

}  // namespace
}  // namespace ladder::client
