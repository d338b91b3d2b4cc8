#!/usr/bin/env python3
"""A GGUF with every matrix dequantized to F16 (vectors stay F32): the source from which formats are made.

  to_f16.py IN.gguf OUT.gguf        needs: pip install gguf numpy
"""
import sys

import gguf
import numpy


def main():
    reader = gguf.GGUFReader(sys.argv[1])
    arch = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(sys.argv[2], arch)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type", "general.quantization_version"):
            continue
        kind = field.types[0]
        sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=sub)
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        matrix = len(tensor.shape) > 1
        writer.add_tensor(tensor.name, values.astype(numpy.float16 if matrix else numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
