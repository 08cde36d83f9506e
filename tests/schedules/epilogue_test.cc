// The activation functions of schedules/matmul/epilogue.cuh, built for the host with primitives that err as much as the
// hardware's may, against float64: the bound of core/tuning holds.
#define LADDER_EMULATOR "tests/emulator/primitives.h"
#include "schedules/matmul/epilogue.cuh"

#include <gtest/gtest.h>

#include <cmath>

#include "core/reference/matmul_reference.h"
#include "core/tuning/error_bound.h"

namespace ladder {
namespace {

// Relative errors of the approximations, at the largest the manuals allow; both signs are tried.
double exp2_error, reciprocal_error, erf_error;

void Bind(double sign) {
  exp2_error = sign * 0x1p-22;
  reciprocal_error = -sign * 0x1p-23;  // exp's and the reciprocal's errors add up
  erf_error = sign * 0x1p-22;
  static emulator::RuntimeTable table;
  table.exp2 = [](float x) { return static_cast<float>(std::exp2(static_cast<double>(x)) * (1 + exp2_error)); };
  table.reciprocal = [](float x) { return static_cast<float>((1 / static_cast<double>(x)) * (1 + reciprocal_error)); };
  table.erf = [](float x) { return static_cast<float>(std::erf(static_cast<double>(x)) * (1 + erf_error)); };
  emulator::runtime = &table;
}

template <Act kAct>
void ExpectWithinBound(ActivationFunction act) {
  const ActivationError error = ErrorOf(act);
  double worst = 0;
  for (const double sign : {-1.0, 1.0}) {
    Bind(sign);
    for (int i = -400'000; i <= 400'000; i++) {
      const auto z = static_cast<float>(i * 1e-4);
      const double off = std::fabs(apply_act<kAct>(z) - ReferenceAct(act, z));
      ASSERT_LE(off, error.evaluation * std::fabs(z) + 0x1p-126) << Name(act) << "(" << z << ")";
      if (z != 0) worst = std::max(worst, off / (error.evaluation * std::fabs(z)));
    }
    // Exponentials and cubes that overflow, and z so small that everything is linear.
    for (const float z : {1e-30f, -1e-30f, 1e4f, -1e4f, 1e20f, -1e20f}) {
      ASSERT_LE(std::fabs(apply_act<kAct>(z) - ReferenceAct(act, z)), error.evaluation * std::fabs(z)) << z;
    }
  }
  if (kAct != Act::kNone) {
    EXPECT_GT(worst, 0.2) << Name(act) << ": the bound is loose";
  }
}

TEST(Activation, EvaluationKeepsItsBound) {
  ExpectWithinBound<Act::kNone>(ActivationFunction::kNone);
  ExpectWithinBound<Act::kSilu>(ActivationFunction::kSilu);
  ExpectWithinBound<Act::kGelu>(ActivationFunction::kGelu);
  ExpectWithinBound<Act::kGeluTanh>(ActivationFunction::kGeluTanh);
}

TEST(Activation, SlopesAreTheSteepest) {
  for (const ActivationFunction act :
       {ActivationFunction::kSilu, ActivationFunction::kGelu, ActivationFunction::kGeluTanh}) {
    double steepest = 0;
    constexpr double kStep = 1e-4;
    for (double z = -20; z < 20; z += kStep) {
      steepest = std::max(steepest, std::fabs(ReferenceAct(act, z + kStep) - ReferenceAct(act, z)) / kStep);
    }
    EXPECT_LE(steepest, ErrorOf(act).slope) << Name(act);
    EXPECT_GT(steepest, 0.999 * ErrorOf(act).slope) << Name(act);
  }
}

}  // namespace
}  // namespace ladder
