"""Annual volumes as they are answered."""

from datetime import datetime

from services.intelligence.domain.volumes import Measure, Release, YearKind, name, years_of
from services.intelligence.views.volumes import VolumesView, YearView


def volumes_view(published: tuple[Release, datetime] | None, kind: YearKind) -> VolumesView:
    """The volumes of one kind of year, out of all that were published."""
    if published is None:
        return VolumesView(year_kind=kind, released_at=None, years=[])
    release, at = published
    return VolumesView(
        year_kind=kind,
        released_at=at,
        years=[
            YearView(
                year=year.label,
                first_day=year.start,
                last_day=year.end,
                **{measure.value: release.shown.get(name(kind, year, measure)) for measure in Measure},
            )
            for year in years_of(kind, release)
        ],
    )
