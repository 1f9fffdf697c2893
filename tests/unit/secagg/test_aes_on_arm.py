"""The kernel's instructions for AArch64, compiled here and run under QEMU, give OpenSSL's keystream.

The test compiles the kernel's building blocks: counters, rounds before and after the state of a page, and SubWord. A C
program combines them for one key, and its output is compared with OpenSSL's.
"""

import shutil
import subprocess

import llvmlite.binding as llvm
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from llvmlite import ir

from secagg.kernels.target import AES_VECTOR_BITS

TRIPLE = "aarch64-unknown-linux-gnu"
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", ("qemu-aarch64", "qemu-aarch64-static")
KEY = bytes(range(100, 132))
FIRST, BLOCKS = 2**32 - 300, 700  # over the end of a page, and over that of the counter's last 32 bits
VECTORS = 8
MAIN = """
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void begun(uint32_t *out, const uint32_t *schedule, uint64_t block);
void finished(uint32_t *lanes, const uint32_t *schedule, const uint32_t *states);
uint32_t substituted(uint32_t word);

int main(void) {
    uint32_t key[60], states[32], lanes[32], page[4 * 256], base[32];
    if (fread(key, 4, 8, stdin) != 8) return 1;
    for (int i = 8; i < 60; i++) {
        uint32_t word = key[i - 1];
        if (i % 8 == 0) word = substituted(word >> 8 | word << 24) ^ 1u << (i / 8 - 1);
        else if (i % 8 == 4) word = substituted(word);
        key[i] = key[i - 8] ^ word;
    }
    for (int i = 0; i < 256; i += 8) begun(page + 4 * i, key, i);
    for (uint64_t block = FIRST / 8 * 8; block < FIRST + BLOCKS; block += 8) {
        begun(base, key, block / 256 * 256);
        for (int i = 0; i < 32; i++) states[i] = page[4 * (block % 256) + i] ^ page[i % 4] ^ base[i % 4];
        memset(lanes, 0, sizeof lanes);
        finished(lanes, key, states);
        if (fwrite(lanes, 4, 32, stdout) != 32) return 1;
    }
    return 0;
}
"""

emulator = next(filter(None, map(shutil.which, EMULATOR)), None)
pytestmark = [
    pytest.mark.skipif(not AES_VECTOR_BITS, reason="the kernel's module needs a processor with AES"),
    pytest.mark.skipif(
        emulator is None or shutil.which(COMPILER) is None,
        reason="no AArch64 here: it takes Debian's qemu-user-static, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross",
    ),
]


def assembled(module: ir.Module) -> bytes:
    """Return object code for AArch64 with AES, as optimised as Numba's."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(features="+aes", opt=3, reloc="pic")
    parsed = llvm.parse_assembly(str(module))
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(parsed, builder)
    return machine.emit_object(parsed)


def pieces() -> ir.Module:
    from secagg.kernels import aes

    module = ir.Module()
    module.triple = TRIPLE
    word, number = ir.IntType(32), ir.IntType(64)
    states = aes.vector_of(1).as_pointer()

    begun = ir.Function(module, ir.FunctionType(ir.VoidType(), [states, states, number]), "begun")
    builder = ir.IRBuilder(begun.append_basic_block())
    out, schedule, block = begun.args
    first = aes.counters(builder, block, 1, VECTORS)
    for v, state in enumerate(aes.advanced(builder, first, schedule, range(3))):
        builder.store(state, builder.gep(out, [number(v)]), align=4)
    builder.ret_void()

    finished = ir.Function(module, ir.FunctionType(ir.VoidType(), [states] * 3), "finished")
    builder = ir.IRBuilder(finished.append_basic_block())
    lanes, schedule, before = finished.args
    loaded = [builder.load(builder.gep(before, [number(v)]), align=4) for v in range(VECTORS)]
    for v, keystream in enumerate(aes.advanced(builder, loaded, schedule, range(3, aes.ROUNDS + 1))):
        place = builder.gep(lanes, [number(v)])
        builder.store(builder.add(builder.load(place, align=4), keystream), place, align=4)
    builder.ret_void()

    substituted = ir.Function(module, ir.FunctionType(word, [word]), "substituted")
    builder = ir.IRBuilder(substituted.append_basic_block())
    builder.ret(aes.substituted(builder, substituted.args[0]))
    return module


def test_the_keystream_is_that_of_openssl(tmp_path):
    code = assembled(pieces())
    (tmp_path / "pieces.o").write_bytes(code)
    (tmp_path / "main.c").write_text(f"#define FIRST {FIRST}ull\n#define BLOCKS {BLOCKS}\n{MAIN}")
    program = tmp_path / "main"
    command = [COMPILER, "-O1", "-static", "-o", program, tmp_path / "main.c", tmp_path / "pieces.o"]
    subprocess.run(command, check=True, timeout=60)
    output = subprocess.run([emulator, program], input=KEY, capture_output=True, check=True, timeout=60).stdout
    skipped = FIRST % VECTORS
    stream = Cipher(AES256(KEY), CTR((FIRST - skipped).to_bytes(16, "big"))).encryptor().update(bytes(len(output)))
    assert len(output) >= 16 * BLOCKS
    assert output == stream
