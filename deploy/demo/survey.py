"""A small survey, invented: one programme and one indicator, three years, in which one provider is red each year."""

from __future__ import annotations

import csv
import io
from datetime import date

#: Results of the National Training Survey speak of this day of their year.
_SURVEY_MONTH, _SURVEY_DAY = 5, 1

#: The trainee indicators of the survey; each playing of the story takes the next one.
INDICATORS = (
    "Clinical supervision out of hours",
    "Clinical supervision",
    "Workload",
    "Handover",
    "Rota design",
    "Supportive environment",
    "Teamwork",
    "Reporting systems",
    "Induction",
    "Feedback",
    "Educational supervision",
    "Educational governance",
    "Curriculum coverage",
    "Adequate experience",
    "Local teaching",
    "Regional teaching",
    "Study leave",
    "Overall satisfaction",
)

#: What the others of the benchmark group score in the three years: provider, site, means, respondents.
_OTHERS = (
    ("FICTHT002", "FICTHT002A", ("78.4", "79.0", "80.2"), 22),
    ("FICTHT003", "FICTHT003A", ("81.0", "80.4", "79.8"), 20),
    ("FICTMH001", "FICTMH001A", ("76.5", "77.2", "75.9"), 18),
    ("FICTCM001", "FICTCM001A", ("74.8", "75.5", "76.1"), 16),
    ("FICTIP001", "", ("79.6", "80.1", "78.9"), 14),
)
_LOW, _RESPONDENTS, _SPREAD = ("58.2", "55.1", "52.4"), 24, "11.5"


def years(today: date) -> tuple[int, int, int]:
    """The last three years of which the survey can be known."""
    last = today.year if (today.month, today.day) >= (_SURVEY_MONTH, _SURVEY_DAY) else today.year - 1
    return last - 2, last - 1, last


def results(provider: str, site: str, programme: str, indicator: str, today: date) -> str:
    """The survey as CSV, with the columns of `qc flags`; the provider is red in all three years, nobody else is."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("provider", "site", "specialty", "indicator", "year", "mean", "sd", "n"))
    for code, place, means, respondents in ((provider, site, _LOW, _RESPONDENTS), *_OTHERS):
        for year, mean in zip(years(today), means, strict=True):
            table.writerow((code, place, programme, indicator, year, mean, _SPREAD, respondents))
    return text.getvalue()
