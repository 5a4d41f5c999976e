"""`pytest --both-ways`: how many reads were compared, in whichever process; a run that compared none has failed."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from both_ways import Same, same

_PROPERTY = "both ways"


class Comparisons:
    """A plugin of pytest that counts what `BothWays` compared."""

    def __init__(self) -> None:
        self._told = Same()
        self._total = Same()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell, with each report, what was compared since the one before."""
        report = yield
        report.user_properties.append(
            (_PROPERTY, (same.compared - self._told.compared, same.fast - self._told.fast))
        )
        self._told = Same(same.compared, same.fast)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up what the reports of all processes tell."""
        for name, value in report.user_properties:
            if name == _PROPERTY:
                compared, fast = value  # type: ignore[misc]
                self._total.compared += compared
                self._total.fast += fast

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail a run that compared nothing."""
        if not exitstatus and not self._total.compared and not hasattr(session.config, "workerinput"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the count."""
        terminalreporter.section("both ways")
        terminalreporter.write_line(
            f"{self._total.compared:,} reads were the same with and without the fast path, which answered "
            f"{self._total.fast:,} of them"
        )
