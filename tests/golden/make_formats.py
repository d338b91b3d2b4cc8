"""Writes tests/golden/formats.bin: random blocks of every integer storage format and their values in f32, as the
Python package `gguf` decodes them, and what it encodes. Needs gguf (0.19) and numpy.

Layout, little endian, for each entry: u32 type, u32 kind (0 decode, 1 encode), u32 blocks, then the blocks' bytes, then
the f32 values (decode: the result; encode: the input).
"""
import struct
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

DECODE = [T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.IQ4_NL, T.IQ4_XS, T.F16,
          T.BF16]
ENCODE = [T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.BF16]
HALVES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108],
          T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0]}


def main(path):
    rng = np.random.default_rng(20240607)
    with open(path, "wb") as out:
        for kind in DECODE:
            elements, size = gguf.GGML_QUANT_SIZES[kind]
            n = 6 if elements > 1 else 64
            raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
            for at in HALVES.get(kind, []):
                half = (rng.standard_normal(n) * 0.05).astype(np.float16)
                half[0] = np.float16(6e-8)  # subnormal
                if n > 1:
                    half[1] = np.float16(-0.0)
                raw[:, at:at + 2] = half.view(np.uint8).reshape(n, 2)
            if kind in (T.F16, T.BF16):  # no NaN: its payload is not ours to define
                exponent = (0x7C, 0x80) if kind == T.F16 else (0x7F, 0x80)
                bad = (raw[:, 1] & exponent[0]) == exponent[0]
                raw[bad, 1] = 0x3C
            values = gguf.dequantize(raw.reshape(-1), kind).astype(np.float32).reshape(-1)
            out.write(struct.pack("<III", kind, 0, n) + raw.tobytes() + values.tobytes())
        for kind in ENCODE:
            elements, _ = gguf.GGML_QUANT_SIZES[kind]
            n = 6 if elements > 1 else 64
            values = rng.standard_normal(n * elements).astype(np.float32)
            values[:elements] = 0
            raw = gguf.quantize(values, kind)
            out.write(struct.pack("<III", kind, 1, n) + raw.tobytes() + values.tobytes())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "tests/golden/formats.bin")
