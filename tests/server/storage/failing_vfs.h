// SQLite's file system with a fault in it: from a chosen write on, every write fails until it is healed.
#ifndef LADDER_TESTS_SERVER_STORAGE_FAILING_VFS_H_
#define LADDER_TESTS_SERVER_STORAGE_FAILING_VFS_H_

namespace ladder {

// One at a time; registered as long as it lives, which must be longer than any database opened through it.
class FailingVfs {
 public:
  static constexpr char kName[] = "failing";
  enum class Kind { kFull, kIoError };

  FailingVfs();
  ~FailingVfs();
  // The next `writes` writes (and syncs and truncations) go well, then they fail.
  void FailAfter(int writes, Kind kind);
  // Whether anything failed since.
  bool Heal();
};

}  // namespace ladder

#endif  // LADDER_TESTS_SERVER_STORAGE_FAILING_VFS_H_
