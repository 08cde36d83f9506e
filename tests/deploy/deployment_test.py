"""The unit, the images and the manifests, checked as far as that goes without systemd, Docker or a cluster running.

Usage: deployment_test.py BUILD
"""

import contextlib
import copy
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = ""
# 0 is a service that can do nothing, 10 one that can do everything; systemd calls less than 3 good.
WORST_EXPOSURE = 25  # in tenths

def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def strict_schemas():
    """The definitions of each release's objects, which know no key but their own."""
    pattern = f"{BUILD}/kubernetes/kubernetes_validate/kubernetes-json-schema/v*-local-strict/_definitions.json"
    schemas = {}
    for path in sorted(glob.glob(pattern)):
        with open(path, encoding="utf-8") as file:
            schemas[re.search(r"/v([0-9.]+)\.0-local", path).group(1)] = json.load(file)["$defs"]
    return schemas


def validator(definitions, document):
    group, _, version = document["apiVersion"].rpartition("/")
    meant = {"group": group, "version": version, "kind": document["kind"]}
    (name,) = [name for name, schema in definitions.items()
               if meant in schema.get("x-kubernetes-group-version-kind", [])]
    return fastjsonschema.compile({"$schema": "http://json-schema.org/draft-07/schema", "$defs": definitions,
                                   "$ref": f"#/$defs/{name}"}, use_formats=False)


class Configurations(unittest.TestCase):
    def accepted(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            done = subprocess.run([f"{BUILD}/bin/ladderd", "--config", file.name, "--print-config"], capture_output=True,
                                  text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_samples(self):
        self.accepted(text_of("deploy/ladderd.json"))
        self.accepted(text_of("deploy/container/ladderd.json"))

    def test_the_one_of_the_manifest(self):
        for document in yaml.safe_load_all(text_of("deploy/kubernetes/ladderd.yaml")):
            if document["kind"] == "ConfigMap":
                config = self.accepted(document["data"]["ladderd.json"])
                self.assertEqual(config["listen"], "unix:///run/ladder/ladderd.sock")


class Unit(unittest.TestCase):
    @unittest.skipIf(shutil.which("systemd-analyze") is None, "no systemd-analyze here")
    def test_systemd_accepts_it_and_calls_it_safe(self):
        with tempfile.TemporaryDirectory() as folder:
            unit = f"{folder}/ladderd.service"
            with open(unit, "w", encoding="utf-8") as file:
                file.write(text_of("deploy/systemd/ladderd.service").replace("/opt/ladder", BUILD))
            verified = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True,
                                      timeout=60)
            self.assertEqual((verified.returncode, verified.stderr), (0, ""), verified.stderr)
            rated = subprocess.run(["systemd-analyze", "security", "--offline=yes", f"--threshold={WORST_EXPOSURE}", unit],
                                   capture_output=True, text=True, timeout=60)
            self.assertEqual(rated.returncode, 0, rated.stdout)
            print(re.search(r"Overall exposure.*: [0-9.]+", rated.stdout).group(0))


class Images(unittest.TestCase):
    def check(self, *arguments):
        done = subprocess.run([f"{ROOT}/deploy/check-containers", *arguments], capture_output=True, text=True, timeout=110)
        if done.returncode == 3:
            self.skipTest(done.stderr.strip())
        return done

    def test_what_they_build_on_copy_install_and_run_is_there(self):
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"cuda\.Dockerfile: .*\d+ packages\nrocm\.Dockerfile: .*\d+ packages")
        print(done.stdout, end="")
        for path in glob.glob(f"{ROOT}/deploy/container/*.Dockerfile"):
            self.assertIn("USER 10001:10001", text_of(path))

    def test_what_is_missing_is_named(self):
        text = text_of("deploy/container/cuda.Dockerfile")
        with tempfile.TemporaryDirectory() as folder:
            for old, new, said in (
                    (r"@sha256:\w+ AS build", " AS build", "FROM debian:12.15-slim: expected NAME:TAG@sha256:DIGEST"),
                    ("ca-certificates", "ca-certificats", "can't resolve the packages: .*ca-certificats"),
                    ("BUILD_PACKAGES", "BULD_PACKAGES", "no list BULD_PACKAGES"),
                    ("COPY deploy/container/", "COPY deploy/containers/", "COPY deploy/containers/ladderd.json: it is not"),
                    (r"COPY \. \.", "COPY build .", "COPY build: it is not in the build context"),
                    ("COPY --from=build /opt/ladder", "COPY --from=build /opt/leader", "no stage build makes it"),
                    ("deploy/make-bundle", "deploy/make-bundles", "deploy/make-bundles is not in the build context"),
                    ("&& cp", "&& && cp", "the shell can't read it")):
                with self.subTest(new):
                    path = f"{folder}/wrong.Dockerfile"
                    changed = re.sub(old, new, text)
                    self.assertNotEqual(changed, text)
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(changed)
                    done = self.check(path)
                    self.assertEqual(done.returncode, 1, done.stdout)
                    self.assertRegex(done.stderr, said)


class Manifests(unittest.TestCase):
    def setUp(self):
        self.documents = list(yaml.safe_load_all(text_of("deploy/kubernetes/ladderd.yaml")))
        (self.set,) = [document for document in self.documents if document["kind"] == "DaemonSet"]
        self.pod = self.set["spec"]["template"]["spec"]

    def test_every_release_of_kubernetes_takes_them_and_no_unknown_key(self):
        releases = strict_schemas()
        if not releases:
            self.skipTest("no Kubernetes schemas here; deploy/install-and-test fetches them")
        for release, definitions in releases.items():
            validators = {document["kind"]: validator(definitions, document) for document in self.documents}
            for document in self.documents:
                with self.subTest(release=release, kind=document["kind"]):
                    validators[document["kind"]](document)
            # The schemas are strict, and looked at: each of these is an error.
            for path, value in ((("spec", "template", "spec", "containers", 0, "runAsUser"), 0),
                                (("spec", "template", "spec", "containers", 0, "image"), 5),
                                (("spec", "template", "spec", "terminationGracePeriodSeconds"), "60s"),
                                (("spec", "selector"), ...)):
                with self.subTest(release=release, wrong=path):
                    wrong = copy.deepcopy(self.set)
                    inner = wrong
                    for step in path[:-1]:
                        inner = inner[step]
                    if value is ...:
                        del inner[path[-1]]
                    else:
                        inner[path[-1]] = value
                    with self.assertRaises(fastjsonschema.JsonSchemaValueException):
                        validators["DaemonSet"](wrong)
        print(f"{len(self.documents)} objects held against Kubernetes {', '.join(releases)}")

    def test_parts_fit_together(self):
        labels = self.set["spec"]["template"]["metadata"]["labels"]
        self.assertEqual(self.set["spec"]["selector"]["matchLabels"], labels)
        volumes = {volume["name"] for volume in self.pod["volumes"]}
        mounted = set()
        for container in self.pod["initContainers"] + self.pod["containers"]:
            names = {mount["name"] for mount in container["volumeMounts"]}
            self.assertLessEqual(names, volumes, container["name"])
            mounted |= names
        self.assertEqual(mounted, volumes)
        maps = {document["metadata"]["name"] for document in self.documents if document["kind"] == "ConfigMap"}
        for volume in self.pod["volumes"]:
            self.assertIn(volume.get("configMap", {}).get("name", next(iter(maps))), maps)

    def test_the_daemon_has_no_privileges(self):
        (daemon,) = self.pod["containers"]
        self.assertTrue(self.pod["securityContext"]["runAsNonRoot"])
        self.assertFalse(daemon["securityContext"]["allowPrivilegeEscalation"])
        self.assertTrue(daemon["securityContext"]["readOnlyRootFilesystem"])
        self.assertEqual(daemon["securityContext"]["capabilities"]["drop"], ["ALL"])

    def test_probes_run_what_the_tool_understands(self):
        (daemon,) = self.pod["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            program, *arguments = daemon[probe]["exec"]["command"]
            # Nobody serves there: status 3, where a wrong word would be 2.
            done = subprocess.run([f"{BUILD}/bin/{program}", *arguments], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 3, done.stderr)


if __name__ == "__main__":
    BUILD = os.path.abspath(sys.argv.pop(1))
    sys.path.insert(0, f"{BUILD}/kubernetes")
    with contextlib.suppress(ImportError):  # then there are no schemas either
        import fastjsonschema
    unittest.main()
