"""README.md names every option that the programs have, with the same default, and no other."""
import os
import re

from support.programs import NATCOORD, NATPEER, ProgramTest

README = os.environ["NATPEER_README"] if "NATPEER_README" in os.environ else "../../README.md"
DEFAULT = re.compile(r"\(default:? ([^)]+)\)")


def options_of_help(text):
    """{--option: default or None} of the lines that describe one."""
    found, current = {}, None
    for line in text.splitlines():
        if match := re.match(r"\s+(?:-\w,\s*)?(--[a-z][a-z-]*)", line):
            current = match[1]
            found[current] = None
        if current and (default := DEFAULT.search(line)):
            found[current] = default[1]
    return found


def options_of_readme(text, program):
    """{--option: the table's row} of the tables under a heading that names the program."""
    found, section = {}, ""
    for line in text.splitlines():
        if re.match(r"#+ ", line):
            section = line
        elif re.search(rf"\b{program}\b", section) and (match := re.match(r"\|[^|]*?`[^`|]*?(--[a-z][a-z-]*)", line)):
            found[match[1]] = line
    return found


class ReadmeTest(ProgramTest):
    def assert_same_options(self, program, name):
        helped = self.start(program, "--help")
        self.assertEqual(helped.wait_exit(), 0)
        options = options_of_help(helped.out.text())
        self.assertGreater(len(options), 5, helped.out.text())
        with open(README, encoding="utf-8") as file:
            rows = options_of_readme(file.read(), name)
        self.assertEqual(sorted(rows), sorted(options), f"README's table (left) and {name} --help (right)")
        for option, default in options.items():
            if default is not None:
                self.assertIn(default, rows[option].replace("`", ""), f"the default of {option}")

    def test_natcoord(self):
        self.assert_same_options(NATCOORD, "natcoord")

    def test_natpeer(self):
        self.assert_same_options(NATPEER, "natpeer")


    def test_the_config_file_is_one(self):
        with open(README, encoding="utf-8") as file:
            example = re.search(r"\n```\n(topic = .*?)```\n", file.read(), re.DOTALL)[1]
        # Its options are taken: what is wrong is the one on the command line.
        program = self.start(NATPEER, "--config", self.path("config", example), "--rate", "1")
        self.assertEqual(program.wait_exit(), 2)
        self.assertIn("natpeer: --rate", program.err.text())


class ReadmeTableTest(ProgramTest):
    def test_a_difference_is_seen(self):
        shown = """Options:
  -h,--help    show it
  --port PORT  a port
               (default: 6969)
  --topic T  needed
"""
        self.assertEqual(options_of_help(shown), {"--help": None, "--port": "6969", "--topic": None})
        readme = """## natcoord
| `--port PORT` | x | 6969 |
## natpeer
| option | meaning | default |
| `-v, --verbose` | |
| `-h`, `--help` | |
"""
        self.assertEqual(list(options_of_readme(readme, "natcoord")), ["--port"])
        self.assertEqual(list(options_of_readme(readme, "natpeer")), ["--verbose", "--help"])
