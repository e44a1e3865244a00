"""The structure check finds each kind of breach in a tree made for it, and nothing in a sound one."""
import pathlib
import tempfile
import unittest

import check

SOUND = {
    "include/nat/bytes.hpp": "// std::cout and ::now( in a comment are only words\n#include <span>\n",
    "include/nat/stun.hpp": '#include "nat/bytes.hpp"\nconst char* text = "getenv(x)";\nint lifetime(int);\n',
    "include/nat/peer.hpp": '#include "nat/stun.hpp"\nvoid on_time(int); int x = a.time(1) + big\'int\'s;\n',
    "src/core/stun.cpp": '#include "nat/stun.hpp"\n#include "nat/bytes.hpp"\n',
    "include/nat/net/udp_link.hpp": '#include "nat/wire.hpp"\n#include <sys/socket.h>\n',
    "src/natpeer/run.cpp": '#include "nat/peer.hpp"\n#include "nat/net/udp_link.hpp"\n',
}


class StructureCheckTest(unittest.TestCase):
    def breaches(self, changed):
        with tempfile.TemporaryDirectory() as root:
            for name, text in {**SOUND, **changed}.items():
                path = pathlib.Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return check.Checker(root).check()

    def assert_one_breach(self, name, text, *words):
        found = self.breaches({name: text})
        self.assertEqual(len(found), 1, found)
        for word in (name, *words):
            self.assertIn(word, found[0])

    def test_a_sound_tree_passes(self):
        self.assertEqual(self.breaches({}), [])

    def test_an_include_upwards_is_found(self):
        self.assert_one_breach("include/nat/stun.hpp", '#include "nat/peer.hpp"\n', ":1:", "'peer'")

    def test_an_include_sideways_is_found(self):
        self.assert_one_breach("src/core/stun.cpp", '#include "nat/wire.hpp"\n', "'wire'")
        self.assert_one_breach("include/nat/peer.hpp", '#include "nat/coordinator.hpp"\n', "'coordinator'")

    def test_a_header_without_a_rank_is_found(self):
        self.assert_one_breach("include/nat/surprise.hpp", "\n", "no rank")

    def test_what_the_core_must_not_include_is_found(self):
        for include in ("<sys/socket.h>", "<boost/asio/ip/udp.hpp>", "<boost/beast/core.hpp>", '"nat/net/udp_link.hpp"',
                        "<spdlog/spdlog.h>", "<iostream>", "<random>", "<cstdio>", "<ctime>", "<unistd.h>"):
            with self.subTest(include):
                self.assert_one_breach("src/core/stun.cpp", f"\n#include {include}\n", ":2:", "the core includes")

    def test_what_the_core_must_not_name_is_found(self):
        for code in ("auto t = std::chrono::steady_clock::now();", "auto t = time(nullptr);",
                     "auto t = std::time(nullptr);", "clock_gettime(CLOCK_REALTIME, &t);",
                     'spdlog::info("x");', 'auto* home = getenv("HOME");',
                     "std::random_device d;", "int x = rand();", "std::cout << 1;", "std::cerr << 1;", 'printf("x");',
                     "getrandom(p, 1, 0);", "co_await x;"):
            with self.subTest(code):
                self.assert_one_breach("include/nat/stun.hpp", code + "\n", "the core names")

    def test_net_that_knows_an_engine_is_found(self):
        for name in ("peer", "coordinator", "stun_client"):
            with self.subTest(name):
                self.assert_one_breach("src/net/udp_link.cpp", f'#include "nat/{name}.hpp"\n', "net includes")

    def test_a_program_that_knows_the_other_is_found(self):
        self.assert_one_breach("src/natpeer/run.cpp", '#include "nat/coordinator.hpp"\n', "natpeer includes")
        self.assert_one_breach("src/natcoord/run.cpp", '#include "nat/peer.hpp"\n', "natcoord includes")

    def test_a_file_that_is_too_long_is_found(self):
        self.assert_one_breach("src/natpeer/run.cpp", "\n" * 451, "451 lines")

    def test_nothing_to_judge_is_no_pass(self):
        checker = check.Checker("/nonexistent")
        checker.check()
        self.assertEqual(checker.seen, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
