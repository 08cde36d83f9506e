#include "server/serving/machines.h"

#include <gtest/gtest.h>

#include "core/store/in_memory_kernel_store.h"
#include "tests/core/fakes.h"

namespace ladder {
namespace {

// What remembered answers go by: they hold until Changes() rises.
TEST(MachinesTest, ChangesRiseWithWhatIsKnownOfGpusAndCompiler) {
  ScheduleCatalog catalog;
  InMemoryKernelStore store;
  FakeCompiler compiler;
  FakeDevice device;
  Machines machines(catalog, store, compiler, {&device}, "");
  const uint64_t at_start = machines.Changes();
  // Before any discovery the compiler isn't asked, which would start it.
  compiler.version = "fake 2";
  EXPECT_EQ(machines.Changes(), at_start);

  machines.Discover();
  const uint64_t discovered = machines.Changes();
  EXPECT_GT(discovered, at_start);
  machines.Discover();  // nothing is left to ask
  EXPECT_EQ(machines.Changes(), discovered);

  compiler.version = "fake 3";
  const uint64_t with_compiler = machines.Changes();
  EXPECT_GT(with_compiler, discovered);
  EXPECT_EQ(machines.Changes(), with_compiler);
  compiler.version = "fake 2";  // back again is a change as well
  EXPECT_GT(machines.Changes(), with_compiler);
}

TEST(MachinesTest, EachGpuThatWasAskedIsCountedBeforeItIsTold) {
  ScheduleCatalog catalog;
  InMemoryKernelStore store;
  FakeCompiler compiler;
  FakeDevice sound;
  FakeDevice failing;
  failing.down = absl::FailedPreconditionError("no driver");
  Machines machines(catalog, store, compiler, {&failing, &sound}, "");
  const uint64_t at_start = machines.Changes();
  machines.OnDiscovered([&, before = at_start](size_t, bool) mutable {
    // Told after it is counted: whoever is told and then asks must not be given what held before.
    const uint64_t now = machines.Changes();
    EXPECT_GT(now, before);
    before = now;
  });
  machines.Discover();
  EXPECT_GT(machines.Changes(), at_start);
}

}  // namespace
}  // namespace ladder
