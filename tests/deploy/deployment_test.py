"""The unit, the images and the manifests, checked as far as that goes without systemd, Docker or a cluster running.

Usage: deployment_test.py BUILD
"""

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

# What the manifests may say, by kind of object: a misspelt or misplaced key is no error to kubectl's server by default,
# it just does nothing. None: anything.
PROBE = {"exec": {"command": None}, "periodSeconds": None, "timeoutSeconds": None, "failureThreshold": None}
SECURITY = {"allowPrivilegeEscalation": None, "readOnlyRootFilesystem": None, "runAsNonRoot": None, "runAsUser": None,
            "capabilities": {"drop": None, "add": None}}
CONTAINER = {"name": None, "image": None, "command": None, "args": None, "env": [{"name": None, "value": None}],
             "ports": [{"name": None, "containerPort": None, "protocol": None}], "startupProbe": PROBE,
             "readinessProbe": PROBE, "livenessProbe": PROBE,
             "resources": {"requests": {"cpu": None, "memory": None}, "limits": {"cpu": None, "memory": None}},
             "securityContext": SECURITY,
             "volumeMounts": [{"name": None, "mountPath": None, "subPath": None, "readOnly": None}]}
POD = {"nodeSelector": None, "tolerations": [{"key": None, "operator": None, "effect": None}],
       "automountServiceAccountToken": None, "terminationGracePeriodSeconds": None,
       "securityContext": {"runAsNonRoot": None, "runAsUser": None, "runAsGroup": None, "fsGroup": None,
                           "seccompProfile": {"type": None}},
       "initContainers": [CONTAINER], "containers": [CONTAINER],
       "volumes": [{"name": None, "configMap": {"name": None}, "secret": {"secretName": None, "defaultMode": None},
                    "hostPath": {"path": None, "type": None}, "emptyDir": None}]}
METADATA = {"name": None, "namespace": None, "labels": None}
KINDS = {
    ("v1", "Namespace"): {"metadata": METADATA},
    ("v1", "ConfigMap"): {"metadata": METADATA, "data": None},
    ("apps/v1", "DaemonSet"): {"metadata": METADATA, "spec": {
        "selector": {"matchLabels": None},
        "updateStrategy": {"type": None, "rollingUpdate": {"maxUnavailable": None}},
        "template": {"metadata": METADATA, "spec": POD}}},
}


def unknown_keys(value, schema, path):
    if schema is None:
        return
    if isinstance(schema, list):
        for i, item in enumerate(value):
            yield from unknown_keys(item, schema[0], f"{path}[{i}]")
        return
    for key, inner in value.items():
        if key not in schema:
            yield f"{path}.{key}"
        else:
            yield from unknown_keys(inner, schema[key], f"{path}.{key}")


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


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
    def test_what_they_copy_and_run_exists(self):
        files = sorted(glob.glob(f"{ROOT}/deploy/container/*.Dockerfile"))
        self.assertEqual(len(files), 2)
        for path in files:
            with self.subTest(os.path.basename(path)):
                text = text_of(path)
                lines = re.sub(r"\\\n", " ", text).splitlines()
                stages = [match.group(1) for line in lines if (match := re.match(r"FROM \S+ AS (\w+)", line))]
                for line in lines:
                    instruction, _, rest = line.partition(" ")
                    if instruction == "FROM":
                        self.assertRegex(rest, r"^[a-z0-9./-]+:[a-z0-9.-]+( AS \w+)?$", "an image is named with its tag")
                    elif instruction == "COPY" and "--from=" in rest:
                        self.assertIn(re.search(r"--from=(\w+)", rest).group(1), stages)
                    elif instruction == "COPY":
                        for source in rest.split()[:-1]:
                            self.assertTrue(os.path.exists(os.path.join(ROOT, source)), source)
                    elif instruction == "RUN":
                        subprocess.run(["bash", "-n", "-c", rest], check=True, timeout=10)
                        for script in re.findall(r"deploy/[\w.-]+", rest):
                            self.assertTrue(os.path.exists(os.path.join(ROOT, script)), script)
                        for name in re.findall(r"\$\{(\w+)\[@\]\}", rest):
                            self.assertIn(f"\n{name}=(", text_of("deploy/lib.sh"))
                self.assertIn("USER 10001:10001", text)


class Manifests(unittest.TestCase):
    def setUp(self):
        self.documents = list(yaml.safe_load_all(text_of("deploy/kubernetes/ladderd.yaml")))
        (self.set,) = [document for document in self.documents if document["kind"] == "DaemonSet"]
        self.pod = self.set["spec"]["template"]["spec"]

    def test_every_key_is_one_that_kubernetes_knows_there(self):
        for document in self.documents:
            schema = KINDS[document["apiVersion"], document["kind"]]
            body = {key: value for key, value in document.items() if key not in ("apiVersion", "kind")}
            self.assertEqual(list(unknown_keys(body, schema, document["kind"])), [])

    def test_a_misplaced_key_would_be_found(self):
        self.pod["containers"][0]["runAsUser"] = 0
        self.assertEqual(list(unknown_keys({"spec": self.set["spec"]}, KINDS["apps/v1", "DaemonSet"], "x")),
                         ["x.spec.template.spec.containers[0].runAsUser"])

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
    unittest.main()
