"""Holds the include direction: client -> proto <- server -> schedules -> core. Usage: include_direction_test.py"""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import include_rules  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def problems(path, *includes):
    return list(include_rules.problems_of(path, "".join(f"#include {include}\n" for include in includes)))


class IncludeDirection(unittest.TestCase):
    def test_repository_keeps_the_rules(self):
        found = include_rules.check(ROOT)
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_repository_is_really_read(self):
        # A wrong root would find nothing to complain about.
        self.assertIn("core/operator/operator.h", set(include_rules.sources(ROOT)))


class Rules(unittest.TestCase):
    def test_allowed(self):
        for path, include in (
            ("core/tuning/a.cc", '"core/types/data_type.h"'),
            ("core/tuning/a.cc", '"absl/status/status.h"'),
            ("core/backend/cuda/a.cc", "<cuda.h>"),
            ("schedules/matmul/a.cc", '"core/schedule/schedule.h"'),
            ("schedules/matmul/a.cuh", '"schedules/device/ptx.cuh"'),
            ("schedules/matmul/a.cuh", '"ladder/wgmma_instruction.cuh"'),
            ("tests/emulator/a.cuh", '"tests/emulator/b.cuh"'),
            ("server/grpc/a.cc", "<grpcpp/grpcpp.h>"),
            ("server/storage/a.cc", "<sqlite3.h>"),
            ("server/main.cc", '"schedules/catalog.h"'),
            ("client/a.cc", '"ladder/tune/v1/service.grpc.pb.h"'),
            ("client/tools/a.cc", '"server/embedded_host.h"'),
            ("tests/core/a.cc", "<gtest/gtest.h>"),
        ):
            with self.subTest(path=path, include=include):
                self.assertEqual(problems(path, include), [])

    def test_refused(self):
        for path, include in (
            ("core/a.cc", '"schedules/catalog.h"'),
            ("core/a.cc", '"server/config/config.h"'),
            ("core/a.cc", '"ladder/tune/v1/kernel.pb.h"'),
            ("core/a.cc", "<grpcpp/grpcpp.h>"),
            ("core/a.cc", "<google/protobuf/message.h>"),
            ("core/a.cc", "<sqlite3.h>"),
            ("core/a.cc", "<nlohmann/json.hpp>"),
            ("core/a.cc", "<cuda.h>"),
            ("core/backend/a.cc", "<nvrtc.h>"),
            ("core/backend/a.cc", "<hip/hiprtc.h>"),
            ("schedules/a.cc", '"server/embedded_host.h"'),
            ("schedules/a.cc", '"client/ladder.h"'),
            ("schedules/a.cuh", "<cuda_fp16.h>"),
            ("schedules/a.cuh", '"core/types/data_type.h"'),
            ("schedules/a.cuh", '"schedules/catalog.h"'),
            ("schedules/a.cuh", '"tests/emulator/a.cuh"'),
            ("server/a.cc", '"client/ladder.h"'),
            ("server/grpc/a.cc", "<sqlite3.h>"),
            ("client/a.cc", '"core/types/data_type.h"'),
            ("client/a.cc", '"server/embedded_host.h"'),
            ("client/a.cc", "<cuda.h>"),
            ("client/tools/a.cc", '"server/grpc/service.h"'),
            ("client/tools/a.cc", '"core/kernel_service.h"'),
            ("server/a.cc", "<gtest/gtest.h>"),
            ("core/a.cc", '"../schedules/catalog.h"'),
            ("core/a.cc", '"operator.h"'),
            ("elsewhere/a.cc", "<vector>"),
        ):
            with self.subTest(path=path, include=include):
                self.assertEqual(len(problems(path, include)), 1)

    def test_says_where(self):
        (problem,) = problems("core/a.cc", "<vector>", '"server/x.h"')
        self.assertTrue(problem.startswith("core/a.cc:2: includes"), problem)

    def test_spaced_directive_is_seen(self):
        self.assertEqual(len(list(include_rules.problems_of("core/a.cc", '\n  #  include\t"server/x.h"\n'))), 1)

    def test_tree_on_disk(self):
        with tempfile.TemporaryDirectory() as root:
            for path, text in (("core/a.h", '#include "server/x.h"\n'), ("build/b.h", '#include "nowhere"\n')):
                os.makedirs(os.path.join(root, os.path.dirname(path)))
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            self.assertEqual(len(include_rules.check(root)), 1)


if __name__ == "__main__":
    unittest.main()
