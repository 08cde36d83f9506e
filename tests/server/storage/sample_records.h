// Records as tuning makes them, for tests of conversion and storage.
#ifndef LADDER_TESTS_SERVER_STORAGE_SAMPLE_RECORDS_H_
#define LADDER_TESTS_SERVER_STORAGE_SAMPLE_RECORDS_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/store/keys.h"
#include "core/tuning/tuning_record.h"

namespace ladder {

// Some bytes that depend on `seed`, as a binary would.
inline std::string SampleBinary(uint64_t seed, size_t size = 3000) {
  std::string bytes = absl::StrCat("\x7f", "ELF binary ", seed, ":");
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  while (bytes.size() < size) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    bytes.push_back(static_cast<char>(state));
  }
  return bytes;
}

inline OperatorDescriptor SampleDescriptor(int64_t n, const std::string& w = "nf4") {
  OperatorDescriptor descriptor;
  descriptor.w = w;
  descriptor.n = n;
  descriptor.k = 4096;
  return descriptor;
}

// A measured record of an operator of n output channels at m rows, whose winner is `binary` (none: a seed).
inline TuningRecord SampleRecord(int64_t n, int64_t m, const std::string& binary, int traced = 3,
                                 const std::string& target = "h200") {
  TuningRecord record;
  record.op = *Normalize(SampleDescriptor(n));
  record.m = m;
  record.target = *Target::FromName(target);
  record.key = MakeCacheKey(record.op, m, record.target);
  record.key_text = CacheKeyText(record.op, m, record.target);
  record.kind = binary.empty() ? RecordKind::kSeed : RecordKind::kMeasured;
  record.environment = {"nvrtc 13.0.88", Sha256Hex("sources"), "580.1", "0.1.0"};
  RankedKernel winner;
  winner.candidate = {"decode", {{"row_tiles", 2}, {"warps", 16}, {"stages", -3}}};
  winner.schedule_revision = 4;
  winner.launch.threads = 512;
  winner.launch.shared_bytes = 65536;
  winner.launch.max_m = 8;
  winner.launch.tensor_maps = {
      {TensorOperand::kX, 64, 128, 128}, {TensorOperand::kW, 32, 16, 64}, {TensorOperand::kXTail, 64, 128, 128}};
  winner.launch.workspace_bytes_per_m_tile = 4096;
  winner.launch.dependent_launch = true;
  winner.numerics.scale_in_weights = true;
  winner.predicted_us = 12.5;
  if (!binary.empty()) {
    winner.artifact.digest = Sha256Hex(absl::StrCat("source of ", binary));
    winner.blob_sha256 = Sha256Hex(binary);
    winner.measurement = {11.25, 0.5, 7, 1.98};
    winner.worst_ratio = 0.25;
    winner.relative_norm = 1e-4;
  }
  RankedKernel runner_up;
  runner_up.candidate = {"pipelined", {{"tile_m", 64}}};
  runner_up.predicted_us = 14;
  record.ranked = {winner, runner_up};
  for (int i = 0; i < traced; ++i) {
    CandidateTrace candidate;
    candidate.candidate = {"decode", {{"row_tiles", i}, {"warps", 8}}};
    candidate.predicted_us = 13 + i;
    candidate.status = i == 0 ? CandidateStatus::kTimed : CandidateStatus::kSpilled;
    candidate.reason = i == 0 ? "" : "spills 128 bytes";
    candidate.registers = 255;
    candidate.spill_bytes = i * 128;
    candidate.compile_ms = 33;
    candidate.measurement = winner.measurement;
    record.trace.candidates.push_back(candidate);
  }
  record.trace.seed = 0xfedcba9876543210u;
  record.trace.total_ms = 1234.5;
  record.trace.disturbance = "other processes keep the GPU 97% busy";
  record.trace.disturbed = true;
  record.trace.waited_ms = 200;
  record.trace.rested_ms = 300;
  record.created_unix = 1700000000;
  return record;
}

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_STORAGE_SAMPLE_RECORDS_H_
