"""The risk rating of a concern: impact × likelihood, its band, and the category it suggests."""

from dataclasses import dataclass

from shared.contracts.fields import Category, RiskBand

#: Least score of each band. Source: NPSA risk matrix (recalled; this project's configuration, not an NHS rule).
_BANDS = ((15, RiskBand.EXTREME), (8, RiskBand.HIGH), (4, RiskBand.MODERATE), (1, RiskBand.LOW))

#: Category each band suggests. Suspension of training is a last resort that only a person can decide on.
_SUGGESTED = {
    RiskBand.LOW: Category.NONE,
    RiskBand.MODERATE: Category.MINOR,
    RiskBand.HIGH: Category.SIGNIFICANT,
    RiskBand.EXTREME: Category.MAJOR,
}


@dataclass(frozen=True, slots=True)
class Rating:
    """Impact and likelihood, each 1 to 5."""

    impact: int
    likelihood: int

    def __post_init__(self) -> None:
        if not (1 <= self.impact <= 5 and 1 <= self.likelihood <= 5):
            raise ValueError(f"impact and likelihood are 1 to 5, not {self.impact} and {self.likelihood}")

    @property
    def score(self) -> int:
        """Impact × likelihood, 1 to 25."""
        return self.impact * self.likelihood

    @property
    def band(self) -> RiskBand:
        """The band of the score."""
        return next(band for least, band in _BANDS if self.score >= least)

    @property
    def suggested_category(self) -> Category:
        """The category the score suggests; a person confirms this one or another."""
        return _SUGGESTED[self.band]
