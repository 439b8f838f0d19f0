"""Tests of the scripts that other results stand on."""

import gzip
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

from scripts import check_module, package, tally

ROOT = Path(__file__).resolve().parent.parent


def leb(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def section(kind: int, items: list[bytes]) -> bytes:
    body = leb(len(items)) + b"".join(items)
    return bytes([kind]) + leb(len(body)) + body


def name(text: str) -> bytes:
    return leb(len(text)) + text.encode()


def module(exports: list[str], imports: list[str] = (), kind: int = 0) -> bytes:
    return (
        b"\0asm\1\0\0\0"
        + section(2, [name(m) + name("f") + b"\0\0" for m in imports])
        + section(7, [name(e) + bytes([kind, 0]) for e in exports])
    )


class CheckModule(unittest.TestCase):
    def test_a_fit_module_passes(self):
        data = module(sorted(check_module.REQUIRED), ["env", "wasi_snapshot_preview1"])
        self.assertEqual(check_module.faults(data), [])

    def test_each_missing_callback_is_named(self):
        for callback in check_module.REQUIRED:
            found = check_module.faults(module(sorted(check_module.REQUIRED - {callback})))
            self.assertEqual(found, [f"does not export {callback}"])

    def test_an_export_that_is_no_function_does_not_count(self):
        found = check_module.faults(module(sorted(check_module.REQUIRED), kind=3))
        self.assertEqual(len(found), len(check_module.REQUIRED))

    def test_foreign_imports_and_size_are_refused(self):
        found = check_module.faults(module(sorted(check_module.REQUIRED), ["__wbindgen_placeholder__"]))
        self.assertIn("which no proxy offers", found[0])
        padding = b"\0" + leb(check_module.MAX_BYTES) + name("pad") + bytes(check_module.MAX_BYTES - 4)
        self.assertIn("the limit is", check_module.faults(module(sorted(check_module.REQUIRED)) + padding)[0])

    def test_damaged_files_are_refused(self):
        whole = module(["proxy_on_log"])
        for data in (b"", b"\0asm\2\0\0\0", whole[:-1], whole + b"\7\xff\xff\xff\xff\xff\xff"):
            with self.assertRaises(check_module.Malformed):
                check_module.faults(data)


class Package(unittest.TestCase):
    def test_equal_modules_give_equal_digests(self):
        with tempfile.TemporaryDirectory() as folder:
            digests = [package.write_image(b"wasm" * n, "1", Path(folder) / str(i)) for i, n in enumerate((9, 9, 8))]
        self.assertEqual(digests[0], digests[1])
        self.assertNotEqual(digests[0], digests[2])

    def test_the_layout_gives_the_module_back(self):
        data = bytes(range(256)) * 1000
        with tempfile.TemporaryDirectory() as folder:
            package.write_image(data, "1", Path(folder))
            self.assertEqual(package.read_module(Path(folder)), data)
            for blob in (Path(folder) / "blobs/sha256").iterdir():
                content = blob.read_bytes()
                blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            with self.assertRaises(ValueError):
                package.read_module(Path(folder))

    def test_stored_gzip_is_gzip(self):
        for size in (1, package.STORED_MAX, package.STORED_MAX + 1, 200_000):
            data = bytes(i % 251 for i in range(size))
            self.assertEqual(gzip.decompress(package.gzip_stored(data)), data)

    def test_the_layer_holds_one_plain_file(self):
        with tarfile.open(fileobj=io.BytesIO(package.tar_of(b"x"))) as archive:
            self.assertEqual([(m.name, m.mtime, m.mode) for m in archive], [("plugin.wasm", 0, 0o644)])


class Tally(unittest.TestCase):
    def test_results_are_summed(self):
        cases = {
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured": [3, 0, 1],
            "test result: ok. 3 passed; 0 failed; 0 ignored;\ntest result: FAILED. 1 passed; 2 failed; 0 ignored;": [4, 2, 0],
            "===== 1 failed, 15 passed, 2 skipped in 3.14s =====": [15, 1, 2],
            "17 passed in 2.96s": [17, 0, 0],
            "5 passed, 1 error in 1.00s": [5, 1, 0],
            "Ran 9 tests in 0.1s\n\nOK": [9, 0, 0],
            "Ran 9 tests in 0.1s\n\nFAILED (failures=1, errors=1, skipped=2)": [5, 2, 2],
            "check: ok": [1, 0, 0],
            "error: could not compile `portcullis`": [0, 1, 0],
            "test result: ok. 3 passed; 0 failed; 0 ignored;\ncheck: died": [3, 1, 0],
            "SKIPPED tests/x.rs: no corpora\ntest result: ok. 3 passed; 0 failed; 0 ignored;": [2, 0, 1],
            "SKIPPED [1] test_x.py:3: no browser\n2 passed, 1 skipped in 1.00s": [2, 0, 1],
            "": [0, 1, 0],
        }
        for text, sums in cases.items():
            with self.subTest(text):
                self.assertEqual(tally.count(text), sums)


class Render(unittest.TestCase):
    def render(self, *arguments):
        return subprocess.run(
            [sys.executable, ROOT / "scripts/render.py", *arguments], capture_output=True, text=True, check=False
        )

    def test_a_file_that_is_of_no_use_is_told_in_one_line(self):
        with tempfile.TemporaryDirectory() as folder:
            none, binary, other = (Path(folder) / name for name in ("none", "binary", "other"))
            binary.write_bytes(b"\xff\xfe")
            other.write_text("a: ${NO_SUCH_PLACE}\n")
            for option, file, reason in [
                ("--config", none, "No such file"),
                ("--config", folder, "Is a directory"),
                ("--config", binary, "is not UTF-8"),
                ("--template", none, "No such file"),
                ("--template", other, "NO_SUCH_PLACE"),
            ]:
                done = self.render(option, file)
                self.assertEqual((done.returncode, done.stdout), (2, ""), file)
                self.assertRegex(done.stderr, rf"\Arender\.py: [^\n]*{reason}[^\n]*\n\Z")

    def test_the_shipped_template_is_filled_in(self):
        done = self.render("--jwt-key", "YQ")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("filename: /etc/envoy/portcullis.wasm", done.stdout)


class Usage(unittest.TestCase):
    """None of these may do anything: a copy of build.sh is run, far from what `clean` removes."""

    COMMANDS = "demo test build ctl bench eval mutants fuzz package train fmt lint clean help".split()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "scripts").mkdir()
        for path in ("build.sh", "scripts/lib.sh", "scripts/setup.sh", "scripts/test.sh"):
            shutil.copy(ROOT / path, self.root / path)
        (self.root / "dist").mkdir()

    def build(self, *arguments):
        # Without a way to any tool but those of the shell, nothing can be built.
        env = {"PATH": "/usr/bin:/bin", "CARGO_TARGET_DIR": str(self.root / "target"), "HOME": str(self.root)}
        done = subprocess.run([self.root / "build.sh", *arguments], capture_output=True, text=True, check=False, env=env)
        self.assertTrue((self.root / "dist").is_dir(), arguments)
        return done

    def test_every_command_answers_help_with_one_line(self):
        # The tool answers for `ctl`.
        for command in [c for c in self.COMMANDS if c != "ctl"]:
            for flag in ("-h", "--help"):
                done = self.build(command, flag)
                self.assertEqual((done.returncode, done.stderr), (0, ""), command)
                self.assertRegex(done.stdout, rf"\Ausage: \./build\.sh {command}\b[^\n]*\n\Z")

    def test_unknown_commands_and_arguments_are_refused(self):
        for arguments in [[c, "--bogus"] for c in self.COMMANDS if c != "ctl"] + [
            ["nonsense"], ["ctl"], ["eval"], ["train", "/nonexistent"], ["fmt", "--check"], ["test", "tidy"],
            ["demo", "--config"], ["demo", "--config", "/nonexistent"], ["fuzz", "1m"], ["fuzz", "1", "2"],
        ]:
            done = self.build(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn("usage: ./build.sh", done.stderr)

    def test_help_names_every_command_and_suite(self):
        help_text = self.build("help").stdout
        suites = re.findall(r"^suite_(\w+)\(\)", (ROOT / "scripts/test.sh").read_text(), re.MULTILINE)
        self.assertGreater(len(suites), 5)
        for word in self.COMMANDS + suites:
            self.assertIn(word, help_text.split())


if __name__ == "__main__":
    unittest.main()
