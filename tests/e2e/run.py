"""Runs one test class, `MODULE.CLASS`, for ctest. Exit status: 0 passed, 1 failed, 77 something was skipped."""
import sys
import unittest

SKIPPED = 77  # ctest's SKIP_RETURN_CODE for these tests


class Result(unittest.TextTestResult):
    """Shows what the programs of a failed test wrote to stderr."""

    def show_programs(self, test):
        for helper in getattr(test, "helpers", []):
            if hasattr(helper, "err"):
                status = helper.process.poll()
                self.stream.writeln(f"--- {' '.join(helper.argv)} (status {status}):")
                self.stream.writeln(helper.err.text()[-6000:])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.show_programs(test)

    def addError(self, test, err):
        super().addError(test, err)
        self.show_programs(test)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.show_programs(test)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromName(sys.argv[1])
    result = unittest.TextTestRunner(verbosity=2, resultclass=Result).run(suite)
    for test, reason in result.skipped:
        print(f"SKIPPED {test}: {reason}")
    if not result.wasSuccessful() or result.testsRun + len(result.skipped) == 0:
        return 1
    return SKIPPED if result.skipped else 0


if __name__ == "__main__":
    sys.exit(main())
