// The client's own declarations of the driver's types against cuda.h. Built where CUDA's headers are.
#include <cuda.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>

#include "client/cuda_driver.h"

namespace ladder::client {
namespace {

TEST(CudaTypes, LaunchConfigIsTheDrivers) {
  EXPECT_EQ(sizeof(CuLaunchConfig), sizeof(CUlaunchConfig));
  EXPECT_EQ(offsetof(CuLaunchConfig, grid_x), offsetof(CUlaunchConfig, gridDimX));
  EXPECT_EQ(offsetof(CuLaunchConfig, block_x), offsetof(CUlaunchConfig, blockDimX));
  EXPECT_EQ(offsetof(CuLaunchConfig, shared_bytes), offsetof(CUlaunchConfig, sharedMemBytes));
  EXPECT_EQ(offsetof(CuLaunchConfig, stream), offsetof(CUlaunchConfig, hStream));
  EXPECT_EQ(offsetof(CuLaunchConfig, attributes), offsetof(CUlaunchConfig, attrs));
  EXPECT_EQ(offsetof(CuLaunchConfig, attribute_count), offsetof(CUlaunchConfig, numAttrs));
}

TEST(CudaTypes, LaunchAttributeIsTheDrivers) {
  EXPECT_EQ(sizeof(CuLaunchAttribute), sizeof(CUlaunchAttribute));
  EXPECT_EQ(offsetof(CuLaunchAttribute, value), offsetof(CUlaunchAttribute, value));
  CUlaunchAttribute theirs = {};
  theirs.value.clusterDim.x = 1;
  theirs.value.clusterDim.y = 2;
  theirs.value.clusterDim.z = 3;
  CuLaunchAttribute ours;
  ours.value.cluster = {1, 2, 3};
  EXPECT_EQ(std::memcmp(&ours.value, &theirs.value, sizeof(ours.value)), 0);
}

TEST(CudaTypes, ConstantsAreTheDrivers) {
  EXPECT_EQ(sizeof(CuTensorMap), sizeof(CUtensorMap));
  // The driver asks for 64 bytes (cuTensorMapEncodeTiled); newer headers declare more.
  EXPECT_LE(alignof(CuTensorMap), alignof(CUtensorMap));
  EXPECT_EQ(kComputeCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  EXPECT_EQ(kComputeCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  EXPECT_EQ(kMaxDynamicSharedBytes, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
  EXPECT_EQ(kNonPortableClusterAllowed, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED);
  EXPECT_EQ(kClusterDimension, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
  EXPECT_EQ(kProgrammaticStreamSerialization, CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
  EXPECT_EQ(kStreamNonBlocking, CU_STREAM_NON_BLOCKING);
  EXPECT_EQ(kCaptureModeGlobal, CU_STREAM_CAPTURE_MODE_GLOBAL);
  EXPECT_EQ(kCaptureModeRelaxed, CU_STREAM_CAPTURE_MODE_RELAXED);
  EXPECT_EQ(kTensorFloat16, CU_TENSOR_MAP_DATA_TYPE_FLOAT16);
  EXPECT_EQ(kTensorBFloat16, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16);
  EXPECT_EQ(kTensorSwizzleNone, CU_TENSOR_MAP_SWIZZLE_NONE);
  EXPECT_EQ(kTensorSwizzle32B, CU_TENSOR_MAP_SWIZZLE_32B);
  EXPECT_EQ(kTensorSwizzle64B, CU_TENSOR_MAP_SWIZZLE_64B);
  EXPECT_EQ(kTensorSwizzle128B, CU_TENSOR_MAP_SWIZZLE_128B);
  EXPECT_EQ(kTensorL2Promotion256B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B);
}

}  // namespace
}  // namespace ladder::client
