"""ladder-tune --quantize against a computation of its own, in plain Python, and against files that are wrong."""

import ast
import json
import math
import os
import random
import re
import struct
import subprocess
import unittest

from programs import BIN, Home, Result

# What each code is worth, from the formats' definitions. Floats: exponent bits, mantissa bits, bias, what the largest
# exponent means.
FLOATS = {"fp8_e4m3": (4, 3, 7, "nan"), "fp8_e5m2": (5, 2, 15, "ieee"), "fp6_e3m2": (3, 2, 3, "none"),
          "fp6_e2m3": (2, 3, 1, "none"), "fp4_e2m1": (2, 1, 1, "none")}
NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
       -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
       0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]
NAMED = {"mxfp4": ("fp4_e2m1", "e8m0", 32), "mxfp6_e3m2": ("fp6_e3m2", "e8m0", 32),
         "mxfp6_e2m3": ("fp6_e2m3", "e8m0", 32), "mxfp8": ("fp8_e4m3", "e8m0", 32),
         "mxfp8_e4m3": ("fp8_e4m3", "e8m0", 32), "mxfp8_e5m2": ("fp8_e5m2", "e8m0", 32),
         "nvfp4": ("fp4_e2m1", "fp8_e4m3", 16)}
# Bits of the significand, least exponent of a normal number, largest number.
SCALES = {"fp16": (11, -14, 65504.0), "bf16": (8, -126, 255 * 2.0**120), "fp8_e4m3": (4, -6, 448.0),
          "fp32": (24, -126, (2 - 2.0**-23) * 2.0**127)}
ELEMENTS = [*(f"int{b}" for b in range(1, 9)), *(f"uint{b}" for b in range(1, 9)), *FLOATS, "nf4"]


def float_value(code, exponent_bits, mantissa_bits, bias, specials):
    sign = -1.0 if code >> (exponent_bits + mantissa_bits) else 1.0
    exponent = code >> mantissa_bits & ((1 << exponent_bits) - 1)
    mantissa = code & ((1 << mantissa_bits) - 1)
    top = exponent == (1 << exponent_bits) - 1
    if top and (specials == "ieee" or specials == "nan" and mantissa == (1 << mantissa_bits) - 1):
        return math.inf * sign if specials == "ieee" and mantissa == 0 else math.nan
    if exponent == 0:
        return sign * math.ldexp(mantissa, 1 - bias - mantissa_bits)
    return sign * math.ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits)


def values_of(element):
    if element in FLOATS:
        bits = 1 + sum(FLOATS[element][:2])
        return [float_value(code, *FLOATS[element]) for code in range(1 << bits)]
    if element == "nf4":
        return NF4
    bits = int(element[-1])
    if element == "int1":
        return [-1.0, 1.0]
    signed = element.startswith("int")
    return [float(code - (1 << bits) if signed and code >> (bits - 1) else code) for code in range(1 << bits)]


def rounded(value, kind):
    """A number that isn't negative, to nearest even, at most the largest."""
    digits, least, largest = SCALES[kind]
    if value == 0:
        return 0.0
    quantum = math.ldexp(1.0, max(math.frexp(value)[1] - 1, least) - digits + 1)
    return min(round(value / quantum) * quantum, largest)


def rounded_scale(value, kind):
    if value <= 0:
        return 1.0
    if kind == "e8m0":  # to the nearest power of two, 1.5 up
        fraction, exponent = math.frexp(value)
        return math.ldexp(1.0, min(max(exponent - (1 if fraction < 0.75 else 0), -127), 127))
    digits, least, _ = SCALES[kind]
    return max(rounded(value, kind), math.ldexp(1.0, least - digits + 1))


class Quantizer:
    """The contract, by search through all codes."""

    def __init__(self, values, scale, group, zeros="none", tensor=False):
        self.values, self.scale, self.group, self.zeros, self.tensor = values, scale, group, zeros, tensor
        self.bits = (len(values) - 1).bit_length()
        self.first_code = {}
        for code, value in enumerate(values):
            if math.isfinite(value):
                self.first_code.setdefault(value, code)
        self.least, self.greatest = min(self.first_code), max(self.first_code)

    def nearest(self, value):
        distance = min(abs(number - value) for number in self.first_code)
        codes = [code for number, code in self.first_code.items() if abs(number - value) == distance]
        return min(codes, key=lambda code: (code % 2 if len({c % 2 for c in codes}) > 1 else 0, code))

    def wanted(self, group):
        if self.zeros != "none":
            return (max(*group, 0.0) - min(*group, 0.0)) / (2**self.bits - 1)
        if self.scale == "e8m0":
            magnitude, own = max(map(abs, group)), max(self.greatest, -self.least)
            return 0.0 if magnitude == 0 else math.ldexp(1.0, math.frexp(magnitude)[1] - math.frexp(own)[1])
        scale = max(group) / self.greatest if self.greatest > 0 else 0.0
        return max(scale, min(group) / self.least if self.least < 0 else 0.0, 0.0)

    def run(self, rows):
        """codes, scales, zeros, tensor scale and decoded values, each by row."""
        tensor = 1.0
        if self.tensor:
            whole = self.wanted([value for row in rows for value in row])
            tensor = rounded_scale(whole / (448 if self.scale == "fp8_e4m3" else 1), "fp32") if whole > 0 else 1.0
        codes, scales, zeros, decoded = [], [], [], []
        for row in rows:
            for plane in (codes, scales, zeros, decoded):
                plane.append([])
            for begin in range(0, len(row), self.group):
                group = row[begin:begin + self.group]
                s = rounded_scale(self.wanted(group) / tensor, self.scale)
                least = -min(*group, 0.0)
                zero = stored = 0.0
                if self.zeros == "quantized":
                    zero = stored = float(min(round(least / (s * tensor)), 2**self.bits - 1))
                elif self.zeros == "original":
                    zero = stored = rounded(least / (s * tensor), self.scale)
                elif self.zeros == "rescale":
                    stored = rounded(least / tensor, self.scale)
                    zero = stored / s
                for value in group:
                    code = self.nearest(value / (s * tensor) + zero)
                    codes[-1].append(code)
                    q = self.values[code]
                    decoded[-1].append((q * s - stored if self.zeros == "rescale" else (q - zero) * s) * tensor)
                scales[-1].append(s)
                zeros[-1].append(stored)
        return codes, scales, zeros, tensor, decoded


def npy(rows, descr="<f4", header=None, version=1):
    text = header or f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({len(rows)}, {len(rows[0])}), }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    data = b"".join(struct.pack("<e" if descr == "<f2" else "<f", value) for row in rows for value in row)
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode() + data


def safetensors(tensors):
    """From name: (dtype, rows); every second byte pair of fp32 is bf16."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, rows) in tensors.items():
        begin = len(data)
        for value in (value for row in rows for value in row):
            word = struct.pack("<e" if dtype == "F16" else "<f", value)
            data += word[2:] if dtype == "BF16" else word
        header[name] = {"dtype": dtype, "shape": [len(rows), len(rows[0])], "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def read_npy(path):
    """Numbers (or, of types that NumPy lacks, bits) by row, and the type."""
    with open(path, "rb") as file:
        assert file.read(8) == b"\x93NUMPY\x01\x00"
        (length,) = struct.unpack("<H", file.read(2))
        header = ast.literal_eval(file.read(length).decode())
        data = file.read()
    assert (10 + length) % 64 == 0 and not header["fortran_order"]
    kind = {"|u1": "B", "<u2": "H", "<f2": "e", "<f4": "f"}[header["descr"]]
    columns = header["shape"][-1]
    assert len(data) == math.prod(header["shape"]) * struct.calcsize(kind)
    flat = struct.unpack(f"<{len(data) // struct.calcsize(kind)}{kind}", data)
    return [list(flat[i:i + columns]) for i in range(0, len(flat), columns)], header["descr"]


def unpacked(rows, bits, columns):
    """Codes of rows of bytes: code i of a row in its bits i * bits and up, little-endian."""
    whole = [int.from_bytes(bytes(row), "little") for row in rows]
    return [[number >> (i * bits) & ((1 << bits) - 1) for i in range(columns)] for number in whole]


def numbers(rows, kind):
    if kind == "bf16":
        return [[struct.unpack("<f", struct.pack("<I", bits << 16))[0] for bits in row] for row in rows]
    if kind == "fp8_e4m3":
        return [[float_value(bits, *FLOATS[kind]) for bits in row] for row in rows]
    if kind == "e8m0":
        return [[math.ldexp(1.0, bits - 127) for bits in row] for row in rows]
    return rows


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def sample(n, k, seed):
    """Rows of different sizes, with groups of zeros, of one sign and of one value among them; exact in fp32."""
    source = random.Random(seed)
    rows = [[f32(source.gauss(0, 1) * 4.0**(row - 2)) for _ in range(k)] for row in range(n)]
    rows[1][:32] = [0.0] * 32
    rows[1][32:] = [abs(value) for value in rows[1][32:]]
    rows[2][:32] = [-abs(value) for value in rows[2][:32]]
    rows[2][32:] = [-0.75] * (k - 32)
    return rows


class Quantize(Home):
    def write(self, name, data):
        with open(f"{self.home}/{name}", "wb") as file:
            file.write(data)
        return name

    def quantize(self, name, *options, folder="out"):
        return self.succeed(self.tune("--quantize", name, "--output", folder, *options)).out

    def compare(self, rows, quantizer, options, name="w.npy", folder="out"):
        """Runs the program and compares every code, scale and zero, and the error that it prints."""
        text = self.quantize(name, *options, folder=folder)
        codes, scales, zeros, tensor, decoded = quantizer.run(rows)
        read, descr = read_npy(f"{self.home}/{folder}/codes.npy")
        bits, columns = quantizer.bits, len(rows[0])
        self.assertEqual(descr, "|u1")
        self.assertEqual(len(read[0]), (columns * bits + 7) // 8)
        self.assertEqual(unpacked(read, bits, columns), codes, options)
        read, descr = read_npy(f"{self.home}/{folder}/scales.npy")
        own = {"fp16": "<f2", "fp32": "<f4", "bf16": "<u2", "fp8_e4m3": "|u1", "e8m0": "|u1"}[quantizer.scale]
        self.assertEqual(descr, own)
        self.assertEqual(numbers(read, quantizer.scale), scales, options)
        self.assertEqual(os.path.exists(f"{self.home}/{folder}/zeros.npy"), quantizer.zeros != "none")
        if quantizer.zeros != "none":
            read, descr = read_npy(f"{self.home}/{folder}/zeros.npy")
            self.assertEqual(descr, "|u1" if quantizer.zeros == "quantized" else own)
            if quantizer.zeros == "quantized":
                read = unpacked(read, bits, len(scales[0]))
            else:
                read = numbers(read, quantizer.scale)
            self.assertEqual(read, zeros, options)
        self.assertEqual(os.path.exists(f"{self.home}/{folder}/tensor_scale.npy"), quantizer.tensor)
        if quantizer.tensor:
            self.assertEqual(read_npy(f"{self.home}/{folder}/tensor_scale.npy"), ([[tensor]], "<f4"))
        pairs = [(a, b) for one, other in zip(rows, decoded) for a, b in zip(one, other)]
        squares = sum(value * value for row in rows for value in row)
        relative = math.sqrt(sum((a - b)**2 for a, b in pairs) / squares)
        told = re.search(r"relative RMS (\S+), maximum (\S+) \(row (\d+), column (\d+): (\S+) became (\S+)\)", text)
        self.assertIsNotNone(told, text)
        # Printed with 6 digits; sums in another order differ far below that.
        self.assertAlmostEqual(float(told[1]), relative, delta=relative * 1e-5)
        most = max(abs(a - b) for a, b in pairs)
        self.assertAlmostEqual(float(told[2]), most, delta=most * 1e-5)
        row, column = int(told[3]), int(told[4])
        self.assertAlmostEqual(abs(rows[row][column] - decoded[row][column]), most, delta=most * 1e-5)

    def test_every_element(self):
        rows = sample(5, 64, 1)
        self.write("w.npy", npy(rows))
        for element in ELEMENTS:
            with self.subTest(element):
                quantizer = Quantizer(values_of(element), "fp16", 32)
                self.compare(rows, quantizer, ["--w", element, "--group", 32], folder=element)

    def test_every_named_type(self):
        rows = sample(5, 64, 2)
        self.write("w.npy", npy(rows))
        for name, (element, scale, group) in NAMED.items():
            with self.subTest(name):
                quantizer = Quantizer(values_of(element), scale, group, tensor=name == "nvfp4")
                self.compare(rows, quantizer, ["--w", name], folder=name)

    def test_scales_and_zeros(self):
        rows = sample(5, 64, 3)
        self.write("w.npy", npy(rows))
        for scale in (*SCALES, "e8m0"):
            for zeros in ("none", "quantized", "original", "rescale"):
                if scale in ("fp8_e4m3", "e8m0") and zeros in ("original", "rescale"):
                    continue  # they hold no zero points
                for element in ("uint4", "uint3", "uint8"):
                    with self.subTest(f"{element} {scale} {zeros}"):
                        quantizer = Quantizer(values_of(element), scale, 16, zeros)
                        options = ["--w", element, "--scale", scale, "--group", 16, "--zeros", zeros]
                        self.compare(rows, quantizer, options, folder=f"{element}-{scale}-{zeros}")

    def test_a_type_of_the_users_own(self):
        rows = sample(5, 64, 4)
        self.write("w.npy", npy(rows))
        table = [5, -1, 5, 0, 2, 9, -7, 0.5]  # unordered, a value twice
        self.write("mine.json", json.dumps({"bits": 3, "table": table, "scale": "bf16", "group": 32,
                                            "tensor_scale": True}).encode())
        self.compare(rows, Quantizer([float(v) for v in table], "bf16", 32, tensor=True), ["--w", "@mine.json"])

    def test_a_tensor_scale_alone(self):
        rows = sample(4, 64, 10)
        self.write("w.npy", npy(rows))
        self.write("mine.json", b'{"element": "int8", "scale": "none", "tensor_scale": true}')
        self.quantize("w.npy", "--w", "@mine.json")
        self.assertEqual(sorted(os.listdir(f"{self.home}/out")), ["codes.npy", "tensor_scale.npy"])
        flat = [value for row in rows for value in row]
        scale = f32(max(max(flat) / 127, min(flat) / -128))
        self.assertEqual(read_npy(f"{self.home}/out/tensor_scale.npy")[0], [[scale]])
        codes = [[code - 256 if code > 127 else code for code in row] for row in read_npy(f"{self.home}/out/codes.npy")[0]]
        # round() takes ties to the even number, whose code is even.
        self.assertEqual(codes, [[max(-128, min(127, round(value / scale))) for value in row] for row in rows])

    def test_channels_and_odd_rows(self):
        rows = [row[:37] for row in sample(3, 64, 5)]  # 37 codes of 3 bits end within a byte
        self.write("w.npy", npy(rows))
        self.compare(rows, Quantizer(values_of("uint3"), "fp16", 37, "quantized"),
                     ["--w", "uint3", "--zeros", "quantized", "--group", -1])

    def test_every_kind_of_file(self):
        rows = sample(5, 64, 6)
        halves = [[struct.unpack("<e", struct.pack("<e", value))[0] for value in row] for row in rows]
        short = [[struct.unpack("<f", b"\0\0" + struct.pack("<f", value)[2:])[0] for value in row] for row in rows]
        self.write("half.npy", npy(rows, "<f2"))
        self.write("long.npy", npy(rows, header="{\"shape\":(5,64),\"fortran_order\":False,\"descr\":\"<f4\"}", version=2))
        self.write("model.safetensors", safetensors({"a": ("F32", rows), "b.weight": ("F16", rows), "c": ("BF16", short)}))
        self.write("one.safetensors", safetensors({"only": ("F32", rows)}))
        for number, (name, tensor, given) in enumerate([
                ("half.npy", None, halves), ("long.npy", None, rows), ("model.safetensors", "a", rows),
                ("model.safetensors", "b.weight", halves), ("model.safetensors", "c", short),
                ("one.safetensors", None, rows)]):
            with self.subTest(name, tensor=tensor):
                options = ["--w", "nf4", "--group", 16, *(["--tensor", tensor] if tensor else [])]
                self.compare(given, Quantizer(NF4, "fp16", 16), options, name=name, folder=f"out{number}")

    def test_ties_and_saturation(self):
        # -8 and 7 make the scale 1. Halves go to the even code; -0.5 is between codes 15 and 0.
        self.write("w.npy", npy([[-8, 7, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]]))
        self.quantize("w.npy", "--w", "int4", "--group", -1)
        self.assertEqual(unpacked(read_npy(f"{self.home}/out/codes.npy")[0], 4, 8),
                         [[8, 7, 0, 2, 2, 0, 14, 14]])
        # Unsigned without zeros: what is negative becomes 0.
        self.quantize("w.npy", "--w", "uint4", "--group", -1, folder="unsigned")
        codes = unpacked(read_npy(f"{self.home}/unsigned/codes.npy")[0], 4, 8)[0]
        self.assertEqual([codes[i] for i in (0, 1, 5, 6, 7)], [0, 15, 0, 0, 0])
        # Beyond the scales' range: the largest scale that takes no code (-8 at most) out of fp16, the largest code.
        self.write("huge.npy", npy([[1e30, -1e30] + [0.0] * 14]))
        self.quantize("huge.npy", "--w", "int4", "--group", -1, folder="huge")
        self.assertEqual(read_npy(f"{self.home}/huge/scales.npy")[0], [[65504.0 / 8]])
        self.assertEqual(unpacked(read_npy(f"{self.home}/huge/codes.npy")[0], 4, 16)[0][:2], [7, 8])
        for zeros in ("original", "rescale"):
            self.quantize("huge.npy", "--w", "uint4", "--group", -1, "--zeros", zeros, folder=zeros)
            self.assertEqual(read_npy(f"{self.home}/{zeros}/zeros.npy")[0], [[65504.0]])
        # mxfp4: 13 has 2^3 and 6 has 2^2, so the scale is 2 and 6.5 is beyond 6.
        self.write("mx.npy", npy([[13.0, -3.0] + [0.0] * 30]))
        self.quantize("mx.npy", "--w", "mxfp4", folder="mx")
        self.assertEqual(unpacked(read_npy(f"{self.home}/mx/codes.npy")[0], 4, 32)[0][:2], [7, 11])
        self.assertEqual(read_npy(f"{self.home}/mx/scales.npy")[0], [[128]])

    def test_nothing_is_written_without_a_folder(self):
        self.write("w.npy", npy(sample(3, 64, 7)))
        before = sorted(os.listdir(self.home))
        self.assertIn("relative RMS", self.succeed(self.tune("--quantize", "w.npy", "--w", "int4")).out)
        self.assertEqual(sorted(os.listdir(self.home)), before)

    def test_a_full_disk_leaves_no_file(self):
        # The codes fit in 1 KiB, the scales do not.
        self.write("w.npy", npy(sample(3, 64, 7) * 22))
        command = 'trap "" XFSZ; ulimit -f 1; exec "$@"'
        completed = subprocess.run(["bash", "-c", command, "bash", f"{BIN}/ladder-tune", "--quantize", "w.npy", "--output",
                                    "out", "--w", "int1", "--scale", "fp32", "--group", "16"], env=self.environment,
                                   cwd=self.home, capture_output=True, text=True, timeout=60)
        self.assert_refused(Result(completed), 3, "--output", "scales.npy", "disk")
        self.assertEqual(os.listdir(f"{self.home}/out"), [])

    def test_an_earlier_result_is_kept(self):
        self.write("w.npy", npy(sample(3, 64, 7)))
        self.quantize("w.npy", "--w", "int4")
        before = read_npy(f"{self.home}/out/codes.npy")
        result = self.tune("--quantize", "w.npy", "--w", "nf4", "--output", "out")
        self.assert_refused(result, 3, "--output", "codes.npy", "already")
        self.assertEqual(read_npy(f"{self.home}/out/codes.npy"), before)
        self.write("file", b"")
        self.assert_refused(self.tune("--quantize", "w.npy", "--w", "nf4", "--output", "file"), 2, "--output", "file")

    def refused(self, data, *words, options=(), status=2):
        self.write("bad", data)
        self.assert_refused(self.tune("--quantize", "bad", "--w", "int4", *options), status, "--quantize", "bad", *words)

    def test_values_without_codes(self):
        for bad, word in ((math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")):
            rows = [[1.0] * 16, [1.0] * 16]
            rows[1][9] = bad
            self.refused(npy(rows), "row 1, column 9", word)
            self.refused(npy(rows, "<f2"), "row 1, column 9", word)
            self.refused(safetensors({"w": ("BF16", rows)}), "row 1, column 9", word)

    def test_npy_files_that_are_wrong(self):
        rows = [[1.0] * 16] * 2

        def header(text, *words):
            self.refused(npy(rows, header=text), *words)

        self.refused(npy(rows) + b"\0", "shape [2, 16]", "128 bytes", "129")
        self.refused(npy(rows, version=4), "version 4")
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 8)}", "<f8")
        header("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 16)}", ">f4")
        header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 16)}", "descr")
        header("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 16)}", "column-major")
        header("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 16)}", "fortran_order")
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (32,)}", "[32]", "[N, K]")
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 16)}", "[0, 16]")
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 16)}", "shape")
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (16777216, 16777216)}", "more than")
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "16777216")
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 16)}", "shape")
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (4096, 4096)}", "67108864", "128")
        header("{'descr': '<f4', 'shape': (2, 16)}", "lacks")
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 16), 'x': 'y'}", "\"x\"")
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 16)} {}", "goes on")
        header("{'\x1b[2J': 1}", "\\x1b")
        header("[]", "dictionary")
        self.refused(npy(rows), "--tensor", options=["--tensor", "w"])
        self.refused(b"", "neither")
        self.refused(b"a text that is no matrix", "neither")
        whole = npy(rows)
        for size in range(0, len(whole), 7):
            self.refused(whole[:size])

    def test_safetensors_files_that_are_wrong(self):
        rows = [[1.0] * 16] * 2
        good = safetensors({"a": ("F32", rows), "b": ("F32", rows)})
        self.refused(good, "--tensor", '"a"', '"b"')
        self.refused(good, '"c"', '"a"', options=["--tensor", "c"])
        self.refused(good, "__metadata__", options=["--tensor", "__metadata__"])
        self.refused(safetensors({"a\x1b[2J": ("F32", rows)}), "\\u001b", options=["--tensor", "c"])
        self.refused(good[:-1], '"b"', "255", options=["--tensor", "b"])
        self.refused(struct.pack("<Q", 2**63) + good[8:], str(2**63))
        self.refused(struct.pack("<Q", len(good)) + good[8:], "header")
        self.refused(struct.pack("<Q", 2) + b"[]", "JSON object")
        self.refused(struct.pack("<Q", 2) + b"{}", "no tensors")
        self.refused(struct.pack("<Q", 100000) + b"[" * 100000, "JSON object")

        def entry(*words, **changes):
            fields = {"dtype": "F32", "shape": [2, 16], "data_offsets": [0, 128], **changes}
            text = json.dumps({"a": {key: value for key, value in fields.items() if value is not None}}).encode()
            self.refused(struct.pack("<Q", len(text)) + text + npy(rows)[-128:], *words)

        entry("I8", dtype="I8")
        entry("dtype", dtype=None)
        entry("dtype", dtype=5)
        entry("shape", shape=None)
        entry("shape", shape=[2, -16])
        entry("shape", shape=[2, 1.5])
        entry("[2, 4, 4]", shape=[2, 4, 4])
        entry("shape", shape=[2, 2**64])
        entry("[2, 15]", "120", "128", shape=[2, 15])
        entry("data_offsets", data_offsets=[0])
        entry("data_offsets", data_offsets=[-4, 124])
        entry("128 to 0", data_offsets=[128, 0])
        entry("4 to 132", data_offsets=[4, 132])
        entry("data_offsets", data_offsets=[2**63, 2**63 + 128])

    def test_damaged_files_never_crash(self):
        source = random.Random(8)
        rows = [[1.0] * 16] * 2
        for whole, header in ((npy(rows), 128), (safetensors({"a": ("F32", rows)}), 120)):
            for _ in range(40):
                data = bytearray(whole)
                data[source.randrange(header)] = source.randrange(256)
                self.write("bad", bytes(data))
                self.assertIn(self.tune("--quantize", "bad", "--w", "int4").status, (0, 2))

    def test_options_that_make_no_sense(self):
        self.write("w.npy", npy(sample(3, 64, 9)))

        def refused(options, *words):
            self.assert_refused(self.tune(*options), 2, *words)

        refused(["--quantize", "missing.npy"], "--quantize", "missing.npy")
        refused(["--quantize", ""], "--quantize")
        refused(["--quantize", self.home], "--quantize", self.home)
        refused(["--quantize", "w.npy", "--n", 3], "--quantize", "--n")
        refused(["--output", "out"], "--output", "--quantize")
        refused(["--quantize", "w.npy", "--w", "fp16"], "--w", "fp16", "no codes")
        refused(["--quantize", "w.npy", "--w", "int9"], "--w", "int9")
        refused(["--quantize", "w.npy", "--w", "int4", "--group", 48], "--group", "48")
        refused(["--quantize", "w.npy", "--w", "nf4", "--zeros", "original"], "--zeros")
        refused(["--quantize", "w.npy", "--w", "@missing.json"], "--w", "missing.json")


if __name__ == "__main__":
    unittest.main()
